package docker

import (
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/go-connections/nat"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/engine"
)

var started = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// probes makes results one second apart, the first one second after the start:
// '+' passed, '-' failed.
func probes(results string) []*container.HealthcheckResult {
	var log []*container.HealthcheckResult
	for i, r := range results {
		at := started.Add(time.Duration(i+1) * time.Second)
		p := &container.HealthcheckResult{Start: at, End: at.Add(time.Millisecond)}
		if r == '-' {
			p.ExitCode, p.Output = 1, " out of order\n"
		}
		log = append(log, p)
	}
	return log
}

func TestHealthOfAContainer(t *testing.T) {
	for _, c := range []struct {
		name   string
		state  engine.State
		status string
		log    []*container.HealthcheckResult
		want   engine.Health
		since  int // seconds after the start
	}{
		{"no check", engine.Running, "none", nil, engine.NoHealthCheck, 0},
		{"not probed yet", engine.Running, "starting", nil, engine.Starting, 0},
		{"first pass", engine.Running, "healthy", probes("--+"), engine.Healthy, 3},
		{"too few failures to count", engine.Running, "healthy", probes("+-+-+"), engine.Healthy, 1},
		{"healthy again after a failure", engine.Running, "healthy", probes("+--++"), engine.Healthy, 4},
		{"healthy, the last probe failed", engine.Running, "healthy", probes("++-"), engine.Healthy, 1},
		{"unhealthy", engine.Running, "unhealthy", probes("+--"), engine.Unhealthy, 0},
		{"status of an earlier run", engine.Running, "healthy", early(probes("+++")), engine.Starting, 0},
		{"unhealthy in an earlier run", engine.Running, "unhealthy", early(probes("---")), engine.Starting, 0},
		{"just unpaused", engine.Running, "unhealthy", probes("+++"), engine.Starting, 0},
		{"paused", engine.Paused, "unhealthy", probes("+++"), engine.Starting, 0},
		{"exited", engine.Exited, "unhealthy", probes("---"), engine.Starting, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := engine.Container{State: c.state, StartedAt: started}
			observeHealth(&got, &container.Health{Status: c.status, Log: c.log}, &container.HealthConfig{Retries: 2})
			require.Equal(t, c.want, got.Health)
			if c.since == 0 {
				require.Zero(t, got.HealthySince)
			} else {
				require.Equal(t, started.Add(time.Duration(c.since)*time.Second+time.Millisecond), got.HealthySince)
			}
		})
	}
}

// early moves probes before the start.
func early(log []*container.HealthcheckResult) []*container.HealthcheckResult {
	for _, p := range log {
		p.Start, p.End = p.Start.Add(-time.Hour), p.End.Add(-time.Hour)
	}
	return log
}

func TestHealthOutputIsTheLastProbes(t *testing.T) {
	got := engine.Container{State: engine.Running, StartedAt: started}
	observeHealth(&got, &container.Health{Status: "unhealthy", Log: probes("+--")}, nil)
	require.Equal(t, "out of order", got.HealthOutput)
}

func TestPortsMissing(t *testing.T) {
	wanted := nat.PortMap{"80/tcp": {{HostIP: "127.0.0.1", HostPort: "8080"}}}
	for _, c := range []struct {
		name    string
		mode    container.NetworkMode
		inForce nat.PortMap
		want    bool
	}{
		{"in force", "front", nat.PortMap{"80/tcp": {{HostIP: "127.0.0.1", HostPort: "8080"}}}, false},
		{"exposed, not published", "front", nat.PortMap{"80/tcp": nil}, true},
		{"nothing", "front", nil, true},
		{"the host's network", "host", nil, false},
		{"another container's network", "container:abc", nil, false},
		{"no network", "none", nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			host := &container.HostConfig{NetworkMode: c.mode, PortBindings: wanted}
			require.Equal(t, c.want, portsMissing(host, c.inForce))
		})
	}
}
