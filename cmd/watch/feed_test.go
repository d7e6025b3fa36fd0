//go:build linux

package watch

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/tendhq/tend/api"
	"github.com/tendhq/tend/api/client"
	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/state"
)

// serve has a controller of a data directory answer until stop is called.
func serve(t *testing.T, dir string, store *state.Store) (stop func()) {
	t.Helper()
	l, err := api.ListenUnix(dir)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- api.Serve(ctx, api.New(api.Config{
			Store: store, Ready: func() error { return nil }, Project: "shop", Version: "1.0.0", Log: zap.NewNop(),
			Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(metrics)) }),
		}), zap.NewNop(), l)
	}()
	stop = sync.OnceFunc(func() { cancel(); assert.NoError(t, <-ended) })
	t.Cleanup(stop)
	return stop
}

// heard are the messages of a feed.
type heard struct {
	mu       sync.Mutex
	messages []tea.Msg
}

func (h *heard) send(msg tea.Msg) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.messages = append(h.messages, msg)
}

// awaits waits for a message after those that were awaited before.
func (h *heard) awaits(t *testing.T, what string, is func(tea.Msg) bool) {
	t.Helper()
	require.Eventually(t, func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		at := slices.IndexFunc(h.messages, is)
		return at >= 0
	}, time.Minute, time.Millisecond, what)
}

func (h *heard) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.messages = nil
}

func keep(s *state.Store, name string) {
	s.Update(func(tx *state.Tx) {
		tx.PutWorkload(&state.Workload{Name: name, Generation: 1, Spec: &spec.Workload{Name: name, Kind: spec.Deployment, Image: "nginx"}})
		tx.PutReplica(&state.Replica{Replica: core.Replica{Workload: name, Number: 1, Name: "shop-" + name + "-1", ID: name}})
		tx.AddEvent(core.Event{Type: core.Normal, Workload: name, Reason: "Created", Message: name}, time.Now())
	})
}

func TestTheFeedGoesOnWhenTheControllerIsBack(t *testing.T) {
	dir, store, h := t.TempDir(), state.New(func([]state.Change) {}), &heard{}
	ctx, cancel := context.WithCancel(t.Context())
	var feeding sync.WaitGroup
	feeding.Go(func() { feed(ctx, func() (*client.Client, error) { return client.Dial(dir) }, h.send) })
	defer feeding.Wait()
	defer cancel()
	away := func(msg tea.Msg) bool { _, ok := msg.(awayMsg); return ok }
	h.awaits(t, "there is no controller", away)

	keep(store, "web")
	stop := serve(t, dir, store)
	for range 2 {
		h.awaits(t, "everything", func(msg tea.Msg) bool {
			m, ok := msg.(changesMsg)
			return ok && m.first && m.project.Metadata.Name == "shop" && m.workloads[0].Metadata.Name == "web" && m.replicas[0].Metadata.Name == "shop-web-1" && m.events[0].Message == "web"
		})
		h.awaits(t, "the traffic", func(msg tea.Msg) bool { m, ok := msg.(trafficMsg); _, of := m["web:80"]; return ok && of })
		h.forget()
		stop()
		h.awaits(t, "the controller has ended", away)
		h.forget()
		stop = serve(t, dir, store)
	}
	h.awaits(t, "everything again", func(msg tea.Msg) bool { m, ok := msg.(changesMsg); return ok && m.first })
	keep(store, "zoo")
	h.awaits(t, "a change", func(msg tea.Msg) bool {
		m, ok := msg.(changesMsg)
		return ok && !m.first && len(m.workloads) == 1 && m.workloads[0].Metadata.Name == "zoo"
	})
	store.Update(func(tx *state.Tx) { tx.DeleteReplica("zoo") })
	h.awaits(t, "an end", func(msg tea.Msg) bool {
		m, ok := msg.(changesMsg)
		return ok && len(m.replicas) == 1 && m.replicas[0].gone
	})
}
