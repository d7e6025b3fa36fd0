package enginetest

import (
	"fmt"
	"strconv"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/engine"
)

var networkCases = []testCase{
	{"a container has an address in each network while it runs", func(f *fixture) {
		f.network("a")
		f.network("b")
		id := f.create("1", f.networked(Runs, "a", "b"))
		none := map[string]string{f.named("a"): "", f.named("b"): ""}
		require.Equal(f, none, f.inspect(id).Networks)
		f.start(id)
		running := f.inspect(id).Networks
		require.Len(f, running, 2)
		require.NotEmpty(f, running[f.named("a")])
		require.NotEmpty(f, running[f.named("b")])
		require.NotEqual(f, running[f.named("a")], running[f.named("b")])
		f.stop(id)
		require.Equal(f, none, f.inspect(id).Networks)
	}},
	{"a container has the address it asked for", func(f *fixture) {
		subnet, address := f.subnet()
		f.network("a", subnet)
		s := f.networked(Runs, "a")
		s.Networks["a"] = &types.ServiceNetworkConfig{Ipv4Address: address}
		id := f.create("1", s)
		f.start(id)
		require.Equal(f, address, f.inspect(id).Networks[f.named("a")])

		second := f.create("2", s)
		f.fails(engine.Exhausted, f.Engine.Start(f.Context(), second))
		require.Equal(f, engine.Created, f.inspect(second).State)
	}},
	{"start after a network was removed is NotFound", func(f *fixture) {
		f.network("a")
		id := f.create("1", f.networked(Runs, "a"))
		require.NoError(f, f.Engine.RemoveNetwork(f.Context(), f.named("a")))
		f.fails(engine.NotFound, f.Engine.Start(f.Context(), id))
		require.Equal(f, engine.Created, f.inspect(id).State)
	}},
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

	{"networks are listed by project and by name", func(f *fixture) {
		f.network("a")
		other := engine.NetworkSpec{Name: f.named("other")}
		require.NoError(f, f.Engine.CreateNetwork(f.Context(), other))
		defer func() { require.NoError(f, f.Engine.RemoveNetwork(f.Context(), other.Name)) }()

		networks, err := f.Engine.Networks(f.Context(), f.Project)
		require.NoError(f, err)
		require.Len(f, networks, 1)
		require.NotEmpty(f, networks[0].ID)
		require.Equal(f, f.named("a"), networks[0].Name)
		require.Equal(f, "bridge", networks[0].Driver)
		require.Equal(f, f.labels(), networks[0].Labels)

		// Neither a part of a name nor one that is absent finds anything.
		networks, err = f.Engine.Networks(f.Context(), f.Project, other.Name, f.named("othe"), f.named("none"))
		require.NoError(f, err)
		require.Len(f, networks, 2)
	}},
	{"a second network of a name is a Conflict", func(f *fixture) {
		f.network("a")
		f.fails(engine.Conflict, f.Engine.CreateNetwork(f.Context(), engine.NetworkSpec{Name: f.named("a"), Labels: f.labels()}))
		networks, err := f.Engine.Networks(f.Context(), f.Project)
		require.NoError(f, err)
		require.Len(f, networks, 1)
	}},
	{"removing a network in use is a Conflict", func(f *fixture) {
		f.network("a")
		id := f.create("1", f.networked(Runs, "a"))
		f.start(id)
		f.fails(engine.Conflict, f.Engine.RemoveNetwork(f.Context(), f.named("a")))
		f.stop(id)
		require.NoError(f, f.Engine.RemoveNetwork(f.Context(), f.named("a")))
		require.NoError(f, f.Engine.RemoveNetwork(f.Context(), f.named("a")), "one that is gone")
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

// subnet is a small one that no one else is likely to use, and an address in it.
func (f *fixture) subnet() (configure func(*types.NetworkConfig), address string) {
	third := f.Outsider.FreePort(f.T) % 250
	configure = func(n *types.NetworkConfig) {
		n.Ipam.Config = []*types.IPAMPool{{Subnet: fmt.Sprintf("10.213.%d.0/24", third)}}
	}
	return configure, fmt.Sprintf("10.213.%d.77", third)
}
