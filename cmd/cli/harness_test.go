//go:build linux

package cli

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/tendhq/tend/api"
	"github.com/tendhq/tend/controller"
	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/plan"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/state"
)

func TestMain(m *testing.M) {
	act()
	goleak.VerifyTestMain(m)
}

// world is a project whose controller is played by the test: it serves a store
// that the test fills, and notes what it is asked.
type world struct {
	api.Controller // what no test asks for

	t     *testing.T
	dir   string
	store *state.Store
	ready error
	// handler is the API.
	handler http.Handler

	mu           sync.Mutex
	acknowledged uint64
}

func newWorld(t *testing.T, compose string) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), store: state.New(func([]state.Change) {})}
	require.NoError(t, os.WriteFile(filepath.Join(w.dir, "compose.yaml"), []byte(compose), 0o644))
	data := filepath.Join(w.dir, ".tend")
	require.NoError(t, os.Mkdir(data, 0o700))
	socket, err := api.ListenUnix(data)
	require.NoError(t, err)
	w.handler = api.New(api.Config{
		Store: w.store, Controller: w, Ready: func() error { return w.ready }, Metrics: http.NotFoundHandler(),
		Project: "shop", Version: "test", Log: zap.NewNop(), DataDir: data,
	})
	w.serve(socket)
	return w
}

// serve serves the API on a listener until the test ends.
func (w *world) serve(l net.Listener) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- api.Serve(ctx, w.handler, zap.NewNop(), l) }()
	w.t.Cleanup(func() {
		cancel()
		assert.NoError(w.t, <-ended)
	})
}

// Intend implements api.Controller.
func (w *world) Intend(_ context.Context, asked core.Event, change func(*core.Intent, *state.Snapshot) error) error {
	workload, snap := asked.Workload, w.store.Snapshot()
	intent := core.Intent{}
	if row, ok := snap.Intent(workload); ok {
		intent = row.Intent
	}
	if err := change(&intent, snap); err != nil {
		return err
	}
	w.store.Update(func(tx *state.Tx) { tx.PutIntent(&state.Intent{Workload: workload, Intent: intent}) })
	w.Asked(asked)
	return nil
}

// Asked implements api.Controller.
func (w *world) Asked(asked core.Event) {
	w.store.Update(func(tx *state.Tx) { tx.AddEvent(asked, time.Now()) })
}

// Subscribed implements api.Controller.
func (w *world) Subscribed(_ controller.Subscriber, index uint64) (disconnected func(), err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.acknowledged = index
	return func() {}, nil
}

// acknowledges says which endpoints are in force.
func (w *world) acknowledges() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.acknowledged
}

// keep keeps a Deployment with a status.
func (w *world) keep(name string, change func(*spec.Workload, *core.Status)) {
	written := &spec.Workload{Name: name, Kind: spec.Deployment, Replicas: 2, Image: "web:1", Revision: "rev2rev2rev2", Strategy: spec.Strategy{Type: spec.RollingUpdate, MaxSurge: 1}}
	status := core.Status{
		Workload: name, ObservedGeneration: 1, Desired: 2, Replicas: 2, Updated: 2, Ready: 2, Available: 2,
		UpdateRevision: written.Revision, CurrentRevision: written.Revision, Converged: true, Outcome: core.OutcomeConverged,
		Conditions: []core.Condition{{Type: core.Available, Status: true, Reason: "MinimumReplicasAvailable", Message: "2 of 2 replicas available", Since: time.Now()}},
	}
	change(written, &status)
	w.store.Update(func(tx *state.Tx) {
		tx.PutWorkload(&state.Workload{Name: name, Generation: 1, Spec: written})
		tx.PutStatus(status)
	})
}

// planned keeps a workload with the status that the planner gives it.
func (w *world) planned(written *spec.Workload, change func(*plan.Input)) {
	in := plan.Input{Now: time.Now(), Workload: written.Name, Generation: 1, Spec: written}
	change(&in)
	p := plan.Compute(in)
	w.store.Update(func(tx *state.Tx) {
		tx.PutWorkload(&state.Workload{Name: written.Name, Generation: 1, Spec: written})
		tx.PutStatus(p.Status)
		for _, r := range in.Replicas {
			tx.PutReplica(&state.Replica{Replica: r})
		}
	})
}

// output takes what a command prints while it is read.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// tend runs a command, and returns its output when it has ended.
func (w *world) tend(args ...string) (string, error) {
	w.t.Helper()
	var out output
	err := w.run(w.t.Context(), &out, args...)
	return out.String(), err
}

func (w *world) run(ctx context.Context, out *output, args ...string) error {
	root := New("test")
	root.SetOut(out)
	root.SetArgs(append([]string{"--project-directory", w.dir}, args...))
	return root.ExecuteContext(ctx)
}

// start runs a command in the background; stop interrupts it and returns how
// it ended.
func (w *world) start(args ...string) (out *output, stop func() error) {
	w.t.Helper()
	out = &output{}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.run(ctx, out, args...) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	w.t.Cleanup(func() { _ = stop() })
	return out, stop
}

// eventually waits until something is so.
func eventually(t *testing.T, so func() bool, text string, args ...any) {
	t.Helper()
	require.Eventually(t, so, time.Minute, 10*time.Millisecond, append([]any{text}, args...)...)
}
