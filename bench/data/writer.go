package main

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/tendhq/tend/e2e/kit"
)

const (
	// writePause is between two rows, so that all projects share the disk.
	writePause = 10 * time.Millisecond
	// connectionRows is how many rows go over a connection. The next one goes to
	// any container that runs, as the engine's name server gives all of them.
	connectionRows = 25
	// retryPause is before a store that has failed is asked again.
	retryPause = 100 * time.Millisecond
)

// writer adds one numbered row after the other to a project's store. A row
// without an acknowledgement may be there or not, and is not sent again.
type writer struct {
	// addresses are those of the containers that run now.
	addresses func(ctx context.Context) ([]string, error)
	connect   func(ctx context.Context, address string) (store, error)

	mu           sync.Mutex
	acknowledged []int
	next         int
	lastError    error
}

// write adds rows until ctx ends.
func (w *writer) write(ctx context.Context) {
	for ctx.Err() == nil {
		if err := w.oneConnection(ctx); err != nil {
			w.mu.Lock()
			w.lastError = err
			w.mu.Unlock()
			_ = kit.Pause(ctx, retryPause)
		}
	}
}

func (w *writer) oneConnection(ctx context.Context) error {
	addresses, err := w.addresses(ctx)
	if err != nil {
		return err
	}
	if len(addresses) == 0 {
		return kit.Pause(ctx, retryPause)
	}
	address := addresses[rand.IntN(len(addresses))]
	s, err := w.connect(ctx, address)
	if err != nil {
		return err
	}
	defer s.close()
	// Another project's container may have got the address of one that has just gone.
	if addresses, err = w.addresses(ctx); err != nil || !slices.Contains(addresses, address) {
		return err
	}
	for range connectionRows {
		if err := kit.Pause(ctx, writePause); err != nil {
			return err
		}
		n := w.number()
		// A row that is under way when the writer ends is waited for.
		if err := s.add(context.WithoutCancel(ctx), n); err != nil {
			return err
		}
		w.mu.Lock()
		w.acknowledged = append(w.acknowledged, n)
		w.mu.Unlock()
	}
	return nil
}

// number returns the number of the next row.
func (w *writer) number() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.next++
	return w.next
}

// rows are the numbers of the rows that were acknowledged.
func (w *writer) rows() []int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.acknowledged)
}

// count is how many rows were acknowledged.
func (w *writer) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.acknowledged)
}

// trouble is the last error.
func (w *writer) trouble() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lastError
}
