package enginetest

import (
	"strconv"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/engine"
)

// restartCases are about an engine that is a second supervisor, as it is of
// containers that docker compose made.
var restartCases = []testCase{
	{"the restart policy is changed in place", func(f *fixture) {
		id := f.Outsider.CreateRestarting(f.T, f.Project, f.named("1"), f.Image(Runs))
		f.start(id)
		before := f.inspect(id)
		require.Equal(f, "always", before.RestartPolicy)
		require.NoError(f, f.Engine.SetRestartPolicy(f.Context(), id, "no"))
		after := f.inspect(id)
		require.Equal(f, "no", after.RestartPolicy)
		after.RestartPolicy = before.RestartPolicy
		require.Equal(f, before, after)
	}},
	{"to change the restart policy of an absent container is NotFound", func(f *fixture) {
		f.fails(engine.NotFound, f.Engine.SetRestartPolicy(f.Context(), f.named("none"), "no"))
	}},
	{"a container has the restart policy that it was created with", func(f *fixture) {
		for i, policy := range []string{"no", "always", "unless-stopped", "on-failure", "on-failure:3"} {
			spec := f.spec(strconv.Itoa(i), f.service(Runs))
			spec.RestartPolicy = policy
			id, err := f.Engine.Create(f.Context(), spec)
			require.NoError(f, err)
			require.Equal(f, policy, f.inspect(id).RestartPolicy)
		}
	}},
	{"the engine counts its restarts, and gives up when it is told to; a start begins anew", func(f *fixture) {
		spec := f.spec("1", f.service(Exits))
		spec.RestartPolicy = "on-failure:2"
		id, err := f.Engine.Create(f.Context(), spec)
		require.NoError(f, err)
		for range 2 {
			f.start(id)
			c := f.await(id, "given up", func(c engine.Container) bool { return c.State == engine.Exited && c.RestartCount == 2 })
			require.Equal(f, 3, c.ExitCode)
		}
	}},
	{"the engine restarts what ends by itself, until that is disabled", func(f *fixture) {
		s := f.subscribe()
		id := f.Outsider.CreateRestarting(f.T, f.Project, f.named("1"), f.Image(Exits))
		f.start(id)
		s.expect(id, "create", "start", "die", "start", "die", "start")
		// An engine fails that where the process ends at the same moment.
		require.Eventually(f, func() bool { return f.Engine.SetRestartPolicy(f.Context(), id, "no") == nil }, patience, 10*time.Millisecond)
		require.Equal(f, 3, f.awaitExit(id).ExitCode)
	}},
	{"a container that the engine will start again cannot be removed, and can be stopped", func(f *fixture) {
		id := f.Outsider.CreateRestarting(f.T, f.Project, f.named("1"), f.Image(Exits))
		f.start(id)
		c := f.await(id, "restarting", func(c engine.Container) bool { return c.State == engine.Restarting })
		require.Equal(f, 3, c.ExitCode)
		require.Equal(f, map[string]string{"none": ""}, c.Networks)
		f.fails(engine.Conflict, f.Engine.Remove(f.Context(), id, true))
		f.stop(id)
		require.Equal(f, engine.Exited, f.inspect(id).State)
	}},
	{"the engine does not restart what was killed or stopped through it", func(f *fixture) {
		events, moreEvents := f.subscribe(), f.subscribe()
		killed := f.Outsider.CreateRestarting(f.T, f.Project, f.named("1"), f.Image(Runs))
		stopped := f.Outsider.CreateRestarting(f.T, f.Project, f.named("2"), f.Image(Runs))
		f.start(killed)
		f.start(stopped)
		f.Outsider.Kill(f.T, killed)
		f.stop(stopped)
		f.awaitExit(killed)
		f.awaitExit(stopped)
		require.NoError(f, f.Engine.Remove(f.Context(), killed, true))
		require.NoError(f, f.Engine.Remove(f.Context(), stopped, true))
		events.expect(killed, "create", "start", "kill", "die", "destroy")
		moreEvents.expect(stopped, "create", "start", "kill", "die", "stop", "destroy")
	}},
	{"the engine restarts what has crashed, with its networks", func(f *fixture) {
		f.network("a")
		spec := f.spec("1", f.networked(Runs, "a"))
		spec.RestartPolicy = "unless-stopped"
		id, err := f.Engine.Create(f.Context(), spec)
		require.NoError(f, err)
		f.start(id)
		first := f.inspect(id)
		f.Outsider.Exit(f.T, id, 1)
		second := f.await(id, "restarted", func(c engine.Container) bool {
			return c.State == engine.Running && c.StartedAt.After(first.StartedAt)
		})
		require.NotEmpty(f, second.Networks[f.named("a")])
		require.False(f, second.StartedAt.Before(second.FinishedAt))
	}},
}
