package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/tendhq/tend/api/client"
)

// follower follows the endpoints of a workload as a gateway without requests
// does: what it is told is in force at once.
type follower struct {
	stop  context.CancelFunc
	ended chan struct{}

	mu      sync.Mutex
	changes []change
	err     error
	more    chan struct{} // closed, and replaced, with each change
}

// change is what the endpoints were from some instant on.
type change struct {
	at       time.Time
	replicas []string // names of containers
}

// follow follows the endpoints of the one service of the project in dir.
func follow(ctx context.Context, dir string) (*follower, error) {
	controller, err := client.Dial(filepath.Join(dir, ".tend"))
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	f := &follower{stop: stop, ended: make(chan struct{}), more: make(chan struct{})}
	go func() {
		defer close(f.ended)
		for index := uint64(0); ; {
			c, next, err := poll(ctx, controller, index)
			if f.add(c, err); err != nil {
				return
			}
			index = next
		}
	}()
	return f, nil
}

func (f *follower) close() {
	f.stop()
	<-f.ended
}

// poll waits for the endpoints that follow an index, and so tells the controller that
// the endpoints of that index are in force here.
func poll(ctx context.Context, controller *client.Client, index uint64) (c change, next uint64, err error) {
	endpoints, err := controller.Endpoints(ctx, client.EndpointOptions{Subscriber: prefix + "follower", Index: index, Wait: 30 * time.Second})
	c.at = time.Now()
	for _, e := range endpoints.Workloads[serviceName] {
		c.replicas = append(c.replicas, e.Replica)
	}
	return c, endpoints.Index, err
}

func (f *follower) add(c change, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		f.err = fmt.Errorf("follow the endpoints: %w", err)
	} else {
		f.changes = append(f.changes, c)
	}
	close(f.more)
	f.more = make(chan struct{})
}

// await waits for the first endpoints that satisfy condition, from those in force at
// since on.
func (f *follower) await(ctx context.Context, since time.Time, condition func(replicas []string) bool) (change, error) {
	for {
		changes, more, err := f.since(since)
		if i := slices.IndexFunc(changes, func(c change) bool { return condition(c.replicas) }); i >= 0 {
			return changes[i], nil
		}
		if err != nil {
			return change{}, err
		}
		select {
		case <-more:
		case <-ctx.Done():
			return change{}, fmt.Errorf("endpoints %v: %w", changes, context.Cause(ctx))
		}
	}
}

// fewest is the least number of endpoints at any time since then.
func (f *follower) fewest(since time.Time) int {
	changes, _, _ := f.since(since)
	least := len(changes[0].replicas)
	for _, c := range changes {
		least = min(least, len(c.replicas))
	}
	return least
}

// since returns the endpoints in force at an instant and all that followed.
func (f *follower) since(t time.Time) (changes []change, more chan struct{}, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	first := 0
	for i, c := range f.changes {
		if !c.at.After(t) {
			first = i
		}
	}
	return slices.Clone(f.changes[first:]), f.more, f.err
}
