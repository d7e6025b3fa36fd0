package model

import (
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/tendhq/tend/controller/engine"
)

// joins lists what a container is created to share with others.
func joins(s types.ServiceConfig) (joins []engine.Join) {
	for _, j := range []struct {
		kind engine.JoinKind
		mode string
	}{{engine.JoinIPC, s.Ipc}, {engine.JoinNetwork, s.NetworkMode}, {engine.JoinPID, s.Pid}} {
		if id, ok := strings.CutPrefix(j.mode, types.ContainerPrefix); ok {
			joins = append(joins, engine.Join{Kind: j.kind, ID: id})
		}
	}
	for _, id := range s.VolumesFrom {
		joins = append(joins, engine.Join{Kind: engine.JoinVolumes, ID: id})
	}
	return joins
}

// joinable fails where a container whose namespace another shares does not run.
func (e *Engine) joinable(c *instance) error {
	for _, j := range c.Joins {
		other := e.containers[j.ID]
		switch {
		case j.Kind == engine.JoinVolumes:
		case other == nil:
			return failure(engine.NotFound, "no such container: %s", j.ID)
		case !other.hasProcess():
			return failure(engine.Conflict, "cannot join the namespace of container %s, which is not running", j.ID)
		}
	}
	return nil
}

// endJoined ends the processes in a container's process namespace, as its own has ended.
func (e *Engine) endJoined(c *instance) {
	for _, other := range e.byID {
		if slices.Contains(other.Joins, engine.Join{Kind: engine.JoinPID, ID: c.ID}) {
			e.exit(other, codeKilled)
		}
	}
}
