package docker

import (
	"context"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/docker"
	"github.com/tendhq/tend/controller/swarm/manager"
)

// Events subscribes at one manager. An engine that is none has events, too, and none of them
// are a Swarm's.
func (m *Manager) Events(ctx context.Context) (<-chan manager.Event, func() error, error) {
	const op = "subscribe to events of Swarm"
	ctx, cancel := context.WithCancel(ctx)
	var subscription docker.Subscription
	err := m.ask(func(c *docker.Client) error {
		err := c.Do(ctx, op, "", func(ctx context.Context) error { return leads(ctx, c.API()) })
		if err == nil {
			subscription, err = c.Subscribe(ctx, op, "",
				[]events.Action{events.ActionCreate, events.ActionUpdate, events.ActionRemove},
				filters.Arg("scope", "swarm"),
				filters.Arg("type", string(events.ServiceEventType)), filters.Arg("type", string(events.NodeEventType)),
				filters.Arg("type", string(events.NetworkEventType)), filters.Arg("type", string(events.SecretEventType)),
				filters.Arg("type", string(events.ConfigEventType)))
		}
		return err
	})
	if err != nil {
		cancel()
		return nil, nil, err
	}

	out := make(chan manager.Event)
	var failure error
	go func() {
		defer close(out)
		defer subscription.Drain()
		defer cancel()
		for {
			select {
			case message := <-subscription.Messages:
				select {
				case out <- observedEvent(message):
				case <-ctx.Done():
				}
			case err := <-subscription.Broken:
				if ctx.Err() == nil {
					failure = &engine.Error{Op: "read events of Swarm", Class: engine.Unavailable, Err: err}
				}
				return
			}
		}
	}()
	// The channel's closing orders the write of failure before its reading.
	return out, func() error { return failure }, nil
}

func observedEvent(m events.Message) manager.Event {
	return manager.Event{
		Time: time.Unix(0, m.TimeNano), Type: string(m.Type), Action: string(m.Action),
		ID: m.Actor.ID, Name: m.Actor.Attributes["name"],
	}
}
