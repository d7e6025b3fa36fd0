package enginetest

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/engine"
)

// listener hears the events of a project until its test ends.
type listener struct {
	mu     sync.Mutex
	events []engine.Event
}

func listen(t T, e engine.Engine, project string) *listener {
	ctx, cancel := context.WithCancel(t.Context())
	events, _, failed := e.Events(ctx, project)
	require.NoError(t, failed)
	l := &listener{}
	var reading sync.WaitGroup
	reading.Go(func() {
		for event := range events {
			l.mu.Lock()
			l.events = append(l.events, event)
			l.mu.Unlock()
		}
	})
	t.Cleanup(func() {
		cancel()
		reading.Wait()
	})
	return l
}

// heard returns all events so far.
func (l *listener) heard() []engine.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.events)
}

// ends waits until each of some containers was destroyed, and returns all events in order.
func (l *listener) ends(t T, ids []string) []engine.Event {
	t.Helper()
	require.Eventually(t, func() bool {
		gone := 0
		for _, e := range l.heard() {
			if e.Action == "destroy" && slices.Contains(ids, e.ContainerID) {
				gone++
			}
		}
		return gone == len(ids)
	}, patience, 10*time.Millisecond, "events did not come")
	return inOrder(l.heard())
}

// inOrder returns events with the "die" of each container before the "stop" that it
// belongs to. Up to Engine 26.1 they come so; the newest engine sends the two side by side.
func inOrder(events []engine.Event) []engine.Event {
	stops := map[string]int{} // the place of each "stop" that may precede its "die", by container
	for i, e := range events {
		at, early := stops[e.ContainerID]
		if early && e.Action == "die" {
			events[at], events[i] = events[i], events[at]
			events[at].Time, events[i].Time = events[i].Time, events[at].Time
		}
		delete(stops, e.ContainerID)
		if e.Action == "stop" {
			stops[e.ContainerID] = i
		}
	}
	return events
}

// actions are the actions of a container's events.
func actions(events []engine.Event, id string) []string {
	var all []string
	for _, e := range events {
		if e.ContainerID == id {
			all = append(all, e.Action)
		}
	}
	return all
}
