package enginetest

import (
	"fmt"
	"strconv"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/engine"
)

var publishCases = []testCase{
	{"a published port is in force while the container runs", func(f *fixture) {
		f.network("a")
		port := f.Outsider.FreePort(f.T)
		id := f.create("1", f.publishing(port))
		require.Empty(f, f.inspect(id).PublishedPorts)
		require.False(f, f.inspect(id).PortsMissing)
		f.start(id)
		c := f.inspect(id)
		require.Equal(f, []string{fmt.Sprintf("127.0.0.1:%d->80/tcp", port)}, c.PublishedPorts)
		require.False(f, c.PortsMissing)
		f.stop(id)
		require.Empty(f, f.inspect(id).PublishedPorts)
		require.False(f, f.inspect(id).PortsMissing)
	}},
	{"a host port of any number is in force", func(f *fixture) {
		f.network("a")
		s := f.publishing(0)
		s.Ports[0].Published = ""
		id := f.create("1", s)
		f.start(id)
		c := f.inspect(id)
		require.Len(f, c.PublishedPorts, 1)
		require.Regexp(f, `^127\.0\.0\.1:\d+->80/tcp$`, c.PublishedPorts[0])
		require.False(f, c.PortsMissing)
	}},
	{"start on a host port that a container holds is Exhausted", func(f *fixture) {
		f.network("a")
		port := f.Outsider.FreePort(f.T)
		f.start(f.create("1", f.publishing(port)))
		f.refusesPort(f.create("2", f.publishing(port)))
	}},
	{"start on a host port that a program holds is Exhausted", func(f *fixture) {
		f.network("a")
		port := f.Outsider.FreePort(f.T)
		f.Outsider.HoldPort(f.T, port)
		f.refusesPort(f.create("1", f.publishing(port)))
	}},
	{"a stopped container's host port is free", func(f *fixture) {
		f.network("a")
		port := f.Outsider.FreePort(f.T)
		first := f.create("1", f.publishing(port))
		f.start(first)
		f.stop(first)
		f.start(f.create("2", f.publishing(port)))
		f.fails(engine.Exhausted, f.Engine.Start(f.Context(), first))
		require.Equal(f, engine.Exited, f.inspect(first).State)
	}},
	{"a port in an internal network is never in force, and not missing", func(f *fixture) {
		f.network("a", func(n *types.NetworkConfig) { n.Internal = true })
		id := f.create("1", f.publishing(f.Outsider.FreePort(f.T)))
		f.start(id)
		c := f.inspect(id)
		require.Equal(f, engine.Running, c.State)
		require.Empty(f, c.PublishedPorts)
		require.False(f, c.PortsMissing)
	}},
	{"a paused container's host port is in force", func(f *fixture) {
		f.network("a")
		port := f.Outsider.FreePort(f.T)
		id := f.create("1", f.publishing(port))
		f.start(id)
		f.Outsider.Pause(f.T, id)
		c := f.inspect(id)
		require.Equal(f, []string{fmt.Sprintf("127.0.0.1:%d->80/tcp", port)}, c.PublishedPorts)
		require.False(f, c.PortsMissing)
		f.refusesPort(f.create("2", f.publishing(port)))
	}},
	{"one whose host port was taken can be replaced under its name", func(f *fixture) {
		f.network("a")
		port := f.Outsider.FreePort(f.T)
		holder := f.create("holder", f.publishing(port))
		f.start(holder)
		refused := f.create("1", f.publishing(port))
		f.fails(engine.Exhausted, f.Engine.Start(f.Context(), refused))
		f.stop(holder)
		require.NoError(f, f.Engine.Remove(f.Context(), refused, true))
		replacement := f.create("1", f.publishing(port))
		f.start(replacement)
		require.Len(f, f.inspect(replacement).PublishedPorts, 1)
	}},
}

// refusesPort starts a container whose host port is taken. It must never come
// to run as if nothing was wrong.
func (f *fixture) refusesPort(id string) {
	f.Helper()
	f.fails(engine.Exhausted, f.Engine.Start(f.Context(), id))
	c := f.inspect(id)
	require.Equal(f, engine.Created, c.State)
	require.Equal(f, 128, c.ExitCode)
	require.NotEmpty(f, c.Error)
	require.Zero(f, c.StartedAt)
	// Some engines run it at the second start, without its ports.
	if err := f.Engine.Start(f.Context(), id); err != nil {
		f.fails(engine.Exhausted, err)
		return
	}
	require.True(f, f.inspect(id).PortsMissing)
}

// publishing is a service in network "a" with a host port.
func (f *fixture) publishing(port int) types.ServiceConfig {
	s := f.networked(Runs, "a")
	s.Ports = []types.ServicePortConfig{
		{HostIP: "127.0.0.1", Published: strconv.Itoa(port), Target: 80, Protocol: "tcp"},
	}
	return s
}
