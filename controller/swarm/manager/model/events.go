package model

import (
	"context"
	"slices"

	"github.com/tendhq/tend/controller/swarm/manager"
)

// eventBuffer is how many events wait for a slow subscriber. When it is full, events are
// silently lost, as in Docker.
const eventBuffer = 256

type subscription struct {
	events chan manager.Event
	err    error
}

// Events subscribes to all that a Swarm tells.
func (s *Swarm) Events(ctx context.Context) (<-chan manager.Event, func() error, error) {
	to := &subscription{events: make(chan manager.Event, eventBuffer)}
	err := s.do(ctx, OpEvents, "", func() error {
		s.subscriptions = append(s.subscriptions, to)
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	context.AfterFunc(ctx, func() {
		s.agenda.Lock()
		defer s.agenda.Unlock()
		s.endSubscription(to, nil)
	})
	return to.events, func() error { return to.err }, nil
}

func (s *Swarm) emit(kind, action, id, name string) {
	for _, to := range s.subscriptions {
		select {
		case to.events <- manager.Event{Time: s.agenda.Now, Type: kind, Action: action, ID: id, Name: name}:
		default:
		}
	}
}

func (s *Swarm) endSubscription(to *subscription, err error) {
	i := slices.Index(s.subscriptions, to)
	if i < 0 {
		return
	}
	s.subscriptions = slices.Delete(s.subscriptions, i, i+1)
	to.err = err
	close(to.events)
}
