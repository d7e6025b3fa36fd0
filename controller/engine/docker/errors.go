package docker

import (
	"errors"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/client"

	"github.com/tendhq/tend/controller/engine"
)

// errNotListening reports that the engine takes no new connections.
var errNotListening = errors.New("the engine takes no new connections")

// classify returns the class of a failed request. sent is whether the engine may have
// received it.
func classify(err error, sent bool) engine.Class {
	switch {
	case client.IsErrConnectionFailed(err) && !sent, errors.Is(err, errNotListening):
		return engine.Unavailable
	case errdefs.IsNotFound(err):
		return engine.NotFound
	case exhausted(err):
		return engine.Exhausted
	// 403 is the answer to removing a network in use, and to creating one
	// whose subnet overlaps another's.
	case errdefs.IsConflict(err), errdefs.IsPermissionDenied(err):
		return engine.Conflict
	case errdefs.IsInvalidArgument(err):
		return engine.Invalid
	default:
		return engine.Unknown
	}
}

// exhaustedTexts are the messages of an engine that has run out of something on the
// host; they come with status 500 or 403 and no other sign. The texts are libnetwork's,
// the kernel's and the registry's, and the same from Engine 20.10 to 28.
var exhaustedTexts = []string{
	"port is already allocated",
	"address already in use",
	"no space left on device",
	"could not find an available, non-overlapping",           // address pool for a network, up to 27
	"all predefined address pools have been fully subnetted", // the same since 28
	"no available ip",                                        // address in a network
	"toomanyrequests",                                        // pull limit of a registry
}

func exhausted(err error) bool {
	text := strings.ToLower(err.Error())
	for _, t := range exhaustedTexts {
		if strings.Contains(text, t) {
			return true
		}
	}
	return false
}
