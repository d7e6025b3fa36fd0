package main

import (
	"context"
	"fmt"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/client"

	"github.com/tendhq/tend/e2e/kit"
)

// witness follows the engine's events and tells each project's judge of them.
type witness struct {
	engine *client.Client
	stop   context.CancelFunc
	ended  chan struct{}

	mu     sync.Mutex
	judges map[string]*judge // by project
	err    error
}

// startWitness follows the events from now on.
func startWitness(ctx context.Context, engine *client.Client) *witness {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	w := &witness{engine: engine, stop: stop, ended: make(chan struct{}), judges: map[string]*judge{}}
	args := filters.NewArgs(filters.Arg("type", string(events.ContainerEventType)), filters.Arg("type", string(events.VolumeEventType)))
	for _, action := range []events.Action{events.ActionCreate, events.ActionStart, events.ActionDie, events.ActionDestroy, events.ActionRename} {
		args.Add("event", string(action))
	}
	messages, broken := engine.Events(ctx, events.ListOptions{Filters: args})
	go func() {
		defer close(w.ended)
		for {
			select {
			case m := <-messages:
				w.told(ctx, m)
			case err := <-broken:
				w.blind(ctx, err)
				return
			}
		}
	}()
	return w
}

// blind notes that not everything was seen.
func (w *witness) blind(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = fmt.Errorf("the engine's events could not be followed to the end: %w", err)
}

func (w *witness) told(ctx context.Context, m events.Message) {
	if m.Type == events.VolumeEventType {
		for _, j := range w.all() {
			j.told(m)
		}
		return
	}
	w.mu.Lock()
	j := w.judges[m.Actor.Attributes[kit.ProjectLabel]]
	w.mu.Unlock()
	if j == nil {
		return
	}
	if m.Action == events.ActionCreate {
		switch c, err := w.engine.ContainerInspect(ctx, m.Actor.ID); {
		case err == nil:
			j.made(c)
		case !errdefs.IsNotFound(err):
			w.blind(ctx, err)
		}
	}
	j.told(m)
}

func (w *witness) all() (all []*judge) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, j := range w.judges {
		all = append(all, j)
	}
	return all
}

// tell has a judge told of a project.
func (w *witness) tell(project string, j *judge) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.judges[project] = j
}

// leave has nobody told of a project.
func (w *witness) leave(project string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.judges, project)
}

// close ends it, and fails where it has not seen everything.
func (w *witness) close() error {
	w.stop()
	<-w.ended
	return w.err
}
