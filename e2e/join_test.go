package e2e_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// tunnel is a project as those behind a VPN are: the port is published by one service, and
// another one, which shares its network, listens there. A third has its volumes.
const tunnel = `
services:
  vpn:
    image: ${PROBE}
    environment: {VERSION: "1", ADDRESS: ":9000"}
    ipc: shareable
    volumes: ["data:/data"]
    ports: ["%s:8080"]
  app:
    image: ${PROBE}
    network_mode: service:vpn
    ipc: service:vpn
    environment: {VERSION: "1"}
  reader:
    image: ${PROBE}
    volumes_from: [vpn]
volumes: {data: {}}
`

// joined checks that the containers of the project share what is written with the
// container of vpn that runs.
func (p *project) joined() error {
	vpn, app, reader := p.replicas("vpn"), p.replicas("app"), p.replicas("reader")
	if len(vpn) != 1 || len(app) != 1 || len(reader) != 1 {
		return fmt.Errorf("vpn, app and reader have %d, %d and %d containers", len(vpn), len(app), len(reader))
	}
	for _, r := range []replica{vpn[0], app[0], reader[0]} {
		if !r.ready() {
			return fmt.Errorf("%s is not ready", r.Name)
		}
	}
	id := vpn[0].ID
	switch host := app[0].HostConfig; {
	case string(host.NetworkMode) != "container:"+id, string(host.IpcMode) != "container:"+id:
		return fmt.Errorf("app has joined %s and %s, and vpn is %s", host.NetworkMode, host.IpcMode, id)
	case app[0].State.StartedAt < vpn[0].State.StartedAt:
		return fmt.Errorf("app was started before vpn")
	case !slices.Equal(reader[0].HostConfig.VolumesFrom, []string{id}):
		return fmt.Errorf("reader has the volumes of %v, and vpn is %s", reader[0].HostConfig.VolumesFrom, id)
	}
	return nil
}

// stopped is the order in which containers were stopped.
func (c *process) stopped() (workloads []string) {
	for _, e := range c.events() {
		if e.Reason == "Stopped" {
			workloads = append(workloads, e.Workload)
		}
	}
	return workloads
}

func TestContainersThatShareANamespaceAreReplacedTogether(t *testing.T) {
	p, address := publishing(t, tunnel)
	answers := func() {
		t.Helper()
		p.await(func() error { return get(t.Context(), http.DefaultClient, address) })
	}
	tend := p.run()
	p.await(p.joined)
	answers()

	t.Log("another vpn takes along what shares with it, which goes first")
	p.edit("compose.yaml", `VERSION: "1", ADDRESS`, `VERSION: "2", ADDRESS`)
	p.awaitEnv("vpn", 1, "VERSION", "2")
	p.await(p.joined)
	answers()
	order := tend.stopped()
	require.Len(t, order, 3, "%v", order)
	assert.Equal(t, "vpn", order[2])
	p.mustTend("wait", "app")
	before := p.identities()
	p.compose("up", "-d")
	p.assertSame(before, "docker compose up -d changed something")

	t.Log("an update of what shares with it leaves vpn alone")
	vpn := p.replica("vpn")
	p.edit("compose.yaml", `environment: {VERSION: "1"}`, `environment: {VERSION: "2"}`)
	p.awaitEnv("app", 1, "VERSION", "2")
	p.await(p.joined)
	answers()
	assert.Equal(t, vpn.State.StartedAt, p.replica("vpn").State.StartedAt)

	t.Log("vpn ends, and is started again: its network is another one")
	require.NoError(t, syscall.Kill(vpn.State.Pid, syscall.SIGKILL))
	p.awaitOtherThan(vpn, "vpn", 1)
	p.await(p.joined)
	answers()

	t.Log("vpn is removed")
	require.NoError(t, docker.ContainerRemove(t.Context(), p.replica("vpn").ID, container.RemoveOptions{Force: true}))
	p.await(p.joined)
	answers()

	t.Log("while tend is away")
	tend.stop()
	require.NoError(t, docker.ContainerRemove(t.Context(), p.replica("vpn").ID, container.RemoveOptions{Force: true}))
	p.mustTend("apply")
	require.NoError(t, p.joined())
	answers()
	p.mustTend("down")
	assert.Empty(t, p.replicas(""))
}

// What docker compose has made stays, and the group is given back as it was.
func TestContainersThatShareANamespaceAreAdopted(t *testing.T) {
	p, address := publishing(t, tunnel)
	p.compose("up", "-d")
	before := p.identities()
	p.mustTend("apply")
	p.assertSame(before, "tend changed what docker compose had made")
	require.NoError(t, p.joined())

	p.edit("compose.yaml", `VERSION: "1", ADDRESS`, `VERSION: "2", ADDRESS`)
	p.mustTend("apply")
	require.NoError(t, p.joined())
	p.await(func() error { return get(t.Context(), http.DefaultClient, address) })
	before = p.identities()
	p.compose("up", "-d")
	p.assertSame(before, "docker compose up -d changed something")
}

// A process in the process namespace of another ends with it.
func TestContainersThatShareAProcessNamespaceComeBack(t *testing.T) {
	p := newProject(t, files{"compose.yaml": `
services:
  main:
    image: ${PROBE}
    environment: {VERSION: "1"}
  debug:
    image: ${PROBE}
    pid: service:main
`})
	tend := p.run()
	together := func() error {
		main, debug := p.replicas("main"), p.replicas("debug")
		if len(main) != 1 || len(debug) != 1 || !main[0].ready() || !debug[0].ready() {
			return fmt.Errorf("they do not run")
		}
		if pid := string(debug[0].HostConfig.PidMode); pid != "container:"+main[0].ID {
			return fmt.Errorf("debug has joined %s, and main is %s", pid, main[0].ID)
		}
		return nil
	}
	p.await(together)
	before := p.crash("main")
	p.awaitOtherThan(before, "main", 1)
	p.await(together)
	p.edit("compose.yaml", `VERSION: "1"`, `VERSION: "2"`)
	p.awaitEnv("main", 1, "VERSION", "2")
	p.await(together)
	for _, e := range tend.events() {
		// A start may fail, as debug is heard to have ended before main is.
		assert.False(t, e.Reason == "CreateFailed" || e.Reason == "CrashLoopBackOff", "%+v", e)
	}
	assert.True(t, strings.HasPrefix(strings.Join(tend.stopped(), " "), "debug main"), "%v", tend.stopped())
}
