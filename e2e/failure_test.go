package e2e_test

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAnUpdateThatFailsLeavesTheOldRevision(t *testing.T) {
	for name, update := range map[string]struct {
		change  [2]string
		reason  string
		message string
	}{
		"a health check that never passes": {[2]string{`VERSION: "1"`, `VERSION: "2", HEALTH: never`}, "Unhealthy", "503"},
		"a process that exits at once":     {[2]string{`VERSION: "1"`, `VERSION: "2", EXIT: "7"`}, "CrashLoopBackOff", "exited with code 7"},
		"an image that is nowhere":         {[2]string{"${PROBE}", "localhost:1/nowhere:1"}, "PullFailed", "localhost:1"},
		"an image that may not be pulled":  {[2]string{"image: ${PROBE}", "image: tend-e2e/nowhere:1\n    pull_policy: never"}, "Waiting", "pull_policy"},
		"a process that cannot start":      {[2]string{"image: ${PROBE}", "image: ${PROBE}\n    entrypoint: [/nowhere]"}, "CreateFailed", "/nowhere"},
	} {
		t.Run(name, func(t *testing.T) {
			compose := strings.Replace(web, ", start_period: 30s", "", 1)
			p := newProject(t, files{"compose.yaml": compose, "specs/web.yaml": strings.Replace(webSpec, "replicas: 3", "replicas: 2", 1)})
			tend := p.run()
			p.awaitReady("web", 2)
			before := p.identities()
			seen := p.record("web")
			p.edit("compose.yaml", update.change[0], update.change[1])
			workload := "web"
			if update.reason == "PullFailed" {
				workload = "" // an image is the whole project's
			}
			tend.awaitEvent(workload, update.reason, update.message)
			applied := p.tend("apply", "--timeout", "2s")
			assert.Equal(t, 1, applied.code, "%s", applied)
			assert.Contains(t, applied.errOut, "web: ")
			after := p.identities()
			for name, was := range before {
				assert.Equal(t, was, after[name])
			}
			assert.GreaterOrEqual(t, seen.seen().MinReady, 2)

			p.edit("compose.yaml", update.change[1], strings.Replace(update.change[0], `"1"`, `"3"`, 1))
			if strings.Contains(update.change[0], "VERSION") {
				p.awaitEnv("web", 2, "VERSION", "3")
			} else {
				p.awaitReady("web", 2)
				for name, is := range p.identities() {
					assert.Equal(t, before[name], is, "back at the old revision, nothing has to move")
				}
			}
			p.mustTend("apply")
		})
	}
}

func TestATakenHostPortIsToldAndWaitedFor(t *testing.T) {
	other, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer other.Close()
	port := other.Addr().(*net.TCPAddr).Port
	p := newProject(t, files{"compose.yaml": fmt.Sprintf(`
services:
  web:
    image: ${PROBE}
    ports: ["127.0.0.1:%d:8080"]
  good:
    image: ${PROBE}
`, port)})
	tend := p.run()
	ingress := fmt.Sprintf("web:127.0.0.1:%d", port)
	tend.awaitEvent(ingress, "CreateFailed", fmt.Sprint(port))
	tend.awaitEvent(ingress, "BackOff", fmt.Sprint(port), "back-off")
	p.awaitReady("good", 1)
	good := p.replica("good").State.StartedAt
	require.NoError(t, other.Close())
	p.awaitReached(fmt.Sprintf("127.0.0.1:%d", port))
	assert.Equal(t, good, p.replica("good").State.StartedAt)
}
