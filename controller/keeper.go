package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/state"
	"github.com/tendhq/tend/state/durable"
)

const (
	// commitDelay bounds how long a change may wait to be durable where nothing depends
	// on it: an event, or the progress of a rollout.
	commitDelay = time.Second
	// commitTimeout bounds how long the loop waits for the store.
	commitTimeout = 5 * time.Second
	// recommitFirst and recommitMax pace the tries after a commit failed.
	recommitFirst = time.Second
	recommitMax   = time.Minute
)

// Keeper makes durable what is to survive a restart. That helps and is never needed:
// where it cannot be read or written, Keeper reports it, and the controller relies on
// the containers alone.
type Keeper struct {
	store   *state.Store
	durable durable.Store // nil where nothing survives
	metrics *Metrics
	event   func(core.Event)

	// due is when the next commit is to be made; zero for never.
	due time.Time
	// empty is true where the store held nothing, until a full list shows whether it
	// should have.
	empty bool
	// pause is the wait after the last failure; zero while commits succeed.
	pause time.Duration
}

// NewKeeper makes a keeper that writes a state to d; with a nil d nothing survives. event
// takes the keeper's warnings.
func NewKeeper(s *state.Store, d durable.Store, m *Metrics, event func(core.Event)) *Keeper {
	return &Keeper{store: s, durable: d, metrics: m, event: event}
}

// Restore fills the state from the store, and returns the workloads that it remembered.
func (k *Keeper) Restore(ctx context.Context) map[string]bool {
	if k.durable == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	rows, err := k.durable.Load(ctx)
	k.empty = err == nil && len(rows) == 0
	if err == nil {
		err = k.store.Restore(rows)
	}
	if damaged := new(durable.DamagedError); errors.As(err, &damaged) {
		err = k.setAside(ctx, damaged)
	}
	k.metrics.kept(err)
	if err != nil {
		k.warn("StateUnreadable", "what tend remembers cannot be read, and nothing is written over it: %v; what happens from now on is forgotten at the next restart. The containers are kept as written", err)
		_ = k.durable.Close()
		k.durable = nil
		return nil
	}
	return k.store.Snapshot().Remembered()
}

// listed reports a store that was empty although containers of tend's exist.
func (k *Keeper) listed() {
	ours := func(r *state.Replica) bool { return r.Revision != "" }
	if k.empty && slices.ContainsFunc(k.store.Snapshot().Replicas(""), ours) {
		k.warn("StateLost", "nothing is remembered of the containers that tend made before: it was removed, or another data directory was used then. The revision history begins anew; the containers are kept as written")
	}
	k.empty = false
}

// setAside moves damaged rows out of the way, and has the store begin anew.
func (k *Keeper) setAside(ctx context.Context, damaged *durable.DamagedError) error {
	where, err := k.durable.SetAside(ctx, damaged.Damage)
	if err != nil {
		return errors.Join(damaged, err)
	}
	err = k.store.Restore(nil)
	k.warn("StateSetAside", "what tend remembered is %v; it was moved to %s. The revision history, the events and what was asked with tend rollout are lost; the containers are kept as written", damaged, where)
	return err
}

// Commit makes durable what has changed. A decision is committed at once, as the
// actions and answers that follow depend on it; anything else within commitDelay.
func (k *Keeper) Commit(ctx context.Context, now bool) {
	if k.durable == nil {
		return
	}
	began := time.Now()
	changed, decided := k.store.IsPending()
	if k.pause == 0 && !changed {
		return
	}
	now = now || decided
	if k.due.IsZero() {
		k.due = began.Add(commitDelay)
	}
	if began.Before(k.due) && (!now || k.pause > 0) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	err := k.write(ctx)
	k.metrics.commit(time.Since(began))
	k.metrics.kept(err)
	if err == nil {
		failed := k.pause > 0
		k.pause, k.due = 0, time.Time{}
		if failed {
			k.due = time.Now().Add(commitDelay)
			k.event(core.Event{Type: core.Normal, Reason: "StateKept", Message: "what tend remembers is written again"})
		}
		return
	}
	k.store.DropPending() // all of it is written again
	k.pause = min(max(2*k.pause, recommitFirst), recommitMax)
	k.due = time.Now().Add(k.pause)
	k.warn("StateNotKept", "what tend remembers cannot be written: %v; tend goes on without, and what happens meanwhile is forgotten if it is restarted", err)
}

// write writes what has changed, or everything after a failure.
func (k *Keeper) write(ctx context.Context) error {
	if k.pause > 0 {
		return k.durable.Replace(ctx, k.store.TakeAll())
	}
	err := k.durable.Commit(ctx, k.store.TakePending())
	if damaged := new(durable.DamagedError); errors.As(err, &damaged) {
		if err := k.setAside(ctx, damaged); err != nil {
			return err
		}
		return k.durable.Replace(ctx, k.store.TakeAll())
	}
	return err
}

// Close writes what is left, although ctx has ended.
func (k *Keeper) Close(ctx context.Context) {
	if k.durable == nil {
		return
	}
	k.Commit(context.WithoutCancel(ctx), true)
	if err := k.durable.Close(); err != nil {
		k.warn("StateNotKept", "what tend remembers could not be closed: %v", err)
	}
}

func (k *Keeper) warn(reason, format string, args ...any) {
	k.event(core.Event{Type: core.Warning, Reason: reason, Message: fmt.Sprintf(format, args...)})
}
