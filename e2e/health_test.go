package e2e_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestAHealthCheckThatNeverPassesStopsNothing(t *testing.T) {
	for name, check := range map[string]struct{ test, says string }{
		"it cannot run": {"[CMD, curl, -f, http://127.0.0.1:8080]", "the check itself cannot run"},
		"it fails":      {"[CMD, /probe, nonsense]", "no such command: nonsense"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProject(t, files{"compose.yaml": fmt.Sprintf(`
services:
  web:
    image: ${PROBE}
    restart: unless-stopped
    healthcheck: {test: %s, interval: 500ms, retries: 1}
`, check.test)})
			tend := p.run()
			tend.awaitEvent("web", "Unhealthy", p.name+"-web-1 has not passed its health check since it was started", check.says)
			before := p.identities()
			r := p.tend("apply", "--timeout", "3s")
			assert.Equal(t, 1, r.code, "%s", r)
			assert.Contains(t, r.errOut, check.says)
			assert.Contains(t, p.mustTend("explain", "web"), check.says)
			assert.True(t, p.replica("web").State.Running)
			p.assertSame(before, "while its health check fails")
			tend.stop()

			tend = p.run()
			tend.awaitEvent("web", "Unhealthy", check.says)
			p.tend("apply", "--timeout", "3s")
			assert.True(t, p.replica("web").State.Running)
			p.assertSame(before, "with a new controller")

			p.edit("compose.yaml", check.test, "[CMD, /probe, health]")
			p.awaitReady("web", 1)
			p.mustTend("apply")
		})
	}
}

// Adding a probe for a container that docker compose made withdraws it when the probe fails, and
// not before.
func TestAProbeThatIsWrittenLaterWithdrawsNothing(t *testing.T) {
	p := newProject(t, files{"compose.yaml": "services:\n  web:\n    image: ${PROBE}\n    expose: [8080]\n"})
	p.compose("up", "-d")
	before := p.identities()
	tend := p.run()
	tend.awaitEvent("web", "Adopted")
	unavailable := func() (n int) {
		for _, e := range tend.events() {
			if e.Workload == "web" && e.Reason == "Unavailable" {
				n++
			}
		}
		return n
	}
	p.write("specs/web.yaml", "apiVersion: tend/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  readinessProbe: {httpGet: {path: /health, port: 8080}, periodSeconds: 0.2}\n")
	tend.awaitEvent("web", "SpecChanged")
	p.mustTend("apply")
	assert.Zero(t, unavailable())
	p.edit("specs/web.yaml", "/health", "/nowhere")
	tend.awaitEvent("web", "Unavailable")
	assert.Equal(t, 1, unavailable())
	p.assertSame(before, "while its probe fails")
}
