package migrate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tendhq/tend/controller"
	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/observe"
	"github.com/tendhq/tend/controller/postgres"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/swarm"
	"github.com/tendhq/tend/controller/swarm/convert"
	"github.com/tendhq/tend/controller/swarm/manager"
)

// Options are what a move needs.
type Options struct {
	To Side
	// Docker and Swarm are the project as each side is to have it.
	Docker, Swarm *spec.Project
	// Engine and Manager are the two sides.
	Engine  engine.Engine
	Manager manager.Manager
	// Node is the ID of the node that the engine is.
	Node string
	// NewContainers makes the controller of the containers on an engine. Services is the
	// controller of the services; it does not run yet.
	NewContainers func(engine.Engine) *controller.Controller
	Services      *swarm.Controller
	// Folders say what is the project's.
	Folders observe.Folders
	// Stays are the workloads that may not move, and why.
	Stays map[string]string
	// DataDir takes backups.
	DataDir string
	// Say tells a person what is done.
	Say func(format string, args ...any)
}

const (
	// pace is how often both sides are looked at.
	pace = 300 * time.Millisecond
	// networksTimeout bounds the wait for the overlays, before anything has moved.
	networksTimeout = time.Minute
)

// move is a move under way.
type move struct {
	Options
	containers *controller.Controller
	order      []string
	// mu guards plan, the last one, and failed, which say what a new container joins.
	mu     sync.Mutex
	plan   Plan
	failed map[string]string
	// noted and prepared are what has been done of workloads.
	noted, prepared map[string]bool
}

func newMove(o Options) *move {
	return &move{Options: o, order: Order(o.Swarm), failed: map[string]string{}, noted: map[string]bool{}, prepared: map[string]bool{}}
}

// Order lists the workloads of a project that move. A workload comes after those that it
// depends on.
func Order(p *spec.Project) (all []string) {
	done := map[string]bool{}
	var visit func(name string)
	visit = func(name string) {
		w := p.Workloads[name]
		if w == nil || done[name] {
			return
		}
		done[name] = true
		for _, d := range w.DependsOn {
			visit(d.Name)
		}
		all = append(all, name)
	}
	for _, name := range slices.Sorted(maps.Keys(p.Workloads)) {
		visit(name)
	}
	return all
}

// Move moves a project, and returns the workloads that stay where they were, with the
// reason. Where it ends before, another one goes on from what there is.
func Move(ctx context.Context, o Options) (stay map[string]string, err error) {
	m := newMove(o)
	m.containers = o.NewContainers(&beside{Engine: o.Engine, hidden: slices.Collect(maps.Values(overlays(o.Docker))), joins: m.joinsOf})
	w, err := m.look(ctx)
	if err != nil {
		return nil, err
	}
	in := m.input(w)
	if m.plan = Compute(in); m.plan.Conflict != "" {
		return nil, errors.New(m.plan.Conflict)
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	var parts sync.WaitGroup
	defer parts.Wait()
	defer stop()
	// The Swarm comes first: containers join its networks.
	parts.Go(func() { m.Services.Run(running) })
	m.Services.SetProject(m.part(Swarm, m.plan))
	if err := m.joinAll(ctx); err != nil {
		return nil, err
	}
	parts.Go(func() { m.containers.Run(running) })
	m.containers.SetProject(m.part(Docker, m.plan))
	if err := m.carryOn(ctx); err != nil {
		return nil, err
	}
	return m.plan.Stay, m.finish(ctx)
}

// carryOn looks, plans and does, until nothing more moves.
func (m *move) carryOn(ctx context.Context) error {
	said := ""
	for {
		w, err := m.look(ctx)
		if err == nil {
			err = m.join(ctx, w)
		}
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil && said != err.Error():
			said = err.Error()
			m.Say("nothing moves until that works: %v", err)
		case err == nil:
			said = ""
			if done, err := m.step(ctx, w); done || err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pace):
		}
	}
}

// step has both sides keep what the next plan says.
func (m *move) step(ctx context.Context, w world) (done bool, err error) {
	before, next := m.plan, Compute(m.input(w))
	if next.Conflict != "" {
		return false, errors.New(next.Conflict)
	}
	m.mu.Lock()
	m.plan = next
	maps.Copy(m.failed, next.Failed)
	m.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(next.Failed)) {
		m.Say("%s: goes back: %s", name, next.Failed[name])
	}
	m.tell(before, next)
	if !maps.Equal(before.Keep[Docker], next.Keep[Docker]) || !maps.Equal(before.Ingress, next.Ingress) {
		m.containers.SetProject(m.part(Docker, next))
	}
	if !maps.Equal(before.Keep[Swarm], next.Keep[Swarm]) {
		m.Services.SetProject(m.part(Swarm, next))
	}
	for _, name := range next.Note {
		if err := m.note(ctx, name); err != nil {
			return false, err
		}
	}
	if name := next.Prepare; name != "" {
		if err := m.prepare(ctx, w, name); err != nil && ctx.Err() == nil {
			m.mu.Lock()
			m.failed[name] = fmt.Sprintf("it cannot be prepared: %v", err)
			m.mu.Unlock()
			m.Say("%s: stays: %s", name, m.failed[name])
		}
	}
	return next.Done, nil
}

// tell says what begins for a workload.
func (m *move) tell(before, next Plan) {
	sides := map[Side]string{Docker: "the engine", Swarm: "the Swarm"}
	for _, name := range m.order {
		for _, side := range []Side{Docker, Swarm} {
			was, is := before.Keep[side][name], next.Keep[side][name]
			switch {
			case is && !was:
				m.Say("%s: begins on %s", name, sides[side])
			case was && !is:
				m.Say("%s: ends on %s", name, sides[side])
			}
		}
		if before.Ingress[name] && !next.Ingress[name] {
			m.Say("%s: its published ports are let go", name)
		}
	}
}

// part is the project as a side is to keep it now.
func (m *move) part(side Side, p Plan) *spec.Project {
	whole := m.Docker
	if side == Swarm {
		whole = m.Swarm
	}
	part := *whole
	part.Workloads, part.Elsewhere = map[string]*spec.Workload{}, nil
	for name, w := range whole.Workloads {
		switch service := spec.ServiceOf(name); {
		case w.Kind == spec.Ingress && p.Ingress[service], w.Kind != spec.Ingress && p.Keep[side][name]:
			part.Workloads[name] = w
		case w.Kind != spec.Ingress:
			part.Elsewhere = append(part.Elsewhere, name)
		}
	}
	return &part
}

// ingresses are the names of the ingresses that hold a workload's ports on the engine.
func (m *move) ingresses(name string) (all []string) {
	for key, w := range m.Docker.Workloads {
		if w.Kind == spec.Ingress && w.Backend.Service == name {
			all = append(all, key)
		}
	}
	slices.Sort(all)
	return all
}

// joinAll waits for the overlays, and has the containers join them.
func (m *move) joinAll(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, networksTimeout, fmt.Errorf("nothing has moved after %s", networksTimeout))
	defer cancel()
	for {
		w, err := m.look(ctx)
		if err != nil {
			return err
		}
		missing := slices.DeleteFunc(slices.Sorted(maps.Values(overlays(m.Docker))), func(name string) bool { return w.overlays[name] })
		if len(missing) == 0 {
			return m.join(ctx, w)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w, as the Swarm has no network %s", context.Cause(ctx), strings.Join(missing, ", "))
		case <-time.After(pace):
		}
	}
}

// join has each container that runs join the overlays of its networks.
func (m *move) join(ctx context.Context, w world) error {
	for _, c := range w.containers {
		for _, j := range m.unjoined(c) {
			err := m.Engine.ConnectNetwork(ctx, c.ID, j.overlay, j.aliases...)
			if class := engine.ClassOf(err); err != nil && class != engine.NotFound && class != engine.Conflict {
				return err
			}
		}
	}
	return nil
}

// joining is an overlay that a container is to join, and the names that it is to have there
// besides its own.
type joining struct {
	overlay string
	aliases []string
}

// unjoined are the overlays that a container is to join still.
func (m *move) unjoined(c engine.Container) []joining {
	if c.State != engine.Running || c.Labels[spec.LabelIngress] != "" || c.Labels[spec.LabelHook] != "" {
		return nil
	}
	all := m.joinsOf(c.Labels[spec.LabelService], slices.Collect(maps.Keys(c.Networks)))
	return slices.DeleteFunc(all, func(j joining) bool { _, joined := c.Networks[j.overlay]; return joined })
}

// joinsOf are the overlays that a container of a service in some networks is to join.
func (m *move) joinsOf(service string, networks []string) (all []joining) {
	join, named := m.joins(service)
	if !join {
		return nil
	}
	beside := overlays(m.Docker)
	for _, network := range networks {
		overlay, ok := beside[network]
		if !ok {
			continue
		}
		j := joining{overlay: overlay}
		if named {
			j.aliases = m.aliases(service, network)
		}
		all = append(all, j)
	}
	return all
}

// joins reports whether the containers of a service are to be in the overlays, and whether
// tasks are to find them there by their names. What both sides have is not to be found, so that
// nobody asks its containers any more once they look names up among the tasks.
func (m *move) joins(service string) (join, named bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	docker, swarm := m.Docker.Workloads[service], m.Swarm.Workloads[service]
	switch {
	case docker == nil || swarm == nil:
		return service != spec.ControllerService, true // tend leaves it alone, and it stays on the engine
	case m.Stays[service] != "" || m.failed[service] != "":
		return true, true
	case alone(docker, swarm) || swarm.Kind == spec.Job:
		return true, true
	case m.To == Swarm:
		return m.plan.Join, false
	default:
		return len(m.Stays)+len(m.failed) > 0, false
	}
}

// aliases are the names of a service's containers in a network, besides their own.
func (m *move) aliases(service, network string) []string {
	names := []string{service}
	if w := m.Docker.Workloads[service]; w != nil {
		if n := w.Template.Networks[w.NetworkKeys[network]]; n != nil {
			names = append(names, n.Aliases...)
		}
	}
	return names
}

// note tells the new side which hooks and runs of a workload there were, as they are not to
// be repeated.
func (m *move) note(ctx context.Context, name string) error {
	var err error
	if m.To == Swarm {
		image, missing := m.Engine.Image(ctx, m.Docker.Workloads[name].Image)
		if class := engine.ClassOf(missing); missing != nil && class != engine.NotFound {
			return missing
		}
		err = m.Services.Note(ctx, record(m.Swarm.Workloads[name], image.Digest))
	} else {
		// That a Job has run the engine believes of its container alone.
		err = m.containers.Note(ctx, core.Rollout{Workload: name, Hooked: m.Docker.Workloads[name].Revision})
	}
	m.noted[name] = err == nil
	return err
}

// record is what the Swarm is told of a workload that has run on the engine, from an image of
// a digest: empty where it has none.
func record(w *spec.Workload, digest string) core.Rollout {
	r := core.Rollout{Workload: w.Name, Hooked: w.Revision}
	if digest != "" && !strings.Contains(w.Image, "@") {
		r.Swarm.Images = map[string]string{w.Revision: w.Image + "@" + digest}
	}
	if w.Kind != spec.Job {
		return r
	}
	r.Revision, r.Stable, r.Complete, r.Succeeded = w.Revision, w.Revision, true, map[int]bool{}
	for n := range w.Replicas {
		r.Succeeded[n+1] = true
	}
	return r
}

// prepare has a Database write out what it holds in memory, and backs it up where its spec
// says so, as before an update.
func (m *move) prepare(ctx context.Context, w world, name string) error {
	database := m.Swarm.Workloads[name]
	m.Say("%s: is prepared", name)
	if m.To == Docker {
		service, node := serviceOf(w, m.Swarm.Name, name)
		if service == nil || node == "" {
			return nil // it is looked at again
		}
		job := convert.Move(m.Swarm, database, service.Spec, node, database.Backup.BeforeUpdate)
		if err := swarm.RunJob(ctx, m.Manager, job, io.Discard, io.Discard); err != nil {
			return fmt.Errorf("prepare %s: %w", name, err)
		}
		m.prepared[name] = true
		return nil
	}
	for _, c := range w.containers {
		if c.Labels[spec.LabelService] != name || c.State != engine.Running || c.Labels[spec.LabelOneoff] == "True" {
			continue
		}
		if database.Backup.BeforeUpdate {
			err := postgres.Checkpoint(ctx, m.Engine, c.ID)
			if err == nil {
				_, err = postgres.Backup(ctx, m.Engine, c.ID, m.DataDir, name, database.Backup.Keep, func(int64) {})
			}
			if err != nil {
				return fmt.Errorf("back up %s: %w", name, err)
			}
		}
		if err := postgres.Checkpoint(ctx, m.Engine, c.ID); err != nil {
			return fmt.Errorf("prepare %s: %w", name, err)
		}
		m.prepared[name] = true
	}
	return nil
}

// finish takes away what is of the side that has nothing any more.
func (m *move) finish(ctx context.Context) error {
	if len(m.plan.Stay) > 0 {
		return nil
	}
	if m.To == Swarm {
		return m.removeBridges(ctx)
	}
	w, err := m.look(ctx)
	if err != nil {
		return err
	}
	for _, c := range w.containers {
		for _, overlay := range overlays(m.Docker) {
			if _, joined := c.Networks[overlay]; !joined {
				continue
			}
			if err := m.Engine.DisconnectNetwork(ctx, c.ID, overlay); err != nil && engine.ClassOf(err) != engine.NotFound {
				return err
			}
		}
	}
	m.Services.RemoveAll()
	return m.Services.Wait(ctx)
}

// removeBridges removes the bridges that no container is in.
func (m *move) removeBridges(ctx context.Context) error {
	networks, err := m.Engine.Networks(ctx, m.Docker.Name)
	if err != nil {
		return err
	}
	for _, n := range networks {
		if written, ok := m.Docker.Networks[n.Name]; !ok || written.External {
			continue
		}
		switch err := m.Engine.RemoveNetwork(ctx, n.ID); {
		case engine.ClassOf(err) == engine.Conflict:
			m.Say("network %s stays: a container is in it that tend leaves alone", n.Name)
		case err != nil:
			return err
		}
	}
	return nil
}
