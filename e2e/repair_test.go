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
			var after []replica
			p.await(func() error {
				after = p.awaitReady("web", 2)
				if after[0].State.StartedAt == before[0].State.StartedAt {
					return fmt.Errorf("%s runs as before", after[0])
				}
				return nil
			})
			assert.Equal(t, before[1].ID, after[1].ID, "the other one is left alone")
			assert.Equal(t, before[1].State.StartedAt, after[1].State.StartedAt)
		})
	}
}

func TestAReplicaWhoseHealthCheckFailsIsRestarted(t *testing.T) {
	p := newProject(t, files{"compose.yaml": web + "    tmpfs: [/tmp]\n"})
	tend := p.run()
	before := p.awaitReady("web", 1)[0]
	p.compose("exec", "-T", "web", "/probe", "sick")
	tend.awaitEvent("web", "Unhealthy", before.name(), "503")
	p.await(func() error {
		if r := p.replica("web"); r.State.StartedAt == before.State.StartedAt {
			return fmt.Errorf("%s runs as before", r)
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
	assert.Contains(t, p.mustTend("get", "workloads", "-o", "wide"), "back-off 20s")

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
	p.await(func() error {
		if got := p.tend("get", "workloads", "web"); !strings.Contains(got.out, "yes") {
			return fmt.Errorf("not converged: %s", got)
		}
		return nil
	})
	assert.Equal(t, "exited", p.replica("web").State.Status)
}

// instant reads a time of the engine.
func instant(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, s)
	require.NoError(t, err)
	return at
}
