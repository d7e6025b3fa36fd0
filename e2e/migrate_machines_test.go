//go:build all

package e2e_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"
	"github.com/docker/docker/api/types/volume"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/e2e/kit"
)

// toSpread is toMove with a replica of web for each of five nodes, and with a reader, which is
// left alone, too, and asks the store by its name. While nobody has that, it waits no more than
// a second: the machines reach no DNS server that would tell it so.
var toSpread = strings.NewReplacer(
	"services:\n", `services:
  reader:
    image: ${PROBE}
    environment: {PROXY: "store:8080"}
    dns_opt: ["timeout:1", "attempts:1"]
    x-tend: {managed: false}
`,
	"replicas: 3", "replicas: 5", "interval: 300ms", "interval: 1s",
).Replace(toMove)

// moving is a project that moves from the engine of one manager to the Swarm, and back.
type moving struct {
	*machines
	home *kit.Node
	lost []*kit.Node
	// clients ask web, which asks api, and readers ask the store.
	clients, readers *kit.Clients
	rows             string // where the readers ask
}

func newMoving(t *testing.T) *moving {
	m := &moving{machines: newMachines(t, 0, files{"compose.yaml": toSpread})}
	m.home = m.swarm.Nodes[0]
	m.compose("up", "--detach", "client", "reader")
	r := m.tendOn(m.home, "apply")
	require.Zero(t, r.code, r)
	at := func(service string) string {
		return "http://" + m.replica(service).NetworkSettings.Networks[m.name+"_default"].IPAddress + ":8080/peer/"
	}
	m.rows = at("reader") + "rows"
	answer, err := m.home.Beside().Post(m.rows+"/1", "", nil)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, http.StatusNoContent, answer.StatusCode)
	m.clients, err = m.home.Ask(t.Context(), at("client")+"peer/env")
	require.NoError(t, err)
	t.Cleanup(m.clients.Stop)
	m.readers, err = m.home.Ask(t.Context(), m.rows)
	require.NoError(t, err)
	t.Cleanup(m.readers.Stop)
	return m
}

// move moves the project from its home, and tells how long that took.
func (m *moving) move(to string) {
	m.t.Helper()
	began := time.Now()
	r := m.tendOn(m.home, "migrate", "--to", to, "--yes")
	require.Zero(m.t, r.code, r)
	m.t.Logf("to %s in %s", to, time.Since(began).Round(time.Millisecond))
}

// assertRows checks what the store has kept.
func (m *moving) assertRows() {
	m.t.Helper()
	answer, err := m.home.Beside().Get(m.rows)
	require.NoError(m.t, err)
	defer answer.Body.Close()
	all, err := io.ReadAll(answer.Body)
	require.NoError(m.t, err)
	assert.Equal(m.t, "1\n", string(all), "the rows of the store")
}

// assertMoved checks that web and api have lost nothing on the way, and tells how long the
// store was away.
func (m *moving) assertMoved(on string) {
	m.t.Helper()
	m.assertNoneLost(m.clients, on)
	m.tellStore(on)
}

func (m *moving) tellStore(on string) {
	m.t.Helper()
	waiting, cancel := kit.Patience(m.t.Context(), patience)
	defer cancel()
	require.NoError(m.t, m.readers.AwaitAnswer(waiting))
	seen := m.readers.Seen()
	m.t.Logf("%s, the store: %s; none was answered for %s", on, portGap(seen), seen.Gap)
	m.assertRows()
}

// assertOnSwarm waits until the tasks of all services run on nodes that are there, and checks
// that all is as it is written.
func (m *moving) assertOnSwarm() {
	m.t.Helper()
	var nodes map[string]map[string]int
	m.await(func() error {
		nodes = m.nodes()
		for name, n := range map[string]int{"web": 5, "api": 2, "store": 1} {
			running := 0
			for _, count := range nodes[name] {
				running += count
			}
			if running != n {
				return fmt.Errorf("%d tasks of %s run, and not %d", running, name, n)
			}
		}
		return nil
	})
	m.t.Logf("tasks run on: %v", nodes)
	assert.Greater(m.t, len(nodes["web"]), 2)
	assert.Greater(m.t, len(nodes["api"]), 1)
	assert.Equal(m.t, map[string]int{m.home.Hostname: 1}, nodes["store"], "the store is not where its volume is")
	for _, service := range []string{"web", "api", "store"} {
		assert.Empty(m.t, m.replicas(service), "containers that are no tasks")
	}
	r := m.tendOn(m.home, "--engine", "swarm", "diff")
	assert.Zero(m.t, r.code, "what has moved differs from what is written: %s", r)
}

// nodes count the tasks that run of each service, by node, without those on machines that are lost.
func (m *moving) nodes() map[string]map[string]int {
	m.t.Helper()
	names := map[string]string{}
	all, err := m.engine.NodeList(m.t.Context(), swarm.NodeListOptions{})
	require.NoError(m.t, err)
	for _, n := range all {
		if !slices.ContainsFunc(m.lost, func(l *kit.Node) bool { return l.Hostname == n.Description.Hostname }) {
			names[n.ID] = n.Description.Hostname
		}
	}
	count := map[string]map[string]int{}
	for _, t := range m.tasks() {
		service := t.Spec.ContainerSpec.Labels[kit.ServiceLabel]
		if count[service] == nil {
			count[service] = map[string]int{}
		}
		if on := names[t.NodeID]; on != "" && t.Status.State == swarm.TaskStateRunning && t.DesiredState == swarm.TaskStateRunning {
			count[service][on]++
		}
	}
	return count
}

// tasks are those of the project.
func (m *moving) tasks() []swarm.Task {
	m.t.Helper()
	all, err := m.engine.TaskList(m.t.Context(), swarm.TaskListOptions{Filters: filters.NewArgs(filters.Arg("label", kit.ProjectLabel+"="+m.name))})
	require.NoError(m.t, err)
	return all
}

// addressesOn are those of tasks that are or were on a node.
func (m *moving) addressesOn(n *kit.Node) (all []string) {
	m.t.Helper()
	node, _, err := m.engine.NodeInspectWithRaw(m.t.Context(), n.Hostname)
	require.NoError(m.t, err)
	for _, t := range m.tasks() {
		if t.NodeID != node.ID {
			continue
		}
		for _, a := range t.NetworksAttachments {
			for _, prefix := range a.Addresses {
				address, _, _ := strings.Cut(prefix, "/")
				all = append(all, address)
			}
		}
	}
	return all
}

// assertBack checks that all is on the engine again, and nothing on the Swarm.
func (m *moving) assertBack() {
	m.t.Helper()
	assert.Empty(m.t, m.services())
	m.awaitReady("web", 5)
	m.awaitReady("api", 2)
	m.awaitReady("store", 1)
	r := m.tendOn(m.home, "diff")
	assert.Zero(m.t, r.code, "what has come back differs from what is written: %s", r)
}

// has lists all that an engine has of the project by itself: its containers without those of
// tasks, its bridges, and its volumes.
func (m *moving) has(n *kit.Node) (all []string) {
	m.t.Helper()
	of := filters.NewArgs(filters.Arg("label", kit.ProjectLabel+"="+m.name))
	containers, err := n.ContainerList(m.t.Context(), container.ListOptions{All: true, Filters: of})
	require.NoError(m.t, err)
	for _, c := range containers {
		if c.Labels["com.docker.swarm.task.id"] == "" {
			all = append(all, "container "+c.Names[0])
		}
	}
	networks, err := n.NetworkList(m.t.Context(), network.ListOptions{Filters: of})
	require.NoError(m.t, err)
	for _, n := range networks {
		if n.Scope == "local" {
			all = append(all, "network "+n.Name)
		}
	}
	volumes, err := n.VolumeList(m.t.Context(), volume.ListOptions{Filters: of})
	require.NoError(m.t, err)
	for _, v := range volumes.Volumes {
		all = append(all, "volume "+v.Name)
	}
	return all
}

// assertRefused checks that a move from another machine than the one with the data is refused,
// and changes nothing.
func (m *moving) assertRefused(from *kit.Node, to, reason string) {
	m.t.Helper()
	versions, containers := versionsOf(m.services()), m.identities()
	r := m.tendOn(from, "migrate", "--to", to, "--yes")
	assert.Equal(m.t, 1, r.code, r)
	assert.Contains(m.t, r.errOut, reason)
	assert.Equal(m.t, versions, versionsOf(m.services()), "services were changed")
	assert.Empty(m.t, m.has(from))
	m.assertSame(containers, "containers were changed")
}

// Tasks are on five machines, and the data stay on one of them.
func TestAProjectMovesToSeveralMachinesAndBack(t *testing.T) {
	m := newMoving(t)
	manager, one, another := m.swarm.Nodes[1], m.swarm.Nodes[4], m.swarm.Nodes[3]

	t.Log("to the Swarm")
	m.assertRefused(manager, "swarm", "the volume "+m.name+"_data of store is not on this node, and here it would be empty: run tend migrate on the node that has it")
	m.move("swarm")
	m.assertOnSwarm()
	m.assertMoved("to the Swarm")
	m.assertRefused(manager, "docker", "store has its volumes on another node, and here they would be empty: run tend migrate there, or bring the data here")

	t.Log("and back")
	m.move("docker")
	m.assertBack()
	m.assertMoved("back")

	t.Log("to the Swarm, with a machine that is lost while tasks begin")
	m.moveLosing(one, func(*process) error {
		if on := m.nodes()["web"]; on[one.Hostname] == 0 {
			return fmt.Errorf("tasks of web run on: %v", on)
		}
		return nil
	})
	m.move("docker")
	m.assertBack()
	m.assertMoved("back without that machine")

	t.Log("to the Swarm, with another that is lost while containers end")
	m.moveLosing(another, func(move *process) error {
		if !strings.Contains(move.stderr.String(), "web: ends on the engine") {
			return fmt.Errorf("web has both: %s", move.stderr)
		}
		return nil
	})
	m.move("docker")
	m.assertBack()
	m.assertMoved("back without both")
}

// moveLosing moves the project to the Swarm, and ends a machine once that is due.
func (m *moving) moveLosing(n *kit.Node, due func(*process) error) {
	m.t.Helper()
	began := time.Now()
	move := m.startOn(m.home, "migrate", "--to", "swarm", "--yes")
	m.await(func() error { return due(move) })
	gone := m.addressesOn(n)
	require.NotContains(m.t, move.stderr.String(), "store: ends on the engine", "it was too late to lose a machine")
	require.NoError(m.t, n.Kill())
	m.lost = append(m.lost, n)
	<-move.ended
	require.Zero(m.t, move.cmd.ProcessState.ExitCode(), "%s", move.stderr)
	m.t.Logf("to swarm in %s", time.Since(began).Round(time.Millisecond))
	m.assertOnSwarm()
	seen := m.clients.Seen()
	m.t.Logf("without %s: %s", n.Hostname, portGap(seen))
	for _, l := range seen.Lost {
		assert.True(m.t, slices.ContainsFunc(gone, func(a string) bool { return strings.Contains(l, " "+a+":") }), "a request to a machine that lives was lost: %s", l)
	}
	m.tellStore("without " + n.Hostname)
}
