package e2e_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/spec"
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

func get(ctx context.Context, client *http.Client, address string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/env", nil)
	if err != nil {
		return err
	}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", answer.StatusCode)
	}
	return nil
}

// end ends the clients, none of which may have failed.
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
	p.run()
	c := ask(t, address)
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
		if r.Config.Labels[spec.LabelIngress] != "" {
			held++
		}
	}
	assert.Equal(t, 1, held)
	p.mustTend("down")
	assert.Empty(t, p.replicas(""))
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
