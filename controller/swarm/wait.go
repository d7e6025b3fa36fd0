package swarm

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// waiter is someone who waits for convergence. The channel takes the outcome.
type waiter struct{ done chan error }

// Wait returns nil once all workloads have converged, or are gone where that was asked for.
// It returns an error that names the obstacles when ctx ends, or as soon as no more waiting
// can help.
func (c *Controller) Wait(ctx context.Context) error {
	w := waiter{done: make(chan error, 1)}
	c.do(func(l *loop) { l.waiters = append(l.waiters, w) })
	select {
	case err := <-w.done:
		return err
	case <-c.stopped:
		return errStopped
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("not converged: %w", context.Cause(ctx)), c.obstacles())
	}
}

// answer tells those who wait, after each round.
func (l *loop) answer() {
	l.waiters = slices.DeleteFunc(l.waiters, func(w waiter) bool {
		done, err := l.outcome()
		if done {
			w.done <- err
		}
		return done
	})
}

// outcome reports whether waiting has come to an end, and returns why where it has failed.
func (l *loop) outcome() (done bool, err error) {
	if l.rejected != nil {
		return true, l.rejected
	}
	if l.project == nil || l.linked() != nil {
		return false, nil
	}
	foreign := l.foreign()
	if l.remove {
		if foreign != "" {
			return true, errors.New(foreign)
		}
		s := l.seen
		left := len(s.workloads()) + len(s.secrets) + len(s.configs)
		for _, n := range s.networks {
			if written, ok := l.project.Networks[n.Name]; !ok || !written.External {
				left++
			}
		}
		return left == 0, nil
	}
	if l.Ready() != nil || l.acting {
		return false, nil
	}
	snap := l.store.Snapshot()
	halted := false
	for _, s := range snap.Statuses() {
		row, written := snap.Workload(s.Workload)
		switch {
		case written && s.ObservedGeneration != row.Generation:
			return false, nil
		case s.Converged:
		case s.Outcome.Halted():
			halted = true
		default:
			return false, nil
		}
	}
	if halted {
		return true, l.obstacles()
	}
	return true, nil
}

// obstacles returns why workloads have not converged.
func (c *Controller) obstacles() error {
	var errs []error
	if err := c.Ready(); err != nil {
		errs = append(errs, err)
	}
	snap := c.store.Snapshot()
	for _, s := range snap.Statuses() {
		if !s.Converged {
			errs = append(errs, fmt.Errorf("%s: %s", s.Workload, s.Obstacle))
		}
	}
	return errors.Join(errs...)
}
