package enginetest

import (
	"slices"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/engine"
)

var healthCases = []testCase{
	{"a container without a health check has no health", func(f *fixture) {
		require.Equal(f, engine.NoHealthCheck, f.inspect(f.runs("1", Runs)).Health)
	}},
	{"a container is starting until it is healthy", func(f *fixture) {
		id := f.runs("1", Recovers)
		require.Equal(f, engine.Starting, f.inspect(id).Health)
		require.Zero(f, f.inspect(id).HealthySince)
		c := f.awaitHealth(id, engine.Healthy)
		require.True(f, c.HealthySince.After(c.StartedAt))
	}},
	{"health lasts", func(f *fixture) {
		id := f.runs("1", Recovers)
		first := f.awaitHealth(id, engine.Healthy)
		for range 5 {
			c := f.inspect(id)
			require.Equal(f, engine.Healthy, c.Health)
			require.False(f, c.HealthySince.Before(first.HealthySince))
		}
	}},
	{"a container that fails its check is unhealthy", func(f *fixture) {
		c := f.awaitHealth(f.runs("1", Sick), engine.Unhealthy)
		require.Equal(f, engine.Running, c.State)
		require.Zero(f, c.HealthySince)
	}},
	{"health of an earlier run does not count", func(f *fixture) {
		id := f.runs("1", Recovers)
		first := f.awaitHealth(id, engine.Healthy)
		f.stop(id)
		require.NotEqual(f, engine.Healthy, f.inspect(id).Health)
		f.start(id)
		require.Equal(f, engine.Starting, f.inspect(id).Health)
		second := f.awaitHealth(id, engine.Healthy)
		require.True(f, second.StartedAt.After(first.HealthySince))
		require.True(f, second.HealthySince.After(second.StartedAt))
	}},
	{"health is lost and comes back, with one event for each change", func(f *fixture) {
		s := f.subscribe()
		id := f.runs("1", Recovers)
		first := f.awaitHealth(id, engine.Healthy)
		f.Outsider.SetHealth(f.T, id, engine.Unhealthy)
		require.Zero(f, f.awaitHealth(id, engine.Unhealthy).HealthySince)
		f.Outsider.SetHealth(f.T, id, engine.Healthy)
		require.True(f, f.awaitHealth(id, engine.Healthy).HealthySince.After(first.HealthySince))
		f.stop(id)
		s.expect(id, "create", "start", "health_status", "health_status", "health_status", "kill", "die", "stop")
	}},
	{"a start begins health anew without an event", func(f *fixture) {
		s := f.subscribe()
		id := f.runs("1", Recovers)
		f.awaitHealth(id, engine.Healthy)
		f.Outsider.Exit(f.T, id, 0)
		f.awaitExit(id)
		f.start(id)
		f.awaitHealth(id, engine.Healthy)
		var actions []string
		for e := range s.events {
			if e.ContainerID != id {
				continue
			}
			actions = append(actions, e.Action)
			if i := slices.Index(actions, "die"); i >= 0 && e.Action == "health_status" {
				require.Equal(f, []string{"create", "start", "health_status"}, actions[:3])
				// A check that runs while the process ends may fail, which is told of before.
				require.Equal(f, []string{"die", "start", "health_status"}, actions[i:])
				break
			}
		}
	}},
	{"health after a pause is told of anew", func(f *fixture) {
		id := f.create("1", f.checked())
		f.start(id)
		first := f.awaitHealth(id, engine.Healthy)
		s := f.subscribe()
		f.Outsider.Pause(f.T, id)
		f.Outsider.Unpause(f.T, id)
		require.False(f, f.awaitHealth(id, engine.Healthy).HealthySince.Before(first.HealthySince))
		f.Outsider.Remove(f.T, id)
		var actions []string
		for e := range s.events {
			if e.ContainerID != id {
				continue
			}
			if actions = append(actions, e.Action); e.Action == "destroy" {
				break
			}
		}
		// Some engines tell of a pause twice.
		require.Greater(f, last(actions, "health_status"), last(actions, "unpause"), "%v", actions)
	}},
	{"what does not run is not healthy", func(f *fixture) {
		id := f.runs("1", Recovers)
		f.awaitHealth(id, engine.Healthy)
		f.Outsider.Pause(f.T, id)
		paused := f.inspect(id)
		require.Equal(f, engine.Starting, paused.Health)
		require.Zero(f, paused.HealthySince)
		f.Outsider.Kill(f.T, id)
		require.Equal(f, engine.Starting, f.awaitExit(id).Health)
	}},
	{"a service can bring a health check of its own", func(f *fixture) {
		id := f.create("1", f.checked())
		f.start(id)
		f.awaitHealth(id, engine.Healthy)
	}},
	{"a service can disable its image's health check", func(f *fixture) {
		s := f.service(Sick)
		s.HealthCheck = &types.HealthCheckConfig{Disable: true}
		id := f.create("1", s)
		f.start(id)
		require.Equal(f, engine.NoHealthCheck, f.inspect(id).Health)
	}},
}

// checked is a service with a health check that its image does not have.
func (f *fixture) checked() types.ServiceConfig {
	s := f.service(Runs)
	s.HealthCheck = healthCheck()
	return s
}

func (f *fixture) awaitHealth(id string, h engine.Health) engine.Container {
	f.Helper()
	return f.await(id, string(h), func(c engine.Container) bool { return c.Health == h })
}

// last is where an action was seen last; -1 for never.
func last(actions []string, action string) int {
	for i, a := range slices.Backward(actions) {
		if a == action {
			return i
		}
	}
	return -1
}
