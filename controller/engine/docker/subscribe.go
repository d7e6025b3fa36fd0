package docker

import (
	"context"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
)

// eventReplay is how far back a subscription reaches. The engine sends the headers of
// its reply just before it subscribes, and the replay holds what happens in between.
// Where the clocks differ, it holds more, or nothing.
const eventReplay = time.Second

// Subscription is a stream of events, until an error ends it.
type Subscription struct {
	Messages <-chan events.Message
	Broken   <-chan error
}

// Drain returns when the client has let go of the connection. The subscription's context
// has ended.
func (s Subscription) Drain() {
	for range s.Broken {
	}
}

// Subscribe returns when the engine has answered. Only events of the actions come, and of
// what the filters say.
func (c *Client) Subscribe(ctx context.Context, op, object string, actions []events.Action, of ...filters.KeyValuePair) (s Subscription, err error) {
	args := filters.NewArgs(of...)
	for _, action := range actions {
		args.Add("event", string(action))
	}
	// The client reports a failed subscription and a broken stream through the
	// same channel; only the first byte of the reply tells them apart.
	var answered atomic.Bool
	streaming := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotFirstResponseByte: func() { answered.Store(true) },
	})
	err = c.Do(streaming, op, object, func(ctx context.Context) error {
		answered.Store(false)
		s.Messages, s.Broken = c.cli.Events(ctx, events.ListOptions{
			Since:   time.Now().Add(-eventReplay).Format(time.RFC3339Nano),
			Filters: args,
		})
		if answered.Load() {
			return nil
		}
		return <-s.Broken
	})
	return s, err
}
