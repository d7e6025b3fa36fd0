package docker

import (
	"context"
	"net/http/httptrace"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"

	"github.com/tendhq/tend/controller/engine"
)

// eventActions are filtered by the engine, as the exec_* events of health checks would
// fill its ring of 256 within seconds. "health_status" matches each of its results.
var eventActions = []events.Action{
	events.ActionCreate, events.ActionStart, events.ActionDie, events.ActionStop, events.ActionKill,
	events.ActionOOM, events.ActionPause, events.ActionUnPause, events.ActionRename,
	events.ActionDestroy, events.ActionHealthStatus,
}

// eventReplay is how far back a subscription reaches. The engine sends the headers of
// its reply just before it subscribes, and the replay holds what happens in between.
// Where the clocks differ, it holds more, or nothing.
const eventReplay = time.Second

// Events subscribes to the project's containers.
func (e *Engine) Events(ctx context.Context, project string) (<-chan engine.Event, func() error, error) {
	e.logDriver.Store(nil)
	args := filters.NewArgs(
		filters.Arg("type", string(events.ContainerEventType)),
		filters.Arg("label", engine.ProjectLabel+"="+project),
	)
	for _, action := range eventActions {
		args.Add("event", string(action))
	}

	// The client reports a failed subscription and a broken stream through the
	// same channel; only the first byte of the reply tells them apart.
	var answered atomic.Bool
	streaming := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotFirstResponseByte: func() { answered.Store(true) },
	})
	var messages <-chan events.Message
	var broken <-chan error
	err := e.do(streaming, "subscribe to events of project", project, func(ctx context.Context) error {
		answered.Store(false)
		messages, broken = e.cli.Events(ctx, events.ListOptions{
			Since:   time.Now().Add(-eventReplay).Format(time.RFC3339Nano),
			Filters: args,
		})
		if answered.Load() {
			return nil
		}
		return <-broken
	})
	if err != nil {
		return nil, nil, err
	}

	out := make(chan engine.Event)
	var failure error
	go func() {
		defer close(out)
		for {
			select {
			case m := <-messages:
				select {
				case out <- observedEvent(m):
				case <-ctx.Done(): // the client sees that too, and ends the stream
				}
			case err := <-broken:
				if ctx.Err() == nil {
					failure = &engine.Error{
						Op: "read events of project", Object: project, Class: engine.Unavailable, Err: err,
					}
				}
				for range broken { // until the client has let go of the connection
				}
				return
			}
		}
	}()
	// The channel's closing orders the write of failure before its reading.
	return out, func() error { return failure }, nil
}

func observedEvent(m events.Message) engine.Event {
	action, _, _ := strings.Cut(string(m.Action), ":")
	signal, _ := strconv.Atoi(m.Actor.Attributes["signal"])
	return engine.Event{
		Time:        time.Unix(0, m.TimeNano),
		Action:      action,
		ContainerID: m.Actor.ID,
		Labels:      m.Actor.Attributes,
		Signal:      syscall.Signal(signal),
	}
}
