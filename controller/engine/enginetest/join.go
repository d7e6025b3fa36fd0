package enginetest

import (
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/engine"
)

var joinCases = []testCase{
	{"a container tells what it shares with others", func(f *fixture) {
		joined := f.create("1", f.shareable())
		s, mode := f.service(Runs), types.ContainerPrefix+joined
		s.NetworkMode, s.Ipc, s.Pid, s.VolumesFrom = mode, mode, mode, []string{joined}
		c := f.inspect(f.create("2", s))
		require.Equal(f, []engine.Join{
			{Kind: engine.JoinIPC, ID: joined}, {Kind: engine.JoinNetwork, ID: joined}, {Kind: engine.JoinPID, ID: joined}, {Kind: engine.JoinVolumes, ID: joined},
		}, c.Joins)
		require.Empty(f, c.Networks)
	}},
	{"a container starts in the namespace of one that runs", func(f *fixture) {
		joined := f.create("1", f.shareable())
		f.start(joined)
		for name, share := range shares {
			joiner := f.create("joiner-"+name, share(f.service(Runs), joined))
			f.start(joiner)
		}
	}},
	{"a start in the namespace of one that does not run fails, and is mended by its start", func(f *fixture) {
		for name, share := range shares {
			joined := f.create("joined-"+name, f.shareable())
			joiner := f.create("joiner-"+name, share(f.service(Runs), joined))
			require.Error(f, f.Engine.Start(f.Context(), joiner))
			require.NotEqual(f, engine.Running, f.inspect(joiner).State)
			f.start(joined)
			f.start(joiner)
		}
	}},
	{"a container with another's volumes has its mounts", func(f *fixture) {
		joined := f.create("1", f.mountingBoth())
		s := f.service(Runs)
		s.VolumesFrom = []string{joined}
		joiner := f.create("2", s)
		require.Equal(f, f.inspect(joined).Mounts, f.inspect(joiner).Mounts)
	}},
	{"a process ends with the one whose process namespace it is in", func(f *fixture) {
		joined := f.create("1", f.shareable())
		f.start(joined)
		joiner := f.create("2", shares["pid"](f.service(Runs), joined))
		f.start(joiner)
		require.NoError(f, f.Engine.Stop(f.Context(), joined, 0))
		f.awaitExit(joiner)
	}},
	{"a process goes on when the one whose network it is in has ended", func(f *fixture) {
		joined := f.create("1", f.shareable())
		f.start(joined)
		joiner := f.create("2", shares["network"](f.service(Runs), joined))
		f.start(joiner)
		require.NoError(f, f.Engine.Stop(f.Context(), joined, 0))
		require.NoError(f, f.Engine.Remove(f.Context(), joined, false))
		require.Equal(f, engine.Running, f.inspect(joiner).State)
	}},
}

// shares has a service share a namespace with a container.
var shares = map[string]func(s types.ServiceConfig, id string) types.ServiceConfig{
	"network": func(s types.ServiceConfig, id string) types.ServiceConfig {
		s.NetworkMode = types.ContainerPrefix + id
		return s
	},
	"ipc": func(s types.ServiceConfig, id string) types.ServiceConfig {
		s.Ipc = types.ContainerPrefix + id
		return s
	},
	"pid": func(s types.ServiceConfig, id string) types.ServiceConfig {
		s.Pid = types.ContainerPrefix + id
		return s
	},
}

// shareable is a service whose namespaces others may join.
func (f *fixture) shareable() types.ServiceConfig {
	s := f.service(Runs)
	s.Ipc = "shareable"
	return s
}
