package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/client"

	"github.com/tendhq/tend/e2e/kit"
)

// watch follows the engine's container events of all projects of the
// benchmark: what happened, and when by the engine's clock, is read from them
// for every contender alike.
type watch struct {
	stop   context.CancelFunc
	ended  chan struct{}
	mu     sync.Mutex
	events []events.Message
	err    error
	more   chan struct{} // closed, and replaced, with each event
}

// startWatch follows the events from now on.
func startWatch(ctx context.Context, cli *client.Client) *watch {
	ctx, stop := context.WithCancel(ctx)
	w := &watch{stop: stop, ended: make(chan struct{}), more: make(chan struct{})}
	messages, broken := cli.Events(ctx, events.ListOptions{
		Since: time.Now().Format(time.RFC3339Nano), // the engine replays what it sends before it has subscribed
		Filters: filters.NewArgs(
			filters.Arg("type", string(events.ContainerEventType)),
			filters.Arg("event", string(events.ActionStart)),
			filters.Arg("event", string(events.ActionDie)),
			filters.Arg("event", string(events.ActionKill)),
			filters.Arg("event", string(events.ActionDestroy)),
		),
	})
	go func() {
		defer close(w.ended)
		for {
			select {
			case m := <-messages:
				w.add(m)
			case err := <-broken:
				w.end(err)
				return
			}
		}
	}()
	return w
}

func (w *watch) close() {
	w.stop()
	<-w.ended
}

func (w *watch) add(m events.Message) {
	if !ours(m.Actor.Attributes) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, m)
	close(w.more)
	w.more = make(chan struct{})
}

func (w *watch) end(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = fmt.Errorf("the engine's event stream ended: %w", err)
	close(w.more)
	w.more = make(chan struct{})
}

// mark is the place in the stream from which to look later.
func (w *watch) mark() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.events)
}

// since returns a project's events after a mark.
func (w *watch) since(mark int, project string) []events.Message {
	found, _, _ := w.look(mark, project, "")
	return found
}

func (w *watch) look(mark int, project string, action events.Action) (found []events.Message, more chan struct{}, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range w.events[mark:] {
		if m.Actor.Attributes[kit.ProjectLabel] == project && (action == "" || m.Action == action) {
			found = append(found, m)
		}
	}
	return found, w.more, w.err
}

// await waits for the n-th event of a kind in a project after a mark, and
// returns it.
func (w *watch) await(ctx context.Context, mark int, project string, action events.Action, n int) (events.Message, error) {
	for {
		found, more, err := w.look(mark, project, action)
		switch {
		case len(found) >= n:
			return found[n-1], nil
		case err != nil:
			return events.Message{}, err
		}
		select {
		case <-more:
		case <-ctx.Done():
			return events.Message{}, fmt.Errorf("%d of %d %q events in project %s: %w", len(found), n, action, project, context.Cause(ctx))
		}
	}
}

// instant is when an event happened, by the engine's clock.
func instant(m events.Message) time.Time { return time.Unix(0, m.TimeNano) }
