package enginetest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

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
		var address string
		f.network("a", f.subnet(24), func(n *types.NetworkConfig) {
			address = strings.TrimSuffix(n.Ipam.Config[0].Subnet, "0/24") + "77"
		})
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

	{"a network without a free address is Exhausted", func(f *fixture) {
		f.network("a", f.subnet(30)) // the network, its gateway, one container, everybody
		f.start(f.create("1", f.networked(Runs, "a")))
		second := f.create("2", f.networked(Runs, "a"))
		f.fails(engine.Exhausted, f.Engine.Start(f.Context(), second))
		require.Equal(f, engine.Created, f.inspect(second).State)
	}},
	{"a paused container keeps its address", func(f *fixture) {
		f.network("a")
		id := f.create("1", f.networked(Runs, "a"))
		f.start(id)
		before := f.inspect(id).Networks
		f.Outsider.Pause(f.T, id)
		require.Equal(f, before, f.inspect(id).Networks)
		f.Outsider.Unpause(f.T, id)
		require.Equal(f, before, f.inspect(id).Networks)
	}},
	{"a container that left a network is not in it, and that is no event", func(f *fixture) {
		f.network("a")
		f.network("b")
		s := f.subscribe()
		id := f.create("1", f.networked(Runs, "a", "b"))
		f.start(id)
		f.Outsider.Leave(f.T, id, f.named("b"))
		require.Equal(f, []string{f.named("a")}, slices.Collect(maps.Keys(f.inspect(id).Networks)))
		f.Outsider.Join(f.T, id, f.named("b"))
		require.NotEmpty(f, f.inspect(id).Networks[f.named("b")])
		f.Outsider.Leave(f.T, id, f.named("b"))
		require.NoError(f, f.Engine.RemoveNetwork(f.Context(), f.named("b")))
		f.stop(id)
		f.start(id)
		require.Equal(f, []string{f.named("a")}, slices.Collect(maps.Keys(f.inspect(id).Networks)))
		s.expect(id, "create", "start", "kill", "die", "stop", "start")
	}},
	{"a running container changes its networks and keeps its ports", func(f *fixture) {
		for _, key := range []string{"a", "b", "c"} {
			f.network(key)
		}
		s := f.subscribe()
		w := f.networked(Runs, "a", "b")
		w.Ports = []types.ServicePortConfig{{Target: 80, Protocol: "tcp"}}
		id := f.create("1", w)
		f.start(id)
		published := f.inspect(id).PublishedPorts
		require.NotEmpty(f, published)
		require.NoError(f, f.Engine.ConnectNetwork(f.Context(), id, f.named("c")))
		require.NoError(f, f.Engine.DisconnectNetwork(f.Context(), id, f.named("b")))
		c := f.inspect(id)
		require.ElementsMatch(f, []string{f.named("a"), f.named("c")}, slices.Collect(maps.Keys(c.Networks)))
		require.NotEmpty(f, c.Networks[f.named("c")])
		require.NotEmpty(f, c.NetworkIDs[f.named("c")])
		require.Equal(f, published, c.PublishedPorts)
		f.fails(engine.Conflict, f.Engine.ConnectNetwork(f.Context(), id, f.named("c")))
		f.fails(engine.NotFound, f.Engine.ConnectNetwork(f.Context(), id, f.named("none")))
		f.fails(engine.NotFound, f.Engine.ConnectNetwork(f.Context(), f.named("none"), f.named("b")))
		f.fails(engine.NotFound, f.Engine.DisconnectNetwork(f.Context(), id, f.named("none")))
		f.fails(engine.NotFound, f.Engine.DisconnectNetwork(f.Context(), f.named("none"), f.named("c")))
		s.expect(id, "create", "start")
	}},
	{"a stopped container changes its networks", func(f *fixture) {
		f.network("a")
		f.network("b")
		id := f.create("1", f.networked(Runs, "a"))
		require.NoError(f, f.Engine.ConnectNetwork(f.Context(), id, f.named("b")))
		require.NoError(f, f.Engine.DisconnectNetwork(f.Context(), id, f.named("a")))
		require.Equal(f, map[string]string{f.named("b"): ""}, f.inspect(id).Networks)
		f.start(id)
		require.NotEmpty(f, f.inspect(id).Networks[f.named("b")])
	}},
	{"a container starts in a network that was made anew", func(f *fixture) {
		f.network("a")
		id := f.create("1", f.networked(Runs, "a"))
		require.NoError(f, f.Engine.RemoveNetwork(f.Context(), f.named("a")))
		f.network("a")
		f.start(id)
		require.NotEmpty(f, f.inspect(id).Networks[f.named("a")])
	}},
	{"a container that has run does not start in a network that was made anew", func(f *fixture) {
		f.network("a")
		id := f.create("1", f.networked(Runs, "a"))
		f.start(id)
		before := f.inspect(id).NetworkIDs[f.named("a")]
		require.NotEmpty(f, before)
		f.stop(id)
		require.NoError(f, f.Engine.RemoveNetwork(f.Context(), f.named("a")))
		f.network("a")
		f.fails(engine.NotFound, f.Engine.Start(f.Context(), id))
		require.Equal(f, before, f.inspect(id).NetworkIDs[f.named("a")])
	}},
	{"a container whose start failed does not hold its networks", func(f *fixture) {
		f.network("a")
		f.network("b")
		s := f.networked(Broken, "a", "b")
		id := f.create("1", s)
		f.fails(engine.Invalid, f.Engine.Start(f.Context(), id))
		require.Equal(f, map[string]string{f.named("a"): "", f.named("b"): ""}, f.inspect(id).Networks)
		require.NoError(f, f.Engine.RemoveNetwork(f.Context(), f.named("a")))
		require.NoError(f, f.Engine.Remove(f.Context(), id, true))
		require.NoError(f, f.Engine.RemoveNetwork(f.Context(), f.named("b")))
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

		// Neither a part of a name nor a missing name finds anything.
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
	{"a network whose subnet another has is a Conflict", func(f *fixture) {
		subnet := f.subnet(24)
		f.network("a", subnet)
		second := engine.NetworkSpec{Name: f.named("b"), Labels: f.labels()}
		subnet(&second.Config)
		f.fails(engine.Conflict, f.Engine.CreateNetwork(f.Context(), second))
	}},
	{"a network is removed by its ID", func(f *fixture) {
		f.network("a")
		f.network("b")
		networks, err := f.Engine.Networks(f.Context(), f.Project, f.named("a"))
		require.NoError(f, err)
		for _, n := range networks {
			if n.Name == f.named("a") {
				require.NoError(f, f.Engine.RemoveNetwork(f.Context(), n.ID))
				require.NoError(f, f.Engine.RemoveNetwork(f.Context(), n.ID), "one that is gone")
			}
		}
		networks, err = f.Engine.Networks(f.Context(), f.Project)
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

// subnet gives a network one of the given length that no one else is likely to use.
func (f *fixture) subnet(bits int) func(*types.NetworkConfig) {
	third := f.Outsider.FreePort(f.T) % 250
	return func(n *types.NetworkConfig) {
		n.Ipam.Config = []*types.IPAMPool{{Subnet: fmt.Sprintf("10.213.%d.0/%d", third, bits)}}
	}
}
