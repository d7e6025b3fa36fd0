// Package ingresses speaks to the ingresses of a project: it tells each one to which
// replicas its host port leads, and hears what has come of that. It knows neither a plan
// nor a state; what an ingress is told is a value that it gets.
package ingresses

import (
	"context"
	"io"
	"reflect"
	"sync"
	"time"

	"github.com/tendhq/tend/ingress"
)

// Run is one run of an ingress's container.
type Run struct {
	ID        string
	StartedAt time.Time
}

// Engine is how an ingress is reached.
type Engine interface {
	// Attach connects to the standard input and output of a container's process.
	Attach(ctx context.Context, id string) (io.ReadWriteCloser, error)
}

// Report is what was heard of an ingress.
type Report struct {
	// Serving is true once it has put a configuration of this process in force, and a
	// proxy serves.
	Serving bool
	// Err is why the ingress cannot be spoken to, or why it does not serve, in words for
	// a person; empty where neither is so.
	Err string
	// Status is the last one; zero before the first.
	Status ingress.Status
}

// Options are what Ingresses need.
type Options struct {
	Engine Engine
	// Version is the one that an ingress reports when it runs this program.
	Version string
	// Upgrade copies this program into the container of an ingress that runs another one,
	// and returns its path there.
	Upgrade func(ctx context.Context, id string) (path string, err error)
	// Heard is called when what is known of an ingress has changed, or the last
	// connection of a replica that leaves has ended. It must not block.
	Heard func(workload string, run Run, r Report)
}

// Ingresses speaks to any number of ingresses, each in a goroutine of its own.
type Ingresses struct {
	options Options

	mu         sync.Mutex
	links      map[string]*link // by workload
	generation int64            // the last one that was given to a configuration
	settled    chan struct{}    // closed, and made anew, when a configuration is in force
	samples    History
	busy       sync.WaitGroup
}

// New returns Ingresses that know of none.
func New(o Options) *Ingresses {
	return &Ingresses{
		options: o, links: map[string]*link{}, samples: History{}, settled: make(chan struct{}),
		// A status may still carry a generation of an earlier process, which must not look
		// like one of this process.
		generation: time.Now().UnixMilli(),
	}
}

// Follow begins the conversation with the ingress of a workload, for as long as its run
// lasts and ctx does. It is told nothing before Sync.
func (i *Ingresses) Follow(ctx context.Context, workload string, run Run) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.follow(ctx, workload, run)
}

// Sync has the ingress of a workload told a configuration, for as long as its run lasts
// and ctx does. What it was told before is forgotten.
func (i *Ingresses) Sync(ctx context.Context, workload string, run Run, config ingress.Config) {
	i.mu.Lock()
	defer i.mu.Unlock()
	l := i.follow(ctx, workload, run)
	config.Generation = l.config.Generation
	if l.told() && reflect.DeepEqual(config, l.config) {
		return
	}
	i.generation++
	config.Generation = i.generation
	l.config = config
	l.wake()
}

// follow returns the conversation with a run of an ingress, which it begins where there is
// none. The mutex is held.
func (i *Ingresses) follow(ctx context.Context, workload string, run Run) *link {
	l, ok := i.links[workload]
	if ok && l.run != run {
		l.stop()
		ok = false
	}
	if !ok {
		l = &link{Ingresses: i, workload: workload, run: run, changed: make(chan struct{}, 1), open: map[string]int{}}
		ctx, l.stop = context.WithCancel(ctx)
		i.links[workload] = l
		i.busy.Go(func() { l.keep(ctx) })
	}
	return l
}

// Drop ends the conversation with the ingress of a workload.
func (i *Ingresses) Drop(workload string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if l, ok := i.links[workload]; ok {
		l.stop()
		delete(i.links, workload)
	}
}

// Follows reports whether the ingress of a workload runs, so that it may have clients.
func (i *Ingresses) Follows(workload string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	_, ok := i.links[workload]
	return ok
}

// Released reports whether the ingress of a workload gives a replica nothing any more,
// and has nothing open there. One that does not run gives nothing to anybody.
func (i *Ingresses) Released(workload, id string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	l, ok := i.links[workload]
	return !ok || l.inForce() && !l.leadsTo(id) && l.open[id] == 0
}

// Reports returns what was last heard of each ingress that runs, by workload.
func (i *Ingresses) Reports() map[string]Report {
	i.mu.Lock()
	defer i.mu.Unlock()
	all := map[string]Report{}
	for workload, l := range i.links {
		all[workload] = l.report
	}
	return all
}

// Settle waits until each ingress has in force what it was told last, or until ctx ends.
func (i *Ingresses) Settle(ctx context.Context) {
	for {
		i.mu.Lock()
		done, settled := true, i.settled
		for _, l := range i.links {
			done = done && (l.inForce() || !l.told())
		}
		i.mu.Unlock()
		if done {
			return
		}
		select {
		case <-settled:
		case <-ctx.Done():
			return
		}
	}
}

// Wait returns when every conversation has ended.
func (i *Ingresses) Wait() { i.busy.Wait() }
