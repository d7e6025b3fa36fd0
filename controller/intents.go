package controller

import (
	"context"
	"reflect"
	"time"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/state"
)

// UnknownWorkloadError reports that a request named a workload that is not kept.
type UnknownWorkloadError struct{ Workload string }

func (e *UnknownWorkloadError) Error() string { return "there is no workload " + e.Workload }

// Asked reports what somebody asked for.
func (c *Controller) Asked(asked core.Event) {
	c.metrics.intents.WithLabelValues(asked.Reason).Inc()
	c.do(func(l *loop) { l.reconciler.event(asked, time.Now()) })
}

// Intend changes what people ask of a workload, and returns when the workload has been
// planned with that. asked names the workload, and is reported where something changes.
// change gets a copy of what was asked before, and the state to refer to; where it
// returns an error, nothing changes and Intend returns it.
func (c *Controller) Intend(ctx context.Context, asked core.Event, change func(*core.Intent, *state.Snapshot) error) error {
	done := make(chan error, 1)
	c.do(func(l *loop) {
		changed, err := ChangeIntent(c.store, asked.Workload, change)
		if err != nil {
			done <- err
			return
		}
		if changed {
			c.metrics.intents.WithLabelValues(asked.Reason).Inc()
			l.reconciler.event(asked, time.Now())
		}
		l.planned = append(l.planned, func() { done <- nil })
	})
	return c.await(ctx, done)
}

// ChangeIntent writes down what people ask of a workload now, as change makes it of what
// they asked before, and reports whether that differs. The error is an UnknownWorkloadError,
// or change's own.
func ChangeIntent(s *state.Store, workload string, change func(*core.Intent, *state.Snapshot) error) (changed bool, err error) {
	snap := s.Snapshot()
	if _, ok := snap.Workload(workload); !ok {
		return false, &UnknownWorkloadError{Workload: workload}
	}
	intent := core.Intent{}
	if row, ok := snap.Intent(workload); ok {
		intent = row.Intent
	}
	before := intent
	if err := change(&intent, snap); err != nil {
		return false, err
	}
	s.Update(func(tx *state.Tx) { tx.PutIntent(&state.Intent{Workload: workload, Intent: intent}) })
	return !reflect.DeepEqual(intent, before), nil
}

// Subscribed notes that a subscriber asked for the endpoints that follow an index, and
// so acknowledges that index. disconnected is to be called when the connection breaks
// before the answer. The error is ErrTooManyNames.
func (c *Controller) Subscribed(who Subscriber, index uint64) (disconnected func(), err error) {
	query, err := c.subscribers.asked(who, index, time.Now())
	if err != nil {
		return nil, err
	}
	c.do(func(l *loop) { c.mark(l.reconciler.draining()...) })
	return func() {
		c.subscribers.disconnected(who, query, time.Now())
		c.do(func(l *loop) { c.mark(l.reconciler.draining()...) })
	}, nil
}
