package managertest

import (
	"io"

	"github.com/docker/docker/api/types/swarm"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/swarm/manager"
)

var swarmCases = []testCase{
	{"a Swarm of one node", func(f *fixture) {
		info, err := f.Manager.Info(f.Context())
		require.NoError(f, err)
		require.NotEmpty(f, info.Host)
		require.NotEmpty(f, info.SwarmID)
		require.Equal(f, 1, info.Managers)
		require.Equal(f, 1, info.Reachable)
		nodes, err := f.Manager.Nodes(f.Context())
		require.NoError(f, err)
		require.Len(f, nodes, 1)
		n := nodes[0]
		require.Equal(f, swarm.NodeStateReady, n.State)
		require.Equal(f, swarm.NodeAvailabilityActive, n.Availability)
		require.Equal(f, swarm.NodeRoleManager, n.Role)
		require.Equal(f, swarm.ReachabilityReachable, n.Reachability)
		require.True(f, n.Leader)
		require.Equal(f, "linux", n.OS)
		for _, given := range []string{n.ID, n.Hostname, n.Addr, n.Architecture, n.EngineVersion} {
			require.NotEmpty(f, given)
		}
		require.Positive(f, n.NanoCPUs)
		require.Positive(f, n.Memory)
	}},
	{"an engine in no Swarm is Unavailable for everything", func(f *fixture) {
		for name, call := range everything(f, f.Outside) {
			err := call()
			f.fails(engine.Unavailable, err)
			require.ErrorIs(f, err, manager.ErrNoSwarm, name)
		}
	}},
}

// everything is each call of a manager.
func everything(f *fixture, m manager.Manager) map[string]func() error {
	ctx := f.Context()
	s := f.spec("web", Runs, 1)
	return map[string]func() error{
		"Info":          func() error { _, err := m.Info(ctx); return err },
		"Nodes":         func() error { _, err := m.Nodes(ctx); return err },
		"Services":      func() error { _, err := m.Services(ctx, f.Project); return err },
		"Tasks":         func() error { _, err := m.Tasks(ctx, f.Project); return err },
		"CreateService": func() error { _, err := m.CreateService(ctx, s); return err },
		"UpdateService": func() error { return m.UpdateService(ctx, "absent", 1, s) },
		"RemoveService": func() error { return m.RemoveService(ctx, "absent") },
		"Networks":      func() error { _, err := m.Networks(ctx, f.Project); return err },
		"CreateNetwork": func() error {
			_, err := m.CreateNetwork(ctx, engine.NetworkSpec{Name: f.named("net")})
			return err
		},
		"RemoveNetwork": func() error { return m.RemoveNetwork(ctx, "absent") },
		"Secrets":       func() error { _, err := m.Secrets(ctx, f.Project); return err },
		"CreateSecret": func() error {
			_, err := m.CreateSecret(ctx, swarm.SecretSpec{Annotations: swarm.Annotations{Name: f.named("a")}, Data: []byte("a")})
			return err
		},
		"RemoveSecret": func() error { return m.RemoveSecret(ctx, "absent") },
		"Configs":      func() error { _, err := m.Configs(ctx, f.Project); return err },
		"CreateConfig": func() error {
			_, err := m.CreateConfig(ctx, swarm.ConfigSpec{Annotations: swarm.Annotations{Name: f.named("a")}, Data: []byte("a")})
			return err
		},
		"RemoveConfig": func() error { return m.RemoveConfig(ctx, "absent") },
		"Events":       func() error { _, _, err := m.Events(ctx); return err },
		"Logs":         func() error { return m.Logs(ctx, "absent", engine.LogOptions{}, io.Discard, io.Discard) },
		"TaskLogs":     func() error { return m.TaskLogs(ctx, "absent", engine.LogOptions{}, io.Discard, io.Discard) },
	}
}
