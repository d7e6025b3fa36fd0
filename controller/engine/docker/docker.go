// Package docker adapts the Docker Engine API to engine.Engine.
// It knows nothing of before but what the engine's log driver is. convert*.go converts a Compose
// service, and follows Compose v2.40.3 field by field.
package docker

import (
	"context"
	"fmt"
	"net/http/httptrace"
	"os"
	"strings"
	"sync/atomic"

	"github.com/docker/docker/api"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/api/types/versions"
	"github.com/docker/docker/client"

	"github.com/tendhq/tend/controller/engine"
)

// The versions of the API that tend can speak: from that of Engine 20.10, the oldest
// engine that is tested, to the newest that the client knows.
const (
	minAPIVersion = "1.41"
	maxAPIVersion = api.DefaultVersion
)

// Engine is a Docker Engine.
type Engine struct {
	cli  *client.Client
	host string
	// logDriver is what the engine's configuration names. It is asked for once in each
	// subscription to events, as an engine that is restarted may have another one.
	logDriver atomic.Pointer[string]
}

var _ engine.Engine = (*Engine)(nil)

// New makes a client of the engine at host ("unix:///path", "tcp://host:port",
// "ssh://user@host"). Where host is empty, it takes the engine that the Docker command
// line would take. It does not connect yet.
func New(host string) (*Engine, error) {
	found, err := locate(host)
	if err != nil {
		return nil, &engine.Error{Op: "find engine", Class: engine.Invalid, Err: err}
	}
	cli, err := client.NewClientWithOpts(found.options...)
	if err != nil {
		return nil, &engine.Error{Op: "set up client of engine", Object: found.host, Class: engine.Invalid, Err: err}
	}
	return &Engine{cli: cli, host: found.host}, nil
}

// Close releases the connections.
func (e *Engine) Close() error { return e.cli.Close() }

// Host returns the engine's address, as "unix:///path".
func (e *Engine) Host() string { return e.host }

// Ping asks whether the engine is there. It does not ask for the version, as the engine
// runs three programs for that.
func (e *Engine) Ping(ctx context.Context) error {
	return e.do(ctx, "ask engine", e.host, func(ctx context.Context) error {
		_, err := e.cli.Ping(ctx)
		return err
	})
}

// noName is the name of no network.
const noName = "-"

// Check asks whether the engine is there and speaks a version of the API that tend
// speaks; where it does not, the error is of the class Invalid. An engine that is too new
// refuses any request that names a version, so that it asks for a list without anything
// in it: to tell its own version, the engine runs three programs.
func (e *Engine) Check(ctx context.Context) error {
	return e.do(ctx, "ask engine", e.host, func(ctx context.Context) error {
		_, err := e.cli.NetworkList(ctx, network.ListOptions{Filters: filters.NewArgs(filters.Arg("name", noName))})
		return err
	})
}

// Architecture asks for that of the engine's machine.
func (e *Engine) Architecture(ctx context.Context) (arch string, err error) {
	err = e.do(ctx, "ask for the architecture of engine", e.host, func(ctx context.Context) error {
		version, err := e.cli.ServerVersion(ctx)
		arch = version.Arch
		return err
	})
	return arch, err
}

// UserNamespace is where the users of an engine's containers count from.
type UserNamespace int

// The user namespaces that an engine may run its containers in.
const (
	// HostUsers: a container's users are the host's.
	HostUsers UserNamespace = iota
	// Remapped: each is another user of the host, as with dockerd --userns-remap.
	Remapped
	// Rootless: root is the user that the engine runs as, and all others are other users.
	Rootless
)

// Info is what an engine says of itself.
type Info struct {
	// Version is the engine's, API the version of the API that it is spoken to in.
	Version, API string
	// Root is the folder of its images, containers and volumes on its own machine.
	Root  string
	Users UserNamespace
}

// Info asks for the engine's versions, folder and user namespace.
func (e *Engine) Info(ctx context.Context) (of Info, err error) {
	err = e.do(ctx, "ask for information of engine", e.host, func(ctx context.Context) error {
		info, err := e.cli.Info(ctx)
		if err != nil {
			return err
		}
		of = Info{Version: info.ServerVersion, API: e.cli.ClientVersion(), Root: info.DockerRootDir}
		options, err := system.DecodeSecurityOptions(info.SecurityOptions)
		for _, option := range options {
			switch option.Name {
			case "rootless":
				of.Users = Rootless
			case "userns":
				of.Users = Remapped
			}
		}
		return err
	})
	return of, err
}

// do makes one request, or several where only the last one changes anything, and
// classifies its error.
func (e *Engine) do(ctx context.Context, op, object string, request func(context.Context) error) error {
	// The error is Unavailable or Unknown by whether the request went out. The client's
	// own error is the same for a refused connection and for one that broke before the
	// reply.
	var sent atomic.Bool
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteHeaders: func() { sent.Store(true) },
	})
	err := e.negotiate(traced)
	if err == nil {
		sent.Store(false)
		err = explain(request(traced))
	}
	if err == nil {
		return nil
	}
	return &engine.Error{Op: op, Object: object, Class: classify(err, sent.Load()), Err: err}
}

// negotiate agrees with the engine on a version of the API, if that has not been done,
// and fails where tend does not speak it. Doing it first keeps the client free of a data race: its
// methods read the version that the first request sets.
func (e *Engine) negotiate(ctx context.Context) error {
	if err := e.cli.NewVersionError(ctx, "", ""); err != nil {
		return err
	}
	agreed := e.cli.ClientVersion()
	switch asked := os.Getenv(client.EnvOverrideAPIVersion); {
	case versions.GreaterThanOrEqualTo(agreed, minAPIVersion) && versions.LessThanOrEqualTo(agreed, maxAPIVersion):
		return nil
	case asked != "":
		return versionError(fmt.Sprintf("DOCKER_API_VERSION asks for API %s, and tend speaks %s to %s: unset it", asked, minAPIVersion, maxAPIVersion))
	default:
		return versionError(fmt.Sprintf("the newest API of this engine is %s, and tend speaks %s to %s: upgrade it to Docker Engine 20.10 or newer", agreed, minAPIVersion, maxAPIVersion))
	}
}

// explain adds what to do to the answer of an engine that has no API as old as tend's newest.
func explain(err error) error {
	if err == nil || !strings.Contains(err.Error(), "Minimum supported API version") {
		return err
	}
	return fmt.Errorf("this engine is too new; tend speaks API %s to %s: upgrade tend (%w)", minAPIVersion, maxAPIVersion, err)
}

// versionError is an error about the version of the API, of the class Invalid.
type versionError string

func (e versionError) Error() string { return string(e) }

// InvalidParameter makes it an invalid argument for errdefs.
func (versionError) InvalidParameter() {}

// atLeast reports whether the API version in use is the given one or newer.
// It must be called inside do.
func (e *Engine) atLeast(ctx context.Context, version string) bool {
	return e.cli.NewVersionError(ctx, version, "") == nil
}
