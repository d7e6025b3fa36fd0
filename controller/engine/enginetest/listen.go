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

// ends waits until each of some containers was destroyed, and returns all events.
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
	return l.heard()
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
