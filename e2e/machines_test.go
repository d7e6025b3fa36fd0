//go:build all

package e2e_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
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

// machines are a Swarm whose managers each have a tend of one project.
type machines struct {
	*project
	swarm    *kit.Swarm
	database *durabletest.Postgres
	clients  *kit.Clients
}

// lookTimeout bounds a look at the Swarm, as a manager whose leader is lost may not answer.
const lookTimeout = time.Second

func newMachines(t *testing.T) *machines {
	dir, err := os.MkdirTemp("", "tend") // the path of a socket must be short
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, os.RemoveAll(dir)) })
	s, err := kit.NewSwarm(t.Context(), dir, 3, 2)
	t.Cleanup(func() {
		if t.Failed() {
			for _, n := range s.Nodes {
				t.Logf("the log of %s:\n%s", n.Hostname, n.Log())
			}
		}
		assert.NoError(t, s.Stop())
	})
	require.NoError(t, err)
	for _, n := range s.Nodes {
		require.NoError(t, n.Copy(t.Context(), docker.Client, probe, newProbe))
	}
	m := &machines{swarm: s}
	require.NoError(t, s.Within(func() error {
		m.database = durabletest.StartPostgresAt(t, kit.Outside)
		return nil
	}))
	m.project = newProjectOn(t, engine{s.Nodes[2].Client}, files{"compose.yaml": acrossMachines})
	return m
}

// keeps starts a tend on a machine.
func (m *machines) keeps(n *kit.Node) *process {
	m.t.Helper()
	command := m.on(n, "run")
	return m.startProgram(command[0], command[1:]...)
}

// on is a command of tend on a machine.
func (m *machines) on(n *kit.Node, args ...string) []string {
	return slices.Concat(n.Inside(), []string{tend, "--engine", "swarm", "--host", n.DaemonHost(), "--database-url", m.database.URL(), "--data-dir", m.path(n.Hostname)}, args)
}

// mustTendOn runs a command of tend on a machine, which has to succeed.
func (m *machines) mustTendOn(n *kit.Node, args ...string) {
	m.t.Helper()
	command := m.on(n, args...)
	r := m.exec(command[0], command[1:]...)
	require.Zero(m.t, r.code, r)
}

// web is the service of that name, and where its tasks run that are as it says.
func (m *machines) web() (service swarm.Service, on []string) {
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

func (m *machines) awaitWeb(what string, is func(s swarm.Service, on []string) bool) {
	m.t.Helper()
	m.await(func() error {
		if s, on := m.web(); s.ID == "" || !is(s, on) {
			return fmt.Errorf("%s: not yet, with %d running", what, len(on))
		}
		return nil
	})
}

// addressesOn are those of the tasks of web on a node.
func (m *machines) addressesOn(n *kit.Node) (all []string) {
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

func (m *machines) follow() *changes {
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
func (m *machines) ask() {
	m.t.Helper()
	clients, err := m.swarm.Ask(m.t.Context(), "http://"+m.swarm.Nodes[4].Addr+":8080/peer/env")
	require.NoError(m.t, err)
	m.t.Cleanup(clients.Stop)
	m.clients = clients
}
