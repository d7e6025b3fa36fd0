package swarm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tendhq/tend/controller"
	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/ingresses"
	"github.com/tendhq/tend/controller/logs"
	"github.com/tendhq/tend/controller/observe"
	"github.com/tendhq/tend/controller/plan/services"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/swarm/manager"
	"github.com/tendhq/tend/ingress"
	"github.com/tendhq/tend/state"
	"github.com/tendhq/tend/state/durable"
)

// errStopped reports that the controller has ended.
var errStopped = errors.New("the controller has stopped")

// do has the loop call f, unless it has ended.
func (c *Controller) do(f func(*loop)) {
	select {
	case c.calls <- f:
	case <-c.stopped:
	}
}

func (c *Controller) await(ctx context.Context, done <-chan error) error {
	select {
	case err := <-done:
		return err
	case <-c.stopped:
		return errStopped
	case <-ctx.Done():
		return ctx.Err()
	}
}

// SetProject puts a desired state in force.
func (c *Controller) SetProject(p *spec.Project) {
	c.do(func(l *loop) { l.setProject(p) })
}

func (l *loop) setProject(p *spec.Project) {
	read, err := contents(p)
	if err != nil {
		l.reject(fmt.Errorf("a secret or config cannot be read: %w", err))
		return
	}
	if l.rejected != nil {
		l.rejected = nil
		l.event(core.Event{Type: core.Normal, Reason: "SpecInForce", Message: "what is written is in force again"})
	}
	l.project, l.contents = p, read
	clear(l.taken) // somebody may have let the names go
	var changes []core.Event
	l.store.Update(func(tx *state.Tx) { changes = controller.PutWorkloads(tx, p, time.Now()) })
	for _, e := range changes {
		l.event(e)
	}
}

// RejectProject reports that what is written is not valid. The last good desired state
// stays in force.
func (c *Controller) RejectProject(err error) { c.do(func(l *loop) { l.reject(err) }) }

func (l *loop) reject(err error) {
	l.rejected = err
	l.event(core.Event{Type: core.Warning, Reason: "InvalidSpec", Message: err.Error()})
}

// Relist has the Swarm listed anew, after the files were read again.
func (c *Controller) Relist(context.Context) {
	c.do(func(l *loop) {
		clear(l.taken)
		l.event(core.Event{Type: core.Normal, Reason: "Reloaded", Message: "what is written was read again, and the Swarm is listed anew"})
	})
}

// RemoveAll asks that everything but volumes be taken away, dependents first.
func (c *Controller) RemoveAll() { c.do(func(l *loop) { l.remove = true }) }

// Ready returns why the state does not tell everything yet, or nil.
func (c *Controller) Ready() error {
	if err := c.linked(); err != nil {
		return err
	}
	snap := c.store.Snapshot()
	for _, w := range snap.Workloads() {
		if _, ok := snap.Status(w.Name); !ok {
			return fmt.Errorf("workload %s has not been looked at yet", w.Name)
		}
	}
	return nil
}

// linked returns why the Swarm has not answered last time, or nil.
func (c *Controller) linked() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.linkErr
}

// Asked reports what somebody asked for.
func (c *Controller) Asked(asked core.Event) { c.do(func(l *loop) { l.event(asked) }) }

// Intend changes what people ask of a workload, and returns when the workload has been
// planned with that, as controller.Controller's does.
func (c *Controller) Intend(ctx context.Context, asked core.Event, change func(*core.Intent, *state.Snapshot) error) error {
	done := make(chan error, 1)
	c.do(func(l *loop) {
		changed, err := controller.ChangeIntent(c.store, asked.Workload, change)
		if err != nil {
			done <- err
			return
		}
		if changed {
			l.event(asked)
		}
		l.planned = append(l.planned, func() { done <- nil })
	})
	return c.await(ctx, done)
}

// Plan plans a workload by what was seen last, and neither remembers the plan nor carries
// anything out.
func (c *Controller) Plan(ctx context.Context, workload string) (controller.WorkloadPlan, error) {
	var out controller.WorkloadPlan
	done := make(chan error, 1)
	c.do(func(l *loop) {
		snap, now := c.store.Snapshot(), time.Now()
		if _, ok := snap.Workload(workload); !ok || l.project == nil {
			done <- &controller.UnknownWorkloadError{Workload: workload}
			return
		}
		p := services.Compute(l.input(snap, l.gather(snap, now), workload, now))
		for _, a := range p.Actions {
			out.Next = append(out.Next, core.Action{Kind: core.ActionKind(a.Kind), Workload: a.Workload, Object: a.Object, ID: a.ID, Cause: a.Cause})
		}
		out.Status = p.Status
		done <- nil
	})
	if err := c.await(ctx, done); err != nil {
		return controller.WorkloadPlan{}, err
	}
	return out, nil
}

// errElsewhere is why a container cannot be reached.
var errElsewhere = errors.New("on a Swarm tend reaches no container on another node")

// Kill fails: the Swarm API kills no task.
func (c *Controller) Kill(context.Context, core.Event, string) error {
	return fmt.Errorf("%w: `tend rollout restart` replaces the tasks of a workload", errElsewhere)
}

// Subscribed takes a subscriber, who finds no endpoints: a service's name leads to its
// tasks.
func (c *Controller) Subscribed(controller.Subscriber, uint64) (func(), error) {
	return func() {}, nil
}

// Subscribers lists nobody; see Subscribed.
func (c *Controller) Subscribers() []controller.Sighting { return nil }

// Carried takes no note; see Subscribed.
func (c *Controller) Carried(controller.Subscriber, map[string]ingress.Counters) {}

// Traffic is empty: what goes through the mesh is not counted.
func (c *Controller) Traffic() map[string][]ingresses.Sample { return nil }

// errNoRegistrations is why nothing is registered.
var errNoRegistrations = errors.New("on a Swarm no services are registered with tend")

// Register fails; see controller.Controller.
func (c *Controller) Register(context.Context, core.Event, core.Registration) error {
	return errNoRegistrations
}

// Deregister fails, as nothing is registered.
func (c *Controller) Deregister(_ context.Context, _ core.Event, id string) error {
	return errNoRegistrations
}

// Heard fails, as nothing is registered.
func (c *Controller) Heard(string, core.CheckStatus, string) error { return errNoRegistrations }

// Logs emits what the tasks of a workload have written; see ReadLogs.
func (c *Controller) Logs(ctx context.Context, workload string, follow bool, o logs.Options, emit func(logs.Line) error) error {
	return ReadLogs(ctx, c.options.Manager, c.options.Project, workload, follow, o, emit)
}

// Preview lists the Swarm and returns how it differs from a project, without changing
// anything. remembered is what an earlier controller kept. The controller must not be
// running.
func (c *Controller) Preview(ctx context.Context, p *spec.Project, remembered []durable.Row) (all []controller.Difference, err error) {
	if err := c.store.Restore(remembered); err != nil {
		return nil, err
	}
	l := c.newLoop()
	l.setProject(p)
	if l.project == nil {
		return nil, l.rejected
	}
	if l.seen, err = look(ctx, c.options.Manager, p); err != nil {
		return nil, err
	}
	before, now := c.store.Snapshot(), time.Now()
	for _, a := range l.planAll(now) {
		if a.Kind == services.AskRegistry { // a preview asks nobody
			l.noteImage(a, "")
		}
	}
	for _, a := range l.planAll(now) {
		d := controller.Difference{Workload: a.Workload, Text: fmt.Sprintf("%s %s: %s", a.Kind, a.Object, a.Cause)}
		if w := p.Workloads[a.Workload]; w != nil && a.Kind == services.UpdateService {
			if former, ok := before.Revision(a.Workload, restored(before, a.Workload).Revision); ok {
				if d.Fields, err = spec.Differences(former.Spec, w); err != nil {
					return nil, err
				}
			}
		}
		all = append(all, d)
	}
	for _, s := range c.store.Snapshot().Statuses() {
		mentioned := slices.ContainsFunc(all, func(d controller.Difference) bool { return d.Workload == s.Workload })
		if !s.Converged && !mentioned {
			all = append(all, controller.Difference{Workload: s.Workload, Text: cmp.Or(s.Obstacle, "is not at its spec")})
		}
	}
	return all, nil
}

// Note writes down what is known of a workload that another engine has kept in the place of what is
// known of it here, but for the volumes without a name that it left here. It returns once that
// is durable.
func (c *Controller) Note(ctx context.Context, known core.Rollout) error {
	done := make(chan error, 1)
	c.do(func(l *loop) {
		c.store.Update(func(tx *state.Tx) { tx.TakeOverRollout(known) })
		l.keeper.Commit(ctx, true)
		done <- nil
	})
	return c.await(ctx, done)
}

// Foreign says why nothing of a project may be touched on a Swarm; empty where it may.
func Foreign(ctx context.Context, m manager.Manager, project string, folders observe.Folders) (string, error) {
	all, err := m.Services(ctx, project)
	for _, s := range all {
		if is, why := ours(s, project, folders); !is {
			return why, err
		}
	}
	return "", err
}
