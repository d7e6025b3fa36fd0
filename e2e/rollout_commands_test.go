package e2e_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// The commands of a rollout, as one person would use them in a row.
func TestARolloutIsFollowedPausedAndUndoneFromTheCommandLine(t *testing.T) {
	p := newProject(t, files{"compose.yaml": web, "specs/web.yaml": strings.Replace(webSpec, "Seconds: 5", "Seconds: 120", 1)})
	p.run()
	p.awaitReady("web", 3)
	p.mustTend("wait", "web")

	p.mustTend("scale", "web", "--replicas", "2")
	assert.Contains(t, p.read("specs/web.yaml"), "  replicas: 2\n")
	p.awaitReady("web", 2)

	p.edit("compose.yaml", `VERSION: "1"`, `VERSION: "2"`)
	p.awaitTold(" 2 ", "rollout", "history", "web")
	p.mustTend("rollout", "status", "web")
	p.awaitEnv("web", 2, "VERSION", "2")

	p.mustTend("rollout", "undo", "web")
	p.awaitEnv("web", 2, "VERSION", "1")
	p.mustTend("rollout", "status", "web")

	before := p.identities()
	p.mustTend("rollout", "pause", "web")
	r := p.tend("rollout", "restart", "web")
	assert.Equal(t, 1, r.code)
	assert.Contains(t, r.errOut, "resume it first")
	p.assertSame(before, "a paused rollout changes nothing")
	p.mustTend("rollout", "resume", "web")
	p.mustTend("rollout", "restart", "web")
	p.awaitTold("a restart was asked for", "events", "web")
	p.mustTend("rollout", "status", "web")
	for name, now := range p.identities() {
		assert.NotEqual(t, before[name].ID, now.ID, "each replica is another container")
	}
	assert.Contains(t, p.mustTend("explain", "web"), "web has converged: 2 of 2")
	assert.Equal(t, 1, p.tend("rollout", "status", "nope").code)
}
