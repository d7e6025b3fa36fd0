package model

import (
	"context"
	"errors"
	"maps"
	"slices"
	"syscall"

	"github.com/tendhq/tend/controller/engine"
)

// eventBuffer is how many events wait for a slow subscriber. When it is full, events
// are silently lost, as in Docker.
const eventBuffer = 256

// errAway is the error of every request while the engine is away.
var errAway = errors.New("cannot connect to the engine")

type subscription struct {
	project string
	events  chan engine.Event
	err     error
}

// Events subscribes to the project's containers, and to all images, networks and volumes.
func (e *Engine) Events(ctx context.Context, project string) (<-chan engine.Event, func() error, error) {
	s, err := ask(ctx, e, OpEvents, project, func() (*subscription, error) {
		s := &subscription{project: project, events: make(chan engine.Event, eventBuffer)}
		e.subscriptions = append(e.subscriptions, s)
		return s, nil
	})
	if err != nil {
		return nil, nil, err
	}
	context.AfterFunc(ctx, func() {
		e.agenda.Lock()
		defer e.agenda.Unlock()
		e.endSubscription(s, nil)
	})
	return s.events, func() error { return s.err }, nil
}

func (e *Engine) emit(c *instance, action string) { e.send(c, engine.Event{Action: action}) }

func (e *Engine) emitKill(c *instance, s syscall.Signal) {
	e.send(c, engine.Event{Action: "kill", Signal: s})
}

func (e *Engine) send(c *instance, event engine.Event) {
	event.Time, event.ContainerID, event.Labels = e.agenda.Now, c.ID, maps.Clone(c.Labels)
	for _, s := range e.subscriptions {
		if s.project == c.Labels[engine.ProjectLabel] {
			s.send(event)
		}
	}
}

// emitResource tells of an image, a network or a volume.
func (e *Engine) emitResource(action string) {
	for _, s := range e.subscriptions {
		s.send(engine.Event{Time: e.agenda.Now, Action: action})
	}
}

func (s *subscription) send(event engine.Event) {
	select {
	case s.events <- event:
	default:
	}
}

func (e *Engine) endSubscription(s *subscription, err error) {
	i := slices.Index(e.subscriptions, s)
	if i < 0 {
		return
	}
	e.subscriptions = slices.Delete(e.subscriptions, i, i+1)
	s.err = err
	close(s.events)
}

func (e *Engine) endSubscriptions(err error) {
	for len(e.subscriptions) > 0 {
		e.endSubscription(e.subscriptions[0], err)
	}
}
