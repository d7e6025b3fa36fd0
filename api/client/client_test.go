package client

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/tendhq/tend/api"
	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/state"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type controller struct {
	store *state.Store
	ready error
	dir   string
	stop  func()
}

// run serves a store on a socket, deeper than the kernel lets a socket's path be.
func run(t *testing.T) *controller {
	t.Helper()
	c := &controller{store: state.New(func([]state.Change) {}), dir: filepath.Join(t.TempDir(), strings.Repeat("d", 150))}
	require.NoError(t, os.Mkdir(c.dir, 0o700))
	l, err := api.ListenUnix(c.dir)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- api.Serve(ctx, api.New(api.Config{
			Store: c.store, Ready: func() error { return c.ready }, Metrics: http.NotFoundHandler(),
			Project: "shop", Version: "test", Log: zap.NewNop(),
		}), zap.NewNop(), l)
	}()
	c.stop = func() {
		cancel()
		assert.NoError(t, <-done)
		done <- nil // it may be called again
	}
	t.Cleanup(func() { c.stop() })
	return c
}

func (c *controller) dial(t *testing.T) *Client {
	t.Helper()
	client, err := Dial(c.dir)
	require.NoError(t, err)
	return client
}

func (c *controller) put(name string, replicas ...string) {
	c.store.Update(func(tx *state.Tx) {
		tx.PutWorkload(&state.Workload{Name: name, Generation: 1, Spec: &spec.Workload{Name: name, Kind: spec.Deployment, Image: "nginx"}})
		for i, id := range replicas {
			tx.PutReplica(&state.Replica{Replica: core.Replica{Workload: name, Number: i + 1, Name: id, ID: id}})
		}
		tx.AddEvent(core.Event{Type: core.Normal, Workload: name, Reason: "Created", Message: name}, time.Now())
	})
}

func TestAsk(t *testing.T) {
	c := run(t)
	c.put("db")
	c.put("web", "web-1", "web-2")
	client, ctx := c.dial(t), t.Context()

	workloads, err := client.Workloads(ctx)
	require.NoError(t, err)
	require.Len(t, workloads.Items, 2)
	assert.Equal(t, "db", workloads.Items[0].Metadata.Name)

	workload, err := client.Workload(ctx, "web")
	require.NoError(t, err)
	assert.Equal(t, workloads.Items[1], workload)

	replicas, err := client.Replicas(ctx, "")
	require.NoError(t, err)
	assert.Len(t, replicas.Items, 2)
	replicas, err = client.Replicas(ctx, "db")
	require.NoError(t, err)
	assert.Empty(t, replicas.Items)

	events, err := client.Events(ctx, EventOptions{})
	require.NoError(t, err)
	require.Len(t, events.Items, 2)
	later, err := client.Events(ctx, EventOptions{Since: events.Items[0].Metadata.Name})
	require.NoError(t, err)
	assert.Equal(t, events.Items[1:], later.Items)
	ofOne, err := client.Events(ctx, EventOptions{Workload: "db", Limit: 5})
	require.NoError(t, err)
	assert.Equal(t, events.Items[:1], ofOne.Items)

	health, err := client.Health(ctx)
	require.NoError(t, err)
	assert.Equal(t, api.Health{Status: "ok", Project: "shop", Version: "test"}, health)
}

func TestAProblemIsTheError(t *testing.T) {
	_, err := run(t).dial(t).Workload(t.Context(), "a/../b?c")
	var p *api.Problem
	require.ErrorAs(t, err, &p)
	assert.Equal(t, http.StatusNotFound, p.Status)
}

func TestReadyTellsTheReason(t *testing.T) {
	c := run(t)
	client := c.dial(t)
	assert.NoError(t, client.Ready(t.Context()))
	c.ready = errors.New("the engine does not answer")
	assert.ErrorContains(t, client.Ready(t.Context()), "the engine does not answer")
}

func TestWatchYieldsEachChange(t *testing.T) {
	c := run(t)
	client := c.dial(t)
	var seen []int
	for list, err := range client.WatchWorkloads(t.Context()) {
		require.NoError(t, err)
		seen = append(seen, len(list.Items))
		if len(list.Items) == 3 {
			break
		}
		c.put([]string{"a", "b", "c"}[len(list.Items)])
	}
	assert.Equal(t, []int{0, 1, 2, 3}, seen)

	for list, err := range client.WatchReplicas(t.Context(), "a") {
		require.NoError(t, err)
		if len(list.Items) == 2 {
			break
		}
		c.put("a", "a-1", "a-2")
	}
}

func TestWatchEventsIsResumed(t *testing.T) {
	c := run(t)
	client := c.dial(t)
	c.put("a")
	var since string
	for e, err := range client.WatchEvents(t.Context(), EventOptions{}) {
		require.NoError(t, err)
		since = e.Metadata.Name
		break
	}
	c.put("b")
	for e, err := range client.WatchEvents(t.Context(), EventOptions{Since: since}) {
		require.NoError(t, err)
		assert.Equal(t, "b", e.Message)
		break
	}
}

func TestAWatchEndsSilentlyWithItsContext(t *testing.T) {
	client := run(t).dial(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	for _, err := range client.WatchWorkloads(ctx) {
		require.NoError(t, err)
		n++
		cancel()
	}
	assert.Equal(t, 1, n)
}

func TestAWatchSaysThatTheControllerHasEnded(t *testing.T) {
	c := run(t)
	var last error
	for _, err := range c.dial(t).WatchWorkloads(t.Context()) {
		if last = err; err == nil {
			go c.stop()
		}
	}
	assert.ErrorIs(t, last, errEnded)
}

func TestAWatchOfNothingIsAProblem(t *testing.T) {
	for _, err := range run(t).dial(t).WatchReplicas(t.Context(), "nope") {
		var p *api.Problem
		assert.ErrorAs(t, err, &p)
	}
}

func TestItSaysHowToStartAControllerWhereNoneRuns(t *testing.T) {
	dir := t.TempDir()
	dead := t.TempDir()
	l, err := net.Listen("unix", filepath.Join(dead, api.SocketName))
	require.NoError(t, err)
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	require.NoError(t, l.Close())
	for name, dir := range map[string]string{
		"no data directory": filepath.Join(dir, "missing"),
		"no socket":         dir,
		"nobody answers":    dead,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Dial(dir)
			assert.ErrorIs(t, err, ErrNotRunning)
			assert.ErrorContains(t, err, "tend up")
			assert.ErrorContains(t, err, "tend run")
		})
	}
}

func TestAControllerThatHasEndedMeanwhileIsNotRunning(t *testing.T) {
	c := run(t)
	client := c.dial(t)
	c.stop()
	_, err := client.Workloads(t.Context())
	assert.ErrorIs(t, err, ErrNotRunning)
}
