package e2e_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/e2e/kit"
)

// published is a Compose file as most are: one service, one port, no spec.
const published = `
services:
  web:
    image: ${PROBE}
    environment: {VERSION: "1"}
    ports: ["%s:8080"]
`

// publishing makes a project whose service web is published, and returns the address.
func publishing(t *testing.T, compose string) (*project, string) {
	t.Helper()
	address, err := kit.FreeAddress()
	require.NoError(t, err)
	return newProject(t, files{"compose.yaml": fmt.Sprintf(compose, address)}), address
}

// clients ask a published port without a pause, half of them with a new connection for
// each request.
type clients struct {
	stop          context.CancelFunc
	busy          sync.WaitGroup
	asked, failed atomic.Int64
	first         atomic.Value // the first failure
}

// ask has a number of clients begin, once the port answers.
func ask(t *testing.T, address string) *clients {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	c := &clients{stop: cancel}
	kept := &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
	fresh := &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	within, done := context.WithTimeout(ctx, patience)
	defer done()
	require.NoError(t, kit.Await(within, func() error { return get(within, fresh, address) }))
	for _, client := range []*http.Client{kept, kept, fresh, fresh} {
		c.busy.Go(func() {
			for ctx.Err() == nil {
				// A request under way ends with an answer, not with the clients.
				if err := get(context.WithoutCancel(ctx), client, address); err != nil {
					c.failed.Add(1)
					c.first.CompareAndSwap(nil, err.Error())
				}
				c.asked.Add(1)
			}
		})
	}
	t.Cleanup(func() {
		cancel()
		c.busy.Wait()
	})
	return c
}

// get asks a published port once.
func get(ctx context.Context, client *http.Client, address string) error {
	return kit.Get(ctx, client, "http://"+address+"/env")
}

// end ends the clients, and fails the test where a request of theirs has failed.
func (c *clients) end(t *testing.T) {
	t.Helper()
	c.stop()
	c.busy.Wait()
	t.Logf("%d requests, %d failed", c.asked.Load(), c.failed.Load())
	assert.NotZero(t, c.asked.Load())
	assert.Zero(t, c.failed.Load(), "the first one: %v", c.first.Load())
}

// Whatever happens to the replicas of a service, and to tend, its port answers.
func TestAPublishedPortLosesNoRequest(t *testing.T) {
	p, address := publishing(t, published)
	tend := p.run()
	c := ask(t, address)

	p.edit("compose.yaml", `VERSION: "1"`, `VERSION: "2"`)
	p.awaitEnv("web", 1, "VERSION", "2")
	tend.awaitEvent("web", "RolloutComplete")
	p.edit("compose.yaml", "ports:", "scale: 3\n    ports:")
	p.awaitReady("web", 3)
	p.edit("compose.yaml", "scale: 3", "scale: 1")
	p.awaitReady("web", 1)
	tend.end(syscall.SIGKILL)
	p.run()
	p.edit("compose.yaml", `VERSION: "2"`, `VERSION: "3"`)
	p.awaitEnv("web", 1, "VERSION", "3")
	c.end(t)

	// docker compose finds nothing to change.
	before := p.identities()
	p.compose("up", "-d")
	p.assertSame(before, "docker compose up -d changed something")
	assert.Contains(t, p.compose("ps", "-a"), strings.TrimPrefix(address, "127.0.0.1")+"->8080/tcp")
}

// One container on a volume that only one may write to: its port waits, and refuses
// nobody.
func TestAPublishedPortWaitsForItsOneReplica(t *testing.T) {
	p, address := publishing(t, strings.Replace(published, "    ports:", "    volumes: [\"data:/data\"]\n    ports:", 1)+"volumes: {data: {}}\n")
	tend := p.run()
	c := ask(t, address)
	p.edit("compose.yaml", `VERSION: "1"`, `VERSION: "2"`)
	p.awaitEnv("web", 1, "VERSION", "2")
	tend.awaitEvent("web", "RolloutComplete")
	c.end(t)
}

// A port that a container of docker compose publishes stays with it until that is
// replaced.
func TestAPublishedPortIsTakenOverWithTheFirstReplacement(t *testing.T) {
	p, address := publishing(t, published)
	p.compose("up", "-d")
	before := p.replica("web")
	assert.Contains(t, p.tend("diff").out, "published by "+strings.TrimPrefix(before.Name, "/"))
	tend := p.run()
	c := ask(t, address)
	tend.awaitEvent("web", "Adopted")
	p.mustTend("wait", "web")
	require.Equal(t, before.ID, p.replica("web").ID)
	c.end(t)

	p.mustTend("rollout", "restart", "web")
	p.mustTend("wait", "web")
	require.NotEqual(t, before.ID, p.replica("web").ID)
	c = ask(t, address)
	p.mustTend("rollout", "restart", "web")
	p.mustTend("wait", "web")
	c.end(t)
	assert.Empty(t, p.mustTend("diff"))
}

// A service moves to other networks, and its port stays open: the ingress that runs follows
// it, and remains in the network that it publishes the port on.
func TestAPublishedPortStaysOpenWhileNetworksChange(t *testing.T) {
	p, address := publishing(t, published+"    networks: [front, inner]\nnetworks: {front: {}, inner: {internal: true}, side: {}}\n")
	p.run()
	c := ask(t, address)
	before := p.ingressOf()
	written := "[front, inner]"
	for _, next := range []struct {
		networks string
		joined   []string // by the ingress
	}{
		{"[front, side]", []string{"front", "side"}},
		{"[side]", []string{"front", "side"}},
		{"[side, inner]", []string{"front", "inner", "side"}},
	} {
		web := p.replica("web")
		p.edit("compose.yaml", "    networks: "+written, "    networks: "+next.networks)
		written = next.networks
		p.await(func() error {
			if all := p.replicas("web"); len(all) != 1 || all[0].ID == web.ID {
				return errors.New("the replica has not been replaced")
			}
			var joined []string
			for _, name := range slices.Sorted(maps.Keys(p.ingressOf().NetworkSettings.Networks)) {
				joined = append(joined, strings.TrimPrefix(name, p.name+"_"))
			}
			if !slices.Equal(next.joined, joined) {
				return fmt.Errorf("the ingress is in %s", joined)
			}
			return nil
		})
	}
	c.end(t)
	after := p.ingressOf()
	assert.Equal(t, before.ID, after.ID)
	assert.Equal(t, before.State.StartedAt, after.State.StartedAt)
}

// Without a controller the ingress goes on, and tend down takes it away.
func TestAnIngressServesWithoutAController(t *testing.T) {
	p, address := publishing(t, published)
	p.mustTend("apply")
	c := ask(t, address)
	p.edit("compose.yaml", `VERSION: "1"`, `VERSION: "2"`)
	p.mustTend("apply")
	c.end(t)
	held := 0
	for _, r := range p.replicas("") {
		if r.Config.Labels[kit.IngressLabel] != "" {
			held++
		}
	}
	assert.Equal(t, 1, held)
	p.mustTend("down")
	assert.Empty(t, p.replicas(""))
}

// To docker compose an ingress is a one-off container of its service: it is no orphan, and is
// left alone by all that is about the service's replicas. It goes with --remove-orphans.
func TestDockerComposeTakesAnIngressForAOneOff(t *testing.T) {
	p, address := publishing(t, published)
	p.mustTend("apply")
	p.awaitReached(address)
	ingress := p.ingressOf()
	for _, args := range [][]string{{"up", "-d"}, {"up", "-d", "--remove-orphans"}, {"restart", "web"}, {"stop"}, {"start"}, {"rm", "--stop", "--force"}, {"down"}} {
		said := p.exec(compose, args...)
		require.Zero(t, said.code, "docker compose %s: %s", args, said)
		assert.NotContains(t, said.out+said.errOut, "orphan", "docker compose %s", args)
		now := p.ingressOf()
		assert.Equal(t, ingress.ID, now.ID, "docker compose %s", args)
		assert.Equal(t, ingress.State.StartedAt, now.State.StartedAt, "docker compose %s", args)
		assert.True(t, now.State.Running, "docker compose %s", args)
	}
	p.compose("down", "--remove-orphans")
	assert.Empty(t, p.replicas(""))
	networks, err := p.engine.NetworkList(t.Context(), network.ListOptions{Filters: filters.NewArgs(filters.Arg("label", kit.ProjectLabel+"="+p.name))})
	require.NoError(t, err)
	assert.Empty(t, networks)
}

// x-tend: {ports: direct} has the containers publish their port, as docker compose does.
func TestAPortIsPublishedDirectlyWhereThatIsWritten(t *testing.T) {
	p, address := publishing(t, published+"    x-tend: {ports: direct}\n")
	p.mustTend("apply")
	assert.Equal(t, address, p.published("web", "8080/tcp"))
	p.edit("compose.yaml", "    x-tend: {ports: direct}\n", "")
	p.mustTend("apply")
	assert.Empty(t, p.replica("web").HostConfig.PortBindings)
	within, done := context.WithTimeout(t.Context(), patience)
	defer done()
	require.NoError(t, kit.Await(within, func() error { return get(within, http.DefaultClient, address) }))
}

// ingressOf returns the container of the project's one ingress.
func (p *project) ingressOf() replica {
	p.t.Helper()
	for _, r := range p.replicas("") {
		if r.Config.Labels[kit.IngressLabel] != "" {
			return r
		}
	}
	require.Fail(p.t, "there is no ingress")
	return replica{}
}

// reached reports whether a request to a published port is answered, with a new
// connection.
func reached(ctx context.Context, address string) error {
	within, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return get(within, &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, address)
}

// awaitReached waits until a published port answers.
func (p *project) awaitReached(address string) {
	p.t.Helper()
	p.await(func() error { return reached(p.t.Context(), address) })
}

// awaitReachedAnew waits until a published port answers. A new request begins every 20 ms, whatever has become of those before: one that met nobody may be
// answered only when the kernel sends its SYN again, a second later.
func (p *project) awaitReachedAnew(address string) {
	p.t.Helper()
	ctx, done := context.WithTimeout(p.t.Context(), time.Minute)
	defer done()
	answered := make(chan struct{}, 1)
	for {
		go func() {
			if reached(ctx, address) == nil {
				select {
				case answered <- struct{}{}:
				default:
				}
			}
		}()
		select {
		case <-answered:
			return
		case <-ctx.Done():
			require.Fail(p.t, "nobody answers", address)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Whoever kills an ingress has it back, with or without tend, and nothing else stops.
func TestAKilledIngressComesBack(t *testing.T) {
	p, address := publishing(t, published)
	tend := p.run()
	p.awaitReached(address)
	web, ingress := p.replica("web"), p.ingressOf()
	require.NoError(t, p.engine.ContainerKill(t.Context(), ingress.ID, "KILL"))
	p.awaitReached(address)
	assert.Equal(t, ingress.ID, p.ingressOf().ID)

	require.NoError(t, p.engine.ContainerRemove(t.Context(), ingress.ID, container.RemoveOptions{Force: true}))
	p.await(func() error {
		if err := reached(t.Context(), address); err != nil {
			return err
		}
		if p.ingressOf().ID == ingress.ID {
			return errors.New("it is still there")
		}
		return nil
	})
	tend.end(syscall.SIGKILL)
	ingress = p.ingressOf()
	// As the kernel does; the engine leaves alone what somebody has ended with docker kill.
	killed := time.Now()
	require.NoError(t, syscall.Kill(ingress.State.Pid, syscall.SIGKILL))
	// Its proxy may answer one more request while the kernel ends the container's processes.
	p.await(func() error {
		if !errors.Is(syscall.Kill(ingress.State.Pid, 0), syscall.ESRCH) {
			return errors.New("it has not ended")
		}
		return nil
	})
	p.awaitReachedAnew(address)
	t.Logf("the ingress answered %s after it was killed", time.Since(killed).Round(time.Millisecond))
	assert.Equal(t, ingress.ID, p.ingressOf().ID)
	assert.Equal(t, web.ID, p.replica("web").ID)
	assert.Equal(t, web.State.StartedAt, p.replica("web").State.StartedAt)
}

// Each way to write a fixed port is one in which it is reached; an internal network of
// the service does not stand in the way.
func TestAPublishedPortIsReachedHoweverItIsWritten(t *testing.T) {
	first, err := kit.FreeAddress()
	require.NoError(t, err)
	_, port, err := net.SplitHostPort(first)
	require.NoError(t, err)
	from, err := strconv.Atoi(port)
	require.NoError(t, err)
	second, err := kit.FreeAddress()
	require.NoError(t, err)
	third, err := kit.FreeAddress()
	require.NoError(t, err)
	_, sixth, err := net.SplitHostPort(third)
	require.NoError(t, err)
	p := newProject(t, files{"compose.yaml": fmt.Sprintf(`
services:
  ranged:
    image: ${PROBE}
    ports: ["127.0.0.1:%d-%d:8080-8081"]
  inside:
    image: ${PROBE}
    ports: [{target: 8080, published: "%s", host_ip: 127.0.0.1, app_protocol: http}]
    networks: [closed, open]
  six:
    image: ${PROBE}
    ports: ["[::1]:%s:8080"]
networks: {closed: {internal: true}, open: {}}
`, from, from+1, second[strings.LastIndex(second, ":")+1:], sixth)})
	p.mustTend("apply")
	p.awaitReached(first)
	p.awaitReached(second)
	p.awaitReached("[::1]:" + sixth)
}

// A TCP connection lasts through whatever happens to other replicas, and on a drain as
// long as drainSeconds.
func TestATCPConnectionLastsUntilItsReplicaHasDrained(t *testing.T) {
	p, address := publishing(t, published+"    stop_grace_period: 30s\n")
	p.write("specs/web.yaml", `apiVersion: tend/v1
kind: Deployment
metadata: {name: web}
spec: {replicas: 1, drainSeconds: 20}
`)
	tend := p.run()
	p.awaitReached(address)
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, exchange(conn))
	before := p.replica("web")
	p.edit("compose.yaml", `VERSION: "1"`, `VERSION: "2"`)
	tend.awaitEvent("web", "Draining")
	for range 20 {
		require.NoError(t, exchange(conn), "the connection was cut while its replica drained")
		require.NoError(t, reached(t.Context(), address), "a new connection was refused")
	}
	require.NoError(t, conn.Close())
	p.await(func() error {
		if all := p.replicas("web"); len(all) != 1 || all[0].ID == before.ID {
			return errors.New("the replica has not gone")
		}
		return nil
	})
}

// exchange has a service answer a request on a connection.
func exchange(conn net.Conn) error {
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("GET /env HTTP/1.1\r\nHost: web\r\n\r\n")); err != nil {
		return err
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}

// Another release of tend puts its own program into the ingress that runs, and no
// listener closes.
func TestAnotherTendReachesARunningIngress(t *testing.T) {
	p, address := publishing(t, published)
	first := p.run()
	c := ask(t, address)
	before := p.ingressOf()
	first.end(syscall.SIGTERM)

	other := filepath.Join(t.TempDir(), "tend")
	build := exec.Command("go", "build", "-C", repository, "-trimpath", "-ldflags=-s -w -X main.version=next", "-o", other, "./cmd/tend")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	output, err := build.CombinedOutput()
	require.NoError(t, err, string(output))
	p.startProgram(other, "run")
	p.await(func() error {
		// While execve ends the other threads, the process has no program for a moment.
		program, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", before.State.Pid))
		if err == nil && program != "/state/next" {
			err = fmt.Errorf("it runs %s", program)
		}
		return err
	})
	p.edit("compose.yaml", `VERSION: "1"`, `VERSION: "2"`)
	p.awaitEnv("web", 1, "VERSION", "2")
	c.end(t)
	after := p.ingressOf()
	assert.Equal(t, before.ID, after.ID)
	assert.Equal(t, before.State.StartedAt, after.State.StartedAt)
}

// tend release says what becomes of a port that an ingress holds.
func TestReleaseTellsWhoHasThePort(t *testing.T) {
	p, address := publishing(t, published)
	p.mustTend("apply")
	told := p.tend("release")
	require.Zero(t, told.code, "%s", told)
	assert.Contains(t, told.errOut, "docker compose up -d --force-recreate web")
	assert.NoError(t, reached(t.Context(), address))
	require.NoError(t, p.engine.ContainerRemove(t.Context(), p.ingressOf().ID, container.RemoveOptions{Force: true}))
	p.compose("up", "-d", "--force-recreate", "web")
	p.awaitReached(address)
	assert.Equal(t, address, p.published("web", "8080/tcp"))
}
