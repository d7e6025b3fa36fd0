package e2e_test

import (
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestANetworkThatWentWhileTendWasAwayIsNoFailure(t *testing.T) {
	p := newProject(t, files{"compose.yaml": `
services:
  a: {image: "${PROBE}"}
  b: {image: "${PROBE}", depends_on: [a]}
`})
	p.mustTend("apply")
	p.compose("stop")
	require.NoError(t, p.engine.NetworkRemove(t.Context(), p.name+"_default"))
	tend := p.run()
	tend.awaitEvent("b", "Created", p.name+"-b-1")
	p.awaitReady("a", 1)
	p.awaitReady("b", 1)
	for _, e := range tend.events() {
		assert.Equal(t, "info", strings.ToLower(e.Level), "%s: %s", e.Reason, e.Message)
	}
}

func TestANetworkThatGoesIsNoFailureOfTheReplica(t *testing.T) {
	p := newProject(t, files{"compose.yaml": plain})
	tend := p.run()
	p.awaitReady("web", 1)
	// tend is to learn of the crash and of the network at once.
	require.NoError(t, tend.cmd.Process.Signal(syscall.SIGSTOP))
	before := p.crash("web")
	p.awaitReplicas("web", 1, func(r replica) bool { return !r.State.Running })
	require.NoError(t, p.engine.NetworkRemove(t.Context(), p.name+"_default"))
	require.NoError(t, tend.cmd.Process.Signal(syscall.SIGCONT))
	p.awaitOtherThan(before, "web", 1)
	for _, e := range tend.events() {
		assert.NotContains(t, e.Reason, "BackOff", e.Message)
	}
}

func TestDownEndsBesideAnUnmanagedServiceThatDependsOnAManagedOne(t *testing.T) {
	p := newProject(t, files{"compose.yaml": `
services:
  db: {image: "${PROBE}"}
  app:
    image: ${PROBE}
    depends_on: [db]
    x-tend: {managed: false}
`})
	p.compose("up", "-d")
	p.mustTend("apply")
	p.mustTend("down", "--timeout", "60s")
	assert.Empty(t, p.replicas("db"))
	assert.Len(t, p.replicas("app"), 1, "it is left alone")
}
