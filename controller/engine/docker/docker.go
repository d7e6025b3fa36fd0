// Package docker adapts the Docker Engine API to engine.Engine.
// It is stateless except for the client's connections. convert*.go converts a Compose
// service, and follows Compose v2.40.3 field by field.
package docker

import (
	"context"
	"net/http/httptrace"
	"sync/atomic"

	"github.com/docker/docker/client"

	"github.com/tendhq/tend/controller/engine"
)

// minAPIVersion is the version of Engine 20.10, the oldest engine that is tested.
const minAPIVersion = "1.41"

// Engine is a Docker Engine.
type Engine struct {
	cli *client.Client
}

var _ engine.Engine = (*Engine)(nil)

// New makes a client of the engine at host ("unix:///path", "tcp://host:port"). Where
// host is empty, it takes the engine that DOCKER_HOST and the other variables of the
// Docker command line name. It does not connect yet.
func New(host string) (*Engine, error) {
	options := []client.Opt{client.FromEnv, client.WithAPIVersionNegotiation()}
	if host != "" {
		options = append(options, client.WithHost(host))
	}
	cli, err := client.NewClientWithOpts(options...)
	if err != nil {
		return nil, &engine.Error{Op: "set up client of engine", Object: host, Class: engine.Invalid, Err: err}
	}
	return &Engine{cli: cli}, nil
}

// Close releases the connections.
func (e *Engine) Close() error { return e.cli.Close() }

// Ping asks whether the engine is there. It does not ask for the version, as the engine
// runs three programs for that.
func (e *Engine) Ping(ctx context.Context) error {
	return e.do(ctx, "ask engine", e.cli.DaemonHost(), func(ctx context.Context) error {
		_, err := e.cli.Ping(ctx)
		return err
	})
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
	// Negotiating the API version first keeps the client free of a data race:
	// its methods read the version that the first request sets.
	err := e.cli.NewVersionError(traced, minAPIVersion, "tend")
	if err == nil {
		sent.Store(false)
		err = request(traced)
	}
	if err == nil {
		return nil
	}
	return &engine.Error{Op: op, Object: object, Class: classify(err, sent.Load()), Err: err}
}

// atLeast reports whether the API version in use is the given one or newer.
// It must be called inside do.
func (e *Engine) atLeast(ctx context.Context, version string) bool {
	return e.cli.NewVersionError(ctx, version, "") == nil
}
