package client

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// A read that takes longer than nineteen of twenty did is made at another replica, too:
	// what comes first counts, and the other one is broken off. So one replica that is slow
	// or hangs costs no read more than this wait, at most a twentieth of the reads is made
	// twice, and the budget of repetitions pays for them
	// (Dean and Barroso, The Tail at Scale, 2013).
	slowest = 0.95
	// remembered is how many reads tell how long they take, and learned from how many on.
	remembered = 128
	learned    = 32
	// shortestWait keeps very fast reads from being made twice for nothing, and firstWait
	// holds until enough have told.
	shortestWait = 25 * time.Millisecond
	firstWait    = 500 * time.Millisecond
)

// waits are how long the last reads took.
type waits struct {
	mu    sync.Mutex
	took  [remembered]time.Duration
	count int
}

func (w *waits) add(took time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.took[w.count%remembered] = took
	w.count++
}

// slow returns after how long a read is slow.
func (w *waits) slow() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.count < learned {
		return firstWait
	}
	took := slices.Sorted(slices.Values(w.took[:min(w.count, remembered)]))
	return max(took[int(slowest*float64(len(took)))], shortestWait)
}

// hedged makes one attempt to read, and where that is slow another one beside it.
func (c *caller) hedged(ctx context.Context, method string, attempt attempt) ([]byte, error) {
	at, err := c.replicas.acquire(ctx)
	if err != nil {
		return nil, &UnavailableError{Service: c.target, Err: err}
	}
	attempting, cancel := context.WithCancel(ctx)
	defer cancel()
	outcomes := make(chan outcome, 2)
	try := func(at *replica) { outcomes <- c.attempt(attempting, at, attempt) }
	go try(at)
	timer := time.NewTimer(c.reads.slow())
	defer timer.Stop()
	select {
	case only := <-outcomes:
		return c.settleRead(ctx, method, only)
	case <-timer.C:
	}
	other := c.replicas.acquireOther(at)
	if other == nil {
		return c.settleRead(ctx, method, <-outcomes)
	}
	if !c.budget.spend() {
		c.replicas.abandon(other)
		return c.settleRead(ctx, method, <-outcomes)
	}
	go try(other)
	chosen := <-outcomes
	if !chosen.failed() {
		cancel() // so that the other one ends at once
	}
	left := <-outcomes
	if chosen.failed() && !left.failed() {
		chosen, left = left, chosen
	}
	c.metrics.ObserveHedge(c.target, chosen.at == other && !chosen.failed())
	c.overtaken(ctx, at, chosen, left)
	return c.settleRead(ctx, method, chosen)
}

// overtaken ends the attempt that was left. The replica first asked is chosen last for a
// while where it was slower or failed; of the other nothing is known.
func (c *caller) overtaken(ctx context.Context, first *replica, chosen, left outcome) {
	if left.at != first {
		c.replicas.abandon(left.at)
		return
	}
	if !chosen.failed() {
		c.reads.add(left.took)
	}
	c.replicas.release(left.at, ctx.Err() == nil)
}

// settleRead is settle, and remembers how long an answer took.
func (c *caller) settleRead(ctx context.Context, method string, o outcome) ([]byte, error) {
	if !o.failed() {
		c.reads.add(o.took)
	}
	return c.settle(ctx, method, o)
}
