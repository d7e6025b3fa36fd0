package controller

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/model"
	"github.com/tendhq/tend/controller/plan"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/spec/load"
	"github.com/tendhq/tend/state"
	"github.com/tendhq/tend/state/durable"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is the whole loop on an engine in memory, with a clock of its own:
// time passes when everyone waits.
type world struct {
	t      *testing.T
	ctx    context.Context
	engine *model.Engine
	ctl    *Controller
	stop   func()
	// durable is what the next controller restores; nil for nothing.
	durable durable.Store
	// record is told the plans of the next controller; it may be nil.
	record func(plan.Input, plan.Plan)
	// ingressImage has ports held by ingresses; empty for none.
	ingressImage string
	// tracer makes the spans of the next controller; nil for none.
	tracer trace.Tracer

	mu     sync.Mutex
	events []string
}

// the images of the tests
const (
	plain   = "plain:1"   // runs until stopped
	healthy = "healthy:1" // healthy after a second
	sick    = "sick:1"    // never healthy
	crashes = "crashes:1" // exits with code 3 after a second
	task    = "task:1"    // exits with code 0 after a second
	stuck   = "stuck:1"   // ignores the stop signal
)

// inWorld runs a test in a world of its own, in which nothing runs yet.
func inWorld(t *testing.T, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		e := model.New()
		e.AddImage(plain, model.Behavior{})
		e.AddImage("plain:2", model.Behavior{})
		e.AddImage(healthy, model.Behavior{
			HealthCheck: true, HealthAfter: time.Second,
			Exec: func(engine.ExecSpec) (int, time.Duration) { return 0, 0 },
		})
		e.AddImage("healthy:2", model.Behavior{HealthCheck: true, HealthAfter: time.Second})
		e.AddImage(sick, model.Behavior{HealthCheck: true, HealthAfter: time.Second, Sick: true})
		e.AddImage(crashes, model.Behavior{Exits: true, After: time.Second, Code: 3})
		e.AddImage(task, model.Behavior{Exits: true, After: time.Second})
		e.AddImage(stuck, model.Behavior{IgnoresStop: true})
		for _, op := range []model.Op{model.OpCreate, model.OpStart, model.OpRemove} {
			e.SetLatency(op, 50*time.Millisecond)
		}
		w := &world{t: t, engine: e}
		w.start()
		defer func() {
			w.stop()
			require.NoError(t, e.Close())
		}()
		f(w)
	})
}

// start starts a controller that knows what is durable.
func (w *world) start() {
	ctx, cancel := context.WithCancel(context.Background())
	w.ctx = ctx
	w.ctl = New(Options{Engine: w.engine, Project: "p", Durable: w.durable, Record: w.record, IngressImage: w.ingressImage, Tracer: w.tracer, Log: zap.NewNop(), OnEvent: func(e *state.Event) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.events = append(w.events, e.Workload+" "+e.Reason+": "+e.Message)
	}})
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.ctl.Run(ctx)
	}()
	w.stop = func() {
		cancel()
		<-done
	}
}

// restart ends the controller as a crash would, and starts one that knows nothing.
func (w *world) restart() {
	w.stop()
	w.start()
}

// write puts a project in force. Further files are specs.
func (w *world) write(compose string, specs ...string) {
	w.t.Helper()
	w.ctl.SetProject(w.load(compose, specs...))
}

func (w *world) load(compose string, specs ...string) *spec.Project {
	w.t.Helper()
	dir := w.t.TempDir()
	require.NoError(w.t, os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte("name: p\nservices:\n"+indent(compose)), 0o600))
	require.NoError(w.t, os.Mkdir(filepath.Join(dir, "specs"), 0o700))
	for i, s := range specs {
		name := filepath.Join(dir, "specs", string(rune('a'+i))+".yaml")
		require.NoError(w.t, os.WriteFile(name, []byte("apiVersion: tend/v1\n"+s), 0o600))
	}
	p, err := load.Project(context.Background(), load.Options{ProjectDirectory: dir, IngressImage: w.ingressImage})
	require.NoError(w.t, err)
	return p
}

func indent(s string) string {
	return "  " + strings.ReplaceAll(strings.TrimSpace(s), "\n", "\n  ") + "\n"
}

// converge waits until what runs is what is written.
func (w *world) converge() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, time.Hour)
	defer cancel()
	require.NoError(w.t, w.ctl.Wait(ctx))
}

// pass lets time pass.
func (w *world) pass(d time.Duration) {
	time.Sleep(d) // the bubble's clock: the program's time, not the test's
	synctest.Wait()
}

// containers are those of the project, as "name state".
func (w *world) containers() []string {
	w.t.Helper()
	all, err := w.engine.Containers(context.Background(), "p")
	require.NoError(w.t, err)
	var lines []string
	for _, c := range all {
		lines = append(lines, c.Name+" "+string(c.State))
	}
	slices.Sort(lines)
	return lines
}

// running counts the containers that run.
func (w *world) running() int {
	n := 0
	for _, line := range w.containers() {
		if strings.HasSuffix(line, " running") {
			n++
		}
	}
	return n
}

// container finds one by name or ID.
func (w *world) container(id string) engine.Container {
	w.t.Helper()
	all, err := w.engine.Containers(context.Background(), "p")
	require.NoError(w.t, err)
	for _, c := range all {
		if c.Name == id || c.ID == id {
			return c
		}
	}
	w.t.Fatalf("there is no container %s", id)
	return engine.Container{}
}

// writes are the engine calls that changed something, since the last call of writes.
func (w *world) writes() []string {
	var lines []string
	for _, c := range w.engine.Writes() {
		lines = append(lines, c.String())
	}
	w.engine.ForgetCalls()
	return lines
}

// heard reports whether an event with this text came.
func (w *world) heard(text string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.events, func(e string) bool { return strings.Contains(e, text) })
}
