//go:build all

package e2e_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/swarm"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/e2e/kit"
)

// loss is how long after a machine was lost another manager led, the standby kept the project,
// and what was written in that moment was in the Swarm.
type loss struct{ led, kept, done time.Duration }

// lose ends a machine and the tend that acts there, both at once, and has another number of
// replicas written.
func (m *machines) lose(n *kit.Node, acts, standby *process, replicas uint64) (took loss) {
	m.t.Helper()
	gone := m.addressesOn(n)
	m.clients.Seen()
	before, _ := m.web()
	kept := keepings(standby)
	began := time.Now()
	_ = acts.cmd.Process.Kill() // it is waited for below
	require.NoError(m.t, n.Kill())
	m.edit("compose.yaml", fmt.Sprint("replicas: ", *before.Spec.Mode.Replicated.Replicas), fmt.Sprint("replicas: ", replicas))
	acts.end(syscall.SIGKILL)
	var watching sync.WaitGroup
	watching.Go(func() {
		m.awaitLeader(n)
		took.led = time.Since(began)
	})
	m.await(func() error {
		if keepings(standby) == kept {
			return fmt.Errorf("%s stands by", standby)
		}
		return nil
	})
	took.kept = time.Since(began)
	assert.Less(m.t, took.kept, takeover)
	m.awaitWeb("the edit", func(s swarm.Service, _ []string) bool { return *s.Spec.Mode.Replicated.Replicas == replicas })
	took.done = time.Since(began)
	watching.Wait()
	m.awaitWeb("all run", func(_ swarm.Service, on []string) bool { return uint64(len(on)) == replicas })
	seen := m.clients.Seen()
	m.t.Logf("another manager leads after %s, the standby keeps the project after %s, the edit is in the Swarm after %s; %s", took.led, took.kept, took.done, seen)
	for _, l := range seen.Lost {
		assert.True(m.t, slices.ContainsFunc(gone, func(a string) bool { return strings.Contains(l, " "+a+":") }), "a request to a machine that lives was lost: %s", l)
	}
	return took
}

// keepings counts how often a tend has begun to keep the project.
func keepings(c *process) int { return strings.Count(c.stderr.String(), "keeping project") }

// awaitLeader waits until one of the managers that are left has a leader.
func (m *machines) awaitLeader(lost *kit.Node) {
	for kit.Pause(m.t.Context(), glance) == nil {
		for _, n := range m.swarm.Nodes[:3] {
			ctx, cancel := context.WithTimeout(m.t.Context(), lookTimeout)
			_, err := n.SwarmInspect(ctx)
			cancel()
			if n != lost && err == nil {
				return
			}
		}
	}
}

// Three machines in turn are the one that is lost: that of the Swarm's leader with the tend that
// acts, one whose tend is frozen and goes on later, and one that leads nothing.
func TestAStandbyOnAnotherMachineTakesOver(t *testing.T) {
	// soon bounds the time from the election of another leader until the edit is in the Swarm.
	const soon = 6 * time.Second
	m := newMachines(t)
	one, two, three := m.swarm.Nodes[0], m.swarm.Nodes[1], m.swarm.Nodes[2]
	first := m.keeps(one)
	m.awaitWeb("it runs", func(_ swarm.Service, on []string) bool { return len(on) == 5 })
	second := m.keeps(two)
	second.awaitLog(fmt.Sprintf("standing by: process %d on node1", first.cmd.Process.Pid))
	changed := m.follow()
	m.ask()

	t.Log("the leader is lost with the tend that acts")
	leader, err := m.swarm.Leader(t.Context())
	require.NoError(t, err)
	require.Equal(t, one, leader)
	took := m.lose(one, first, second, 6)
	assert.Less(t, took.done, max(took.led, took.kept)+soon)
	changed.assertOnce(t, map[string]int{"6": 1}, map[string]int{})

	t.Log("the tend that acts is frozen, and goes on")
	require.NoError(t, one.Start(t.Context()))
	first = m.keeps(one)
	first.awaitLog(fmt.Sprintf("standing by: process %d on node2", second.cmd.Process.Pid))
	require.NoError(t, second.cmd.Process.Signal(syscall.SIGSTOP))
	frozen := time.Now()
	m.edit("compose.yaml", "  web:\n    image: ${PROBE}", "  web:\n    image: ${NEW_PROBE}")
	assertTakesOver(first, frozen)
	m.awaitWeb("the image", func(s swarm.Service, on []string) bool {
		return s.Spec.TaskTemplate.ContainerSpec.Image == newProbe && len(on) == 6 && s.UpdateStatus.State == swarm.UpdateStateCompleted
	})
	m.edit("compose.yaml", "replicas: 6", "replicas: 4")
	m.awaitWeb("the number", func(_ swarm.Service, on []string) bool { return len(on) == 4 })
	m.mustTendOn(one, "wait", "web")
	before, _ := m.web()
	require.NoError(t, second.cmd.Process.Signal(syscall.SIGCONT))
	second.awaitLog(fmt.Sprintf("standing by: process %d on node1", first.cmd.Process.Pid))
	after, _ := m.web()
	assert.Equal(t, before.Version, after.Version, "the tend that was frozen has changed a service")
	changed.assertOnce(t, map[string]int{"6": 1, "4": 1}, map[string]int{newProbe: 1})

	t.Log("a machine that leads nothing is lost with the tend that acts")
	leader, err = m.swarm.Leader(t.Context())
	require.NoError(t, err)
	require.NotEqual(t, one, leader)
	took = m.lose(one, first, second, 5)
	assert.Less(t, took.done, takeover)
	changed.assertOnce(t, map[string]int{"6": 1, "4": 1, "5": 1}, map[string]int{newProbe: 1})

	m.clients.Stop()
	second.stop()
	require.NoError(t, one.Start(t.Context())) // which ends what it ran
	m.mustTendOn(three, "down")
}
