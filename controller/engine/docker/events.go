package docker

import (
	"context"
	"strconv"
	"strings"
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

// resourceActions are what may change which image, network or volume a name stands for.
var resourceActions = []events.Action{
	events.ActionTag, events.ActionUnTag, events.ActionPull, events.ActionLoad, events.ActionImport, events.ActionDelete,
	events.ActionCreate, events.ActionDestroy,
}

const subscribeOp = "subscribe to events of project"

// Events subscribes twice: to the project's containers, by their label, and to all images,
// networks and volumes, which have none.
func (e *Engine) Events(ctx context.Context, project string) (<-chan engine.Event, func() error, error) {
	e.logDriver.Store(nil)
	ctx, cancel := context.WithCancel(ctx)
	containers, err := e.Subscribe(ctx, subscribeOp, project, eventActions,
		filters.Arg("type", string(events.ContainerEventType)), filters.Arg("label", engine.ProjectLabel+"="+project))
	if err != nil {
		cancel()
		return nil, nil, err
	}
	resources, err := e.Subscribe(ctx, subscribeOp, project, resourceActions, filters.Arg("type", string(events.ImageEventType)),
		filters.Arg("type", string(events.NetworkEventType)), filters.Arg("type", string(events.VolumeEventType)))
	if err != nil {
		cancel()
		containers.Drain()
		return nil, nil, err
	}

	out := make(chan engine.Event)
	var failure error
	go func() {
		defer close(out)
		defer containers.Drain()
		defer resources.Drain()
		defer cancel()
		for {
			var m events.Message
			var err error
			select {
			case m = <-containers.Messages:
				if m.Actor.Attributes[taskLabel] != "" {
					continue
				}
			case m = <-resources.Messages:
				if anonymousVolume.MatchString(m.Actor.ID) && m.Type == events.VolumeEventType {
					continue // it comes and goes with its container
				}
			case err = <-containers.Broken:
			case err = <-resources.Broken:
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

func observedEvent(m events.Message) engine.Event {
	action, _, _ := strings.Cut(string(m.Action), ":")
	signal, _ := strconv.Atoi(m.Actor.Attributes["signal"])
	e := engine.Event{Time: time.Unix(0, m.TimeNano), Action: action}
	if m.Type == events.ContainerEventType {
		e.ContainerID, e.Labels, e.Signal = m.Actor.ID, m.Actor.Attributes, syscall.Signal(signal)
	}
	return e
}
