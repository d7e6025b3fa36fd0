package e2e_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWhatIsTakenAwayByHandIsRepaired(t *testing.T) {
	byHand := map[string]func(t *testing.T, id string) error{
		"docker kill": func(t *testing.T, id string) error { return docker.ContainerKill(t.Context(), id, "KILL") },
		"docker stop": func(t *testing.T, id string) error {
			return docker.ContainerStop(t.Context(), id, container.StopOptions{})
		},
		"docker rm -f": func(t *testing.T, id string) error {
			return docker.ContainerRemove(t.Context(), id, container.RemoveOptions{Force: true})
		},
		"docker pause": func(t *testing.T, id string) error { return docker.ContainerPause(t.Context(), id) },
	}
	for name, take := range byHand {
		t.Run(name, func(t *testing.T) {
			p := newProject(t, files{"compose.yaml": web + "    deploy: {replicas: 2}\n"})
			p.run()
			before := p.awaitReady("web", 2)
			require.NoError(t, take(t, before[0].ID))
			p.awaitOtherThan(before[0], "web", 2)
			other := p.identities()[before[1].name()]
			assert.Equal(t, identity{before[1].ID, before[1].State.StartedAt}, other, "the other one is left alone")
		})
	}
}

func TestWhatPeopleDoIsNoCrash(t *testing.T) {
	p := newProject(t, files{"compose.yaml": plain})
	tend := p.run()
	byHand := []func(id string) error{
		func(id string) error { return docker.ContainerStop(t.Context(), id, container.StopOptions{}) },
		func(id string) error {
			return docker.ContainerRemove(t.Context(), id, container.RemoveOptions{Force: true})
		},
		func(id string) error { return docker.ContainerKill(t.Context(), id, "KILL") },
		func(id string) error { return docker.ContainerRestart(t.Context(), id, container.StopOptions{}) },
	}
	p.awaitReady("web", 1)
	for round := range 2 {
		for _, do := range byHand {
			before := p.replica("web")
			require.NoError(t, do(before.ID))
			done := time.Now()
			p.awaitOtherThan(before, "web", 1)
			assert.Less(t, time.Since(done), 5*time.Second, "round %d: at once, but for what this machine takes", round)
		}
	}
	for _, e := range tend.events() {
		assert.NotContains(t, e.Reason, "BackOff", e.Message)
	}
	tend.awaitEvent("web", "Contested", "replica 1", "not by tend")
}

func TestAReplicaWhoseHealthCheckFailsIsRestarted(t *testing.T) {
	p := newProject(t, files{"compose.yaml": web + "    tmpfs: [/tmp]\n"})
	tend := p.run()
	before := p.awaitReady("web", 1)[0]
	p.compose("exec", "-T", "web", "/probe", "sick")
	tend.awaitEvent("web", "Unhealthy", before.name(), "503")
	p.awaitOtherThan(before, "web", 1)
}

// awaitOtherThan is awaitReady for a service that has one replica to be replaced or
// restarted.
func (p *project) awaitOtherThan(before replica, service string, n int) {
	p.t.Helper()
	p.await(func() error {
		for _, r := range p.awaitReady(service, n) {
			if r.State.StartedAt == before.State.StartedAt {
				return fmt.Errorf("%s runs as before", r)
			}
		}
		return nil
	})
}

func TestACrashLoopIsSlowedDownAndSaysSo(t *testing.T) {
	p := newProject(t, files{"compose.yaml": `
services:
  web:
    image: ${PROBE}
    environment: {EXIT: "3"}
  good:
    image: ${PROBE}
`})
	tend := p.run()
	p.awaitReady("good", 1)
	tend.awaitEvent("web", "CrashLoopBackOff", p.name+"-web-1", "exited with code 3", "back-off 10s")
	second := p.replica("web")
	tend.awaitEvent("web", "CrashLoopBackOff", "exited with code 3", "back-off 20s")
	third := p.replica("web")
	assert.Equal(t, second.ID, third.ID, "it is started again, not made anew")
	pause := instant(t, third.State.StartedAt).Sub(instant(t, second.State.FinishedAt))
	assert.GreaterOrEqual(t, pause, 10*time.Second)
	assert.Less(t, pause, 20*time.Second)
	assert.Contains(t, p.mustTend("get", "workloads", "-o", "wide"), "back-off")

	p.edit("compose.yaml", `EXIT: "3"`, `VERSION: "2"`)
	p.awaitEnv("web", 1, "VERSION", "2")
}

func TestAContainerThatRestartsOnFailureOnlyMayEnd(t *testing.T) {
	p := newProject(t, files{"compose.yaml": `
services:
  web:
    image: ${PROBE}
    environment: {EXIT: "0"}
    restart: on-failure
`})
	p.run()
	ended := p.awaitReplicas("web", 1, func(r replica) bool { return r.State.Status == container.StateExited })[0]
	p.mustTend("apply")
	assert.Equal(t, ended.State.StartedAt, p.replica("web").State.StartedAt)
}

func TestAReplicaThatIgnoresItsStopSignalIsKilledAfterItsGrace(t *testing.T) {
	p := newProject(t, files{"compose.yaml": `
services:
  web:
    image: ${PROBE}
    environment: {IGNORE_TERM: "1"}
    # Healthy means that it has taken hold of the signal.
    healthcheck: {test: [CMD, /probe, health], interval: 1s, timeout: 10s, retries: 3, start_period: 30s}
    stop_grace_period: 2s
    scale: 2
`})
	p.run()
	p.awaitReady("web", 2)
	seen := p.record("web")
	p.edit("compose.yaml", "scale: 2", "scale: 1")
	p.awaitReady("web", 1)
	story := seen.seen().story
	at := func(n int) time.Time {
		at, err := time.Parse("15:04:05.000", strings.Fields(story[n])[0])
		require.NoError(t, err)
		return at
	}
	require.Len(t, story, 4, "%q", story) // kill with SIGTERM, kill with SIGKILL, die, destroy
	assert.GreaterOrEqual(t, at(1).Sub(at(0)), 2*time.Second, "%q", story)
}

// instant reads a time of the engine.
func instant(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, s)
	require.NoError(t, err)
	return at
}
