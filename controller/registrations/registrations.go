// Package registrations keeps the checks of services that run outside of tend and were
// registered: it lets their TTLs expire, asks them over HTTP, and deregisters those that
// stay critical for longer than they have asked for.
package registrations

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/state"
)

const (
	// maxAsked bounds how many services are asked at the same time.
	maxAsked = 16
	// spread bounds the first wait, so that not all are asked at the same moment.
	spread = time.Second
	// expired is the output of a check whose service has said nothing for its TTL.
	expired = "TTL expired"
)

// Keeper keeps the checks of the registrations in a store.
type Keeper struct {
	store *state.Store
	turns chan struct{} // one for each that is being asked

	mu sync.Mutex
	// heard is when a service said last how it is, by the ID of the check.
	heard map[string]time.Time
}

// New makes a keeper; Run starts it.
func New(store *state.Store) *Keeper {
	return &Keeper{store: store, turns: make(chan struct{}, maxAsked), heard: map[string]time.Time{}}
}

// Register writes a registration, in the place of one with its ID. A check that was there
// before keeps what it said. changed reports whether another one was registered before, or
// none.
func (k *Keeper) Register(r core.Registration) (changed bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	k.store.Update(func(tx *state.Tx) {
		var before core.Registration
		row, known := tx.Registration(r.ID)
		if known {
			before = row.Registration
		}
		k.forget(before)
		r = r.WithChecks(func(c core.Check) core.Check {
			k.heard[c.ID] = now
			if old, ok := before.Check(c.ID); ok && (c.Status == "" || c.Status == old.Status) {
				c.Status, c.Output, c.Since = old.Status, old.Output, old.Since
				return c
			}
			if c.Status == "" {
				c.Status = core.CheckCritical
			}
			c.Since = now
			return c
		})
		index := tx.EndpointsIndex()
		tx.PutRegistration(r)
		changed = tx.EndpointsIndex() != index
	})
	return changed
}

// Deregister forgets a registration, and reports whether there was one.
func (k *Keeper) Deregister(id string) (known bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.store.Update(func(tx *state.Tx) { known = k.delete(tx, id) })
	return known
}

// delete deletes a registration, and reports whether there was one. Its caller holds the lock.
func (k *Keeper) delete(tx *state.Tx, id string) (known bool) {
	row, known := tx.Registration(id)
	if known {
		k.forget(row.Registration)
		tx.DeleteRegistration(id)
	}
	return known
}

func (k *Keeper) forget(r core.Registration) {
	for _, c := range r.Checks {
		delete(k.heard, c.ID)
	}
}

// Heard notes what a service says of a check with a TTL, and reports whether there is one.
func (k *Keeper) Heard(check string, status core.CheckStatus, output string) (known bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, row := range k.store.Snapshot().Registrations("") {
		if c, ok := row.Check(check); ok && c.TTL > 0 {
			k.heard[check] = time.Now()
			k.say(row.ID, check, status, output)
			return true
		}
	}
	return false
}

// say writes what a check says. Its caller holds the lock.
func (k *Keeper) say(id, check string, status core.CheckStatus, output string) {
	now := time.Now()
	k.store.Update(func(tx *state.Tx) {
		row, ok := tx.Registration(id)
		if !ok {
			return
		}
		tx.PutRegistration(row.WithChecks(func(c core.Check) core.Check {
			if c.ID != check {
				return c
			}
			if c.Status != status {
				c.Since = now
			}
			c.Status, c.Output = status, output
			return c
		}))
	})
}

// kept is a check that is kept: a goroutine's, until its definition changes.
type kept struct {
	registration string
	check        core.Check
}

// Run keeps the checks until ctx ends. A TTL begins anew with it.
func (k *Keeper) Run(ctx context.Context) {
	var group sync.WaitGroup
	defer group.Wait()
	stops := map[kept]context.CancelFunc{}
	for {
		snap := k.store.Snapshot()
		changes := snap.Watch()
		there := map[kept]bool{}
		for _, row := range snap.Registrations("") {
			for _, c := range row.Checks {
				there[kept{row.ID, c.Definition()}] = true
			}
		}
		for one := range there {
			if stops[one] == nil {
				keeping, stop := context.WithCancel(ctx)
				stops[one] = stop
				group.Go(func() { k.keep(keeping, one) })
			}
		}
		for one, stop := range stops {
			if !there[one] {
				stop()
				delete(stops, one)
			}
		}
		if changes.WatchCtx(ctx) != nil {
			for _, stop := range stops {
				stop()
			}
			return
		}
	}
}

// keep keeps one check until ctx ends.
func (k *Keeper) keep(ctx context.Context, one kept) {
	step, wait := k.expire, one.check.TTL
	if one.check.HTTP != "" {
		step, wait = k.ask, rand.N(min(spread, one.check.Interval))
	} else {
		k.begin(one.check.ID)
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		if wait = step(ctx, one); ctx.Err() != nil {
			return
		}
		if after := one.check.DeregisterAfter; after > 0 {
			wait = min(wait, after)
			k.abandon(one)
		}
	}
}

// begin has a TTL begin now unless the service has been heard.
func (k *Keeper) begin(check string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.heard[check].IsZero() {
		k.heard[check] = time.Now()
	}
}

// expire has a check be critical when its TTL is over, and returns when to look again.
func (k *Keeper) expire(_ context.Context, one kept) time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	if left := time.Until(k.heard[one.check.ID].Add(one.check.TTL)); left > 0 {
		return left
	}
	k.say(one.registration, one.check.ID, core.CheckCritical, expired)
	return one.check.TTL
}

// ask asks a service, and returns when to ask again.
func (k *Keeper) ask(ctx context.Context, one kept) time.Duration {
	select {
	case k.turns <- struct{}{}:
		defer func() { <-k.turns }()
	case <-ctx.Done():
		return 0
	}
	asking, cancel := context.WithTimeout(ctx, one.check.Timeout)
	defer cancel()
	status, output := ask(asking, one.check.HTTP)
	if ctx.Err() == nil {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.say(one.registration, one.check.ID, status, output)
	}
	return one.check.Interval
}

// abandon deregisters a service whose check has been critical for too long.
func (k *Keeper) abandon(one kept) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.store.Update(func(tx *state.Tx) {
		row, ok := tx.Registration(one.registration)
		if !ok {
			return
		}
		if c, ok := row.Check(one.check.ID); ok && c.Status == core.CheckCritical && time.Since(c.Since) >= one.check.DeregisterAfter {
			k.delete(tx, one.registration)
		}
	})
}
