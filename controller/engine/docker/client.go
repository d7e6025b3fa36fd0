package docker

import (
	"context"
	"fmt"
	"net/http/httptrace"
	"os"
	"strings"
	"sync/atomic"

	"github.com/docker/docker/api"
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

// Client makes requests of a Docker Engine and classifies their errors. The adapter of a
// Swarm's managers makes its own with it, too.
type Client struct {
	cli  *client.Client
	host string
}

// Connect makes a client of the engine at host ("unix:///path", "tcp://host:port",
// "ssh://user@host"). Where host is empty, it takes the engine that the Docker command
// line would take. It does not connect yet.
func Connect(host string) (*Client, error) {
	found, err := locate(host)
	if err != nil {
		return nil, &engine.Error{Op: "find engine", Class: engine.Invalid, Err: err}
	}
	cli, err := client.NewClientWithOpts(found.options...)
	if err != nil {
		return nil, &engine.Error{Op: "set up client of engine", Object: found.host, Class: engine.Invalid, Err: err}
	}
	return &Client{cli: cli, host: found.host}, nil
}

// Close releases the connections.
func (c *Client) Close() error { return c.cli.Close() }

// Host returns the engine's address, as "unix:///path".
func (c *Client) Host() string { return c.host }

// API returns Docker's own client. Its methods are to be called inside Do.
func (c *Client) API() *client.Client { return c.cli }

// Do makes one request, or several where only the last one changes anything, and
// classifies its error.
func (c *Client) Do(ctx context.Context, op, object string, request func(context.Context) error) error {
	// The error is Unavailable or Unknown by whether the request went out. The client's
	// own error is the same for a refused connection and for one that broke before the
	// reply.
	var sent atomic.Bool
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteHeaders: func() { sent.Store(true) },
	})
	err := c.negotiate(traced)
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
func (c *Client) negotiate(ctx context.Context) error {
	if err := c.cli.NewVersionError(ctx, "", ""); err != nil {
		return err
	}
	agreed := c.cli.ClientVersion()
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
// It must be called inside Do.
func (c *Client) atLeast(ctx context.Context, version string) bool {
	return c.cli.NewVersionError(ctx, version, "") == nil
}
