package controller

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/ingresses"
	"github.com/tendhq/tend/controller/logs"
	"github.com/tendhq/tend/controller/plan"
	"github.com/tendhq/tend/state"
)

// errStopped reports that the controller has ended.
var errStopped = errors.New("the controller has stopped")

// WorkloadPlan is what the planner decides for a workload now.
type WorkloadPlan struct {
	// UnderWay are the actions that were decided and have not ended; Next are those that
	// would be taken now.
	UnderWay, Next []core.Action
	Status         core.Status
}

// Plan plans a workload, and neither remembers the plan nor carries anything out. The
// error is an *UnknownWorkloadError where there is no such workload.
func (c *Controller) Plan(ctx context.Context, workload string) (WorkloadPlan, error) {
	var p WorkloadPlan
	done := make(chan error, 1)
	c.do(func(l *loop) {
		r, snap := &l.reconciler, c.store.Snapshot()
		if _, ok := snap.Workload(workload); !ok || r.project == nil {
			done <- &UnknownWorkloadError{Workload: workload}
			return
		}
		for _, a := range r.flights[workload] {
			p.UnderWay = append(p.UnderWay, a)
		}
		slices.SortFunc(p.UnderWay, func(a, b core.Action) int { return cmp.Compare(object(a), object(b)) })
		planned := plan.Compute(r.input(snap, workload, time.Now()))
		p.Next, p.Status = planned.Actions, planned.Status
		done <- nil
	})
	if err := c.await(ctx, done); err != nil {
		return WorkloadPlan{}, err
	}
	return p, nil
}

// await waits until the loop has answered.
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

// Kill has the engine kill the process of a container, and reports asked. It is no
// action: to the planner it is what somebody did behind its back.
func (c *Controller) Kill(ctx context.Context, asked core.Event, id string) error {
	if err := c.executor.Kill(ctx, id); err != nil {
		return err
	}
	c.Asked(asked)
	return nil
}

// Logs emits what the containers of a workload have written, and with follow what they
// write from then on, until ctx ends.
func (c *Controller) Logs(ctx context.Context, workload string, follow bool, o logs.Options, emit func(logs.Line) error) error {
	r := logs.Reader{Engine: c.options.Engine, Project: c.options.Project, Workload: workload, Options: o, Emit: emit}
	if follow {
		return r.Follow(ctx)
	}
	containers, err := r.Containers(ctx)
	if err != nil {
		return err
	}
	return r.Read(ctx, containers)
}

// Traffic returns what was counted in the last fifteen minutes: by each ingress, under its
// name, and by the subscribers for a workload, under the name of that.
func (c *Controller) Traffic() map[string][]ingresses.Sample {
	all := c.ingresses.Samples()
	maps.Copy(all, c.gateways.samples())
	return all
}

// Note writes down what is known of a workload that a Swarm has kept in the place of what is
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
