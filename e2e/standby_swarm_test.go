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

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/swarm"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/e2e/kit"
	"github.com/tendhq/tend/state/durable/durabletest"
)

// What is asked of the gateway is passed on to a replica of web, whichever machine it is on.
// A kernel without IPVS has no virtual addresses.
const acrossMachines = `
services:
  gateway:
    image: ${PROBE}
    environment: {PROXY: "web:8080"}
    ports: [{target: 8080, published: "8080", mode: host}]
    deploy: {endpoint_mode: dnsrr, placement: {constraints: ["node.hostname==node5"]}}
  web:
    image: ${PROBE}
    healthcheck: {test: [CMD, /probe, health], interval: 500ms, start_period: 30s}
    stop_grace_period: 2s
    deploy: {replicas: 5, endpoint_mode: dnsrr, update_config: {parallelism: 2, order: start-first}}
`

// lookTimeout bounds a look at the Swarm, as a manager whose leader is lost may not answer.
const lookTimeout = time.Second

// standby is a project on a Swarm whose managers each have a tend of it.
type standby struct {
	*machines
	database *durabletest.Postgres
	clients  *kit.Clients
}

func newStandby(t *testing.T) *standby {
	m := &standby{machines: newMachines(t, 2, files{"compose.yaml": acrossMachines})}
	require.NoError(t, m.swarm.Within(func() error {
		m.database = durabletest.StartPostgresAt(t, kit.Outside)
		return nil
	}))
	return m
}

// flags are those of a tend on a machine.
func (m *standby) flags(n *kit.Node, args ...string) []string {
	return append([]string{"--engine", "swarm", "--database-url", m.database.URL(), "--data-dir", m.path(n.Hostname)}, args...)
}

// keeps starts a tend on a machine.
func (m *standby) keeps(n *kit.Node) *process {
	m.t.Helper()
	return m.startOn(n, m.flags(n, "run")...)
}

// mustTendOn runs a command of tend on a machine, which has to succeed.
func (m *standby) mustTendOn(n *kit.Node, args ...string) {
	m.t.Helper()
	r := m.tendOn(n, m.flags(n, args...)...)
	require.Zero(m.t, r.code, r)
}

// web is the service of that name, and where its tasks run that are as it says.
func (m *standby) web() (service swarm.Service, on []string) {
	ctx, cancel := context.WithTimeout(m.t.Context(), lookTimeout)
	defer cancel()
	all, err := m.engine.ServiceList(ctx, swarm.ServiceListOptions{Filters: filters.NewArgs(filters.Arg("name", m.name+"_web"))})
	if err != nil || len(all) != 1 {
		return service, nil // the managers have no leader
	}
	tasks, err := m.engine.TaskList(ctx, swarm.TaskListOptions{Filters: filters.NewArgs(filters.Arg("service", all[0].ID), filters.Arg("desired-state", "running"))})
	if err != nil {
		return all[0], nil
	}
	for _, task := range tasks {
		if task.Status.State == swarm.TaskStateRunning && task.Spec.ContainerSpec.Image == all[0].Spec.TaskTemplate.ContainerSpec.Image {
			on = append(on, task.NodeID)
		}
	}
	return all[0], on
}

func (m *standby) awaitWeb(what string, is func(s swarm.Service, on []string) bool) {
	m.t.Helper()
	m.await(func() error {
		if s, on := m.web(); s.ID == "" || !is(s, on) {
			return fmt.Errorf("%s: not yet, with %d running", what, len(on))
		}
		return nil
	})
}

// addressesOn are those of the tasks of web on a node.
func (m *standby) addressesOn(n *kit.Node) (all []string) {
	m.t.Helper()
	info, err := n.Info(m.t.Context())
	require.NoError(m.t, err)
	tasks, err := m.engine.TaskList(m.t.Context(), swarm.TaskListOptions{Filters: filters.NewArgs(filters.Arg("service", m.name+"_web"), filters.Arg("node", info.Swarm.NodeID))})
	require.NoError(m.t, err)
	for _, task := range tasks {
		for _, a := range task.NetworksAttachments {
			for _, prefix := range a.Addresses {
				address, _, _ := strings.Cut(prefix, "/")
				all = append(all, address)
			}
		}
	}
	return all
}

// changes counts how often a Swarm has given a service another spec, by what the managers tell.
type changes struct {
	mu     sync.Mutex
	images map[string]int
	counts map[string]int
}

func (m *standby) follow() *changes {
	ctx, cancel := context.WithCancel(context.Background())
	told, failed := m.engine.Events(ctx, events.ListOptions{Filters: filters.NewArgs(filters.Arg("type", "service"), filters.Arg("event", "update"))})
	c := &changes{images: map[string]int{}, counts: map[string]int{}}
	var done sync.WaitGroup
	done.Go(func() {
		for {
			select {
			case e := <-told:
				c.note(e.Actor.Attributes)
			case err := <-failed:
				if ctx.Err() == nil {
					m.t.Errorf("the events of the Swarm: %v", err)
				}
				return
			}
		}
	})
	m.t.Cleanup(func() { cancel(); done.Wait() })
	return c
}

func (c *changes) note(attributes map[string]string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if image := attributes["image.new"]; image != "" {
		c.images[image]++
	}
	if count := attributes["replicas.new"]; count != "" {
		c.counts[count]++
	}
}

// assertOnce checks that each change that was written was made once, and no other.
func (c *changes) assertOnce(t *testing.T, counts, images map[string]int) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	assert.Equal(t, counts, c.counts, "how often a number of replicas was written into the Swarm")
	assert.Equal(t, images, c.images, "how often an image was")
}

// ask has clients ask the gateway until the test ends.
func (m *standby) ask() {
	m.t.Helper()
	clients, err := m.swarm.Ask(m.t.Context(), "http://"+m.swarm.Nodes[4].Addr+":8080/peer/env")
	require.NoError(m.t, err)
	m.t.Cleanup(clients.Stop)
	m.clients = clients
}

// loss is how long after a machine was lost another manager led, the standby kept the project,
// and what was written in that moment was in the Swarm.
type loss struct{ led, kept, done time.Duration }

// lose ends a machine and the tend that acts there, both at once, and has another number of
// replicas written.
func (m *standby) lose(n *kit.Node, acts, standby *process, replicas uint64) (took loss) {
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
func (m *standby) awaitLeader(lost *kit.Node) {
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
	m := newStandby(t)
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
