// Package docker adapts the Docker Engine API to engine.Engine.
// It knows nothing of before but what the engine's log driver is. convert*.go converts a Compose
// service, and follows Compose v2.40.3 field by field.
package docker

import (
	"context"
	"sync/atomic"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/system"

	"github.com/tendhq/tend/controller/engine"
)

// Engine is a Docker Engine.
type Engine struct {
	*Client

	// logDriver is what the engine's configuration names. It is asked for once in each
	// subscription to events, as an engine that is restarted may have another one.
	logDriver atomic.Pointer[string]
}

var _ engine.Engine = (*Engine)(nil)

// New makes a client of an engine, as Connect does.
func New(host string) (*Engine, error) {
	c, err := Connect(host)
	if err != nil {
		return nil, err
	}
	return &Engine{Client: c}, nil
}

// Ping asks whether the engine is there. It does not ask for the version, as the engine
// runs three programs for that.
func (e *Engine) Ping(ctx context.Context) error {
	return e.Do(ctx, "ask engine", e.host, func(ctx context.Context) error {
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
	return e.Do(ctx, "ask engine", e.host, func(ctx context.Context) error {
		_, err := e.cli.NetworkList(ctx, network.ListOptions{Filters: filters.NewArgs(filters.Arg("name", noName))})
		return err
	})
}

// Architecture asks for that of the engine's machine.
func (e *Engine) Architecture(ctx context.Context) (arch string, err error) {
	err = e.Do(ctx, "ask for the architecture of engine", e.host, func(ctx context.Context) error {
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
	// Node is the ID of the Swarm's node that the engine is; empty where it is none.
	Node string
}

// Info asks for the engine's versions, folder and user namespace.
func (e *Engine) Info(ctx context.Context) (of Info, err error) {
	err = e.Do(ctx, "ask for information of engine", e.host, func(ctx context.Context) error {
		info, err := e.cli.Info(ctx)
		if err != nil {
			return err
		}
		of = Info{Version: info.ServerVersion, API: e.cli.ClientVersion(), Root: info.DockerRootDir, Node: info.Swarm.NodeID}
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
