package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tendhq/tend/state"
)

// waiter is someone who waits for convergence. The channel takes the outcome.
type waiter struct {
	workloads []string
	done      chan error
}

// Wait returns nil once the given workloads, or all, have converged and nothing is
// under way. It returns an error that names the obstacles when ctx ends, or as soon as
// no more waiting can help.
func (c *Controller) Wait(ctx context.Context, workloads ...string) error {
	w := waiter{workloads: workloads, done: make(chan error, 1)}
	c.do(func(l *loop) { l.waiters = append(l.waiters, w) })
	select {
	case err := <-w.done:
		return err
	case <-c.stopped:
		return errors.New("the controller has stopped")
	case <-ctx.Done():
		c.do(func(l *loop) {
			l.waiters = slices.DeleteFunc(l.waiters, func(other waiter) bool { return other.done == w.done })
		})
		return errors.Join(fmt.Errorf("not converged: %w", context.Cause(ctx)), c.obstacles(c.store.Snapshot(), workloads))
	}
}

// answer tells those who wait, after each round of plans.
func (l *loop) answer() {
	for _, f := range l.planned {
		f()
	}
	l.planned = nil
	l.waiters = slices.DeleteFunc(l.waiters, func(w waiter) bool {
		done, err := l.outcome(w.workloads)
		if done {
			w.done <- err
		}
		return done
	})
}

// outcome reports whether waiting has come to an end, and returns why where it has
// failed.
func (l *loop) outcome(workloads []string) (done bool, err error) {
	if !l.Linked() || l.reconciler.project == nil {
		return false, nil
	}
	for _, f := range l.reconciler.flights {
		if len(f) > 0 {
			return false, nil
		}
	}
	snap := l.store.Snapshot()
	if l.reconciler.remove {
		hook := func(h *state.HookRun) bool { return l.reconciler.decides(snap, h.Replica) }
		return len(l.managedReplicas(snap)) == 0 && !slices.ContainsFunc(snap.HookRuns(""), hook), nil
	}
	waiting := false
	for _, row := range snap.Workloads() {
		if len(workloads) > 0 && !slices.Contains(workloads, row.Name) {
			continue
		}
		s, ok := snap.Status(row.Name)
		if !ok || s.ObservedGeneration != row.Generation {
			return false, nil
		}
		if !s.Converged {
			waiting = true
			if !s.Outcome.Halted() {
				return false, nil
			}
		}
	}
	if waiting {
		return true, l.obstacles(snap, workloads)
	}
	// Workloads that were taken out of the project have no row any more.
	return len(workloads) > 0 || !l.hasOrphans(snap), nil
}

// managedReplicas are the containers over which tend decides.
func (l *loop) managedReplicas(snap *state.Snapshot) []*state.Replica {
	return slices.DeleteFunc(snap.Replicas(""), func(r *state.Replica) bool { return !l.reconciler.decides(snap, r.Replica) })
}

func (l *loop) hasOrphans(snap *state.Snapshot) bool {
	return slices.ContainsFunc(l.managedReplicas(snap), func(r *state.Replica) bool {
		return l.reconciler.project.Workloads[r.Workload] == nil
	})
}

// obstacles returns why workloads have not converged.
func (c *Controller) obstacles(snap *state.Snapshot, workloads []string) error {
	var errs []error
	if !c.Linked() {
		errs = append(errs, errors.New("the engine does not answer"))
	}
	for _, row := range snap.Workloads() {
		if len(workloads) > 0 && !slices.Contains(workloads, row.Name) {
			continue
		}
		s, ok := snap.Status(row.Name)
		switch {
		case !ok:
			errs = append(errs, fmt.Errorf("%s: not looked at yet", row.Name))
		case !s.Converged:
			errs = append(errs, fmt.Errorf("%s: %s", row.Name, s.Obstacle))
		}
	}
	return errors.Join(errs...)
}
