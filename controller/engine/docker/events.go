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

// resourceActions are what may change which image, network or volume a name stands for.
var resourceActions = []events.Action{
	events.ActionTag, events.ActionUnTag, events.ActionPull, events.ActionLoad, events.ActionImport, events.ActionDelete,
	events.ActionCreate, events.ActionDestroy,
}

// Events subscribes twice: to the project's containers, by their label, and to all images,
// networks and volumes, which have none.
func (e *Engine) Events(ctx context.Context, project string) (<-chan engine.Event, func() error, error) {
	e.logDriver.Store(nil)
	ctx, cancel := context.WithCancel(ctx)
	containers, err := e.subscribe(ctx, project, eventActions,
		filters.Arg("type", string(events.ContainerEventType)), filters.Arg("label", engine.ProjectLabel+"="+project))
	if err != nil {
		cancel()
		return nil, nil, err
	}
	resources, err := e.subscribe(ctx, project, resourceActions, filters.Arg("type", string(events.ImageEventType)),
		filters.Arg("type", string(events.NetworkEventType)), filters.Arg("type", string(events.VolumeEventType)))
	if err != nil {
		cancel()
		containers.drain()
		return nil, nil, err
	}

	out := make(chan engine.Event)
	var failure error
	go func() {
		defer close(out)
		defer containers.drain()
		defer resources.drain()
		defer cancel()
		for {
			var m events.Message
			var err error
			select {
			case m = <-containers.messages:
			case m = <-resources.messages:
				if anonymousVolume.MatchString(m.Actor.ID) && m.Type == events.VolumeEventType {
					continue // it comes and goes with its container
				}
			case err = <-containers.broken:
			case err = <-resources.broken:
			}
			switch {
			case ctx.Err() != nil:
				return
			case err != nil:
				failure = &engine.Error{
					Op: "read events of project", Object: project, Class: engine.Unavailable, Err: err,
				}
				return
			}
			select {
			case out <- observedEvent(m):
			case <-ctx.Done():
			}
		}
	}()
	// The channel's closing orders the write of failure before its reading.
	return out, func() error { return failure }, nil
}

// subscription is a stream of events, until an error ends it.
type subscription struct {
	messages <-chan events.Message
	broken   <-chan error
}

// drain returns when the client has let go of the connection. The subscription's context
// has ended.
func (s subscription) drain() {
	for range s.broken {
	}
}

// subscribe returns when the engine has answered.
func (e *Engine) subscribe(ctx context.Context, project string, actions []events.Action, of ...filters.KeyValuePair) (s subscription, err error) {
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
	err = e.do(streaming, "subscribe to events of project", project, func(ctx context.Context) error {
		answered.Store(false)
		s.messages, s.broken = e.cli.Events(ctx, events.ListOptions{
			Since:   time.Now().Add(-eventReplay).Format(time.RFC3339Nano),
			Filters: args,
		})
		if answered.Load() {
			return nil
		}
		return <-s.broken
	})
	return s, err
}

func observedEvent(m events.Message) engine.Event {
	action, _, _ := strings.Cut(string(m.Action), ":")
	signal, _ := strconv.Atoi(m.Actor.Attributes["signal"])
	e := engine.Event{Time: time.Unix(0, m.TimeNano), Action: action}
	if m.Type == events.ContainerEventType {
		e.ContainerID, e.Labels, e.Signal = m.Actor.ID, m.Actor.Attributes, syscall.Signal(signal)
	}
	return e
}
