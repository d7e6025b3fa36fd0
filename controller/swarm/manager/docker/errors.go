package docker

import (
	"errors"
	"regexp"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/swarm/manager"
)

// refusals are the answers of a manager whose status alone does not tell what they mean. The
// texts are the engine's (daemon/cluster) and swarmkit's, and the same from Engine 20.10 to
// 28.
var refusals = []struct {
	text  string
	class engine.Class
	err   error // in the place of the answer; nil to keep that
}{
	{`Use "docker swarm init"`, engine.Unavailable, manager.ErrNoSwarm},
	{"when swarm is not active", engine.Unavailable, manager.ErrNoSwarm},
	{"Worker nodes can't be used", engine.Unavailable, manager.ErrWorker},
	{"needs to be unlocked", engine.Unavailable, manager.ErrLocked},
	{"does not have a leader", engine.Unavailable, manager.ErrNoQuorum},
	{"Manager is being prepared", engine.Unavailable, nil},
	{"update out of sequence", engine.Conflict, nil},
	{"is in use by", engine.Conflict, nil},
	{"already in use by service", engine.Exhausted, nil}, // a port
	{"constraint expected one operator", engine.Invalid, nil},
	{"' is invalid", engine.Invalid, nil}, // the key or the value of a constraint
}

// explain gives an error the class that it has of a Swarm, and a text for a person.
func explain(err error) error {
	var failed *engine.Error
	if !errors.As(err, &failed) {
		return err
	}
	text := failed.Err.Error()
	for _, r := range refusals {
		if !strings.Contains(text, r.text) {
			continue
		}
		failed.Class = r.class
		if r.err != nil {
			failed.Err = r.err
			return err
		}
	}
	switch {
	case errdefs.IsNotImplemented(failed.Err):
		failed.Class = engine.Invalid // another name or mode for a service
	case failed.Class == engine.Unknown && strings.HasSuffix(text, " not found"):
		failed.Class = engine.NotFound // a service's network, before Engine 28
	}
	if plain := rpcError.ReplaceAllString(text, ""); plain != text {
		failed.Err = errors.New(plain)
	}
	return err
}

// rpcError is what gRPC puts before a message.
var rpcError = regexp.MustCompile(`rpc error: code = \w+ desc = `)

// unlessNotFound turns NotFound into success, where an object is to be removed.
func unlessNotFound(err error) error {
	if err != nil && engine.ClassOf(err) == engine.NotFound {
		return nil
	}
	return err
}
