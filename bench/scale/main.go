// Scale measures one controller over many workloads, on the engine in memory:
// how long it takes to know everything after a start, how long after a replica's
// death it acts, and what it holds in memory. It prints one line of JSON.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/tendhq/tend/controller"
	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/model"
	"github.com/tendhq/tend/controller/plan"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/spec/load"
	"github.com/tendhq/tend/state"
	"github.com/tendhq/tend/state/durable"
)

// result is what is measured; times are in milliseconds, sizes in MiB.
type result struct {
	Workloads, Replicas int
	// Load is the reading of the project, Know from the controller's start until
	// it calls every workload converged.
	Load, Know float64
	// PlannedP50 and PlannedP99 are from a replica's death to the plan that answers
	// it, ActedP50 and ActedP99 to the engine call, before which that is on the
	// disk; Plans counts the plans made for one.
	PlannedP50, PlannedP99, ActedP50, ActedP99, Plans float64
	// Controller is what the controller holds, Resident what the whole process
	// does, the engine in memory included.
	Controller, Resident float64
}

func main() {
	workloads := flag.Int("workloads", 1000, "how many")
	replicas := flag.Int("replicas", 10, "of each")
	deaths := flag.Int("deaths", 500, "at most how many replicas die, each once, one after the other")
	flag.Parse()
	r, err := measure(*workloads, *replicas, *deaths)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(r)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1)
	}
}

func measure(workloads, replicas, deaths int) (r result, err error) {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "tend-scale-")
	if err != nil {
		return r, err
	}
	defer os.RemoveAll(dir)
	if err := write(dir, workloads, replicas); err != nil {
		return r, err
	}
	watched := &watched{Engine: model.New(), planned: make(chan instant, workloads*replicas), started: make(chan instant, workloads*replicas)}
	watched.AddImage("web:1", model.Behavior{})
	defer watched.Close()

	// Everything is made first, so that the start that is measured finds it.
	first, err := start(ctx, dir, watched)
	if err != nil {
		return r, err
	}
	first.stop()
	first = nil
	before := heap()

	began := time.Now()
	c, err := start(ctx, dir, watched)
	if err != nil {
		return r, err
	}
	defer c.stop()
	r = result{Workloads: workloads, Replicas: workloads * replicas, Load: milliseconds(c.loaded.Sub(began)), Know: milliseconds(time.Since(c.loaded))}
	r.Controller, r.Resident = mebibytes(heap()-before), resident()

	all := watched.Truth()
	for len(watched.planned) > 0 {
		<-watched.planned
	}
	for len(watched.started) > 0 {
		<-watched.started
	}
	// One that dies again is restarted only after a back-off, which is not what
	// is measured.
	deaths = min(deaths, len(all))
	plans := c.plans()
	var planned, acted []time.Duration
	for i := range deaths {
		victim := all[i*len(all)/deaths]
		began := time.Now()
		watched.Kill(victim.ID, 137)
		planned = append(planned, after(watched.planned, victim.ID).Sub(began))
		acted = append(acted, after(watched.started, victim.ID).Sub(began))
		if err := c.controller.Wait(ctx, victim.Labels[spec.LabelService]); err != nil {
			return r, err
		}
	}
	r.PlannedP50, r.PlannedP99 = percentiles(planned)
	r.ActedP50, r.ActedP99 = percentiles(acted)
	r.Plans = float64(c.plans()-plans) / float64(deaths)
	return r, nil
}

// write writes the project.
func write(dir string, workloads, replicas int) error {
	var compose strings.Builder
	compose.WriteString("name: scale\nservices:\n")
	if err := os.Mkdir(filepath.Join(dir, "specs"), 0o755); err != nil {
		return err
	}
	for i := range workloads {
		fmt.Fprintf(&compose, "  web%04d:\n    image: web:1\n    environment: {PORT: \"80\"}\n    expose: [\"80\"]\n", i)
		s := fmt.Sprintf("apiVersion: tend/v1\nkind: Deployment\nmetadata: {name: web%04d}\nspec: {replicas: %d}\n", i, replicas)
		if err := os.WriteFile(filepath.Join(dir, "specs", fmt.Sprintf("web%04d.yaml", i)), []byte(s), 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(compose.String()), 0o644)
}

// watched tells of starts, as they are planned and asked for.
type watched struct {
	*model.Engine
	planned, started chan instant
}

// instant is when something happened to a container.
type instant struct {
	id string
	time.Time
}

func (w *watched) Start(ctx context.Context, id string) error {
	tell(w.started, id)
	return w.Engine.Start(ctx, id)
}

func (w *watched) record(_ plan.Input, p plan.Plan) {
	for _, a := range p.Actions {
		if a.Kind == core.StartReplica {
			tell(w.planned, a.ID)
		}
	}
}

func tell(c chan<- instant, id string) {
	select {
	case c <- instant{id, time.Now()}:
	default: // while all of them are made nobody listens
	}
}

// after is when it happened to a container.
func after(c <-chan instant, id string) time.Time {
	for {
		if i := <-c; i.id == id {
			return i.Time
		}
	}
}

func percentiles(times []time.Duration) (p50, p99 float64) {
	slices.Sort(times)
	return milliseconds(times[len(times)/2]), milliseconds(times[len(times)*99/100])
}

var _ engine.Engine = (*watched)(nil)

// running is a controller that has converged.
type running struct {
	controller *controller.Controller
	metrics    *controller.Metrics
	loaded     time.Time
	stop       func()
}

func start(ctx context.Context, dir string, e *watched) (*running, error) {
	project, err := load.Project(ctx, load.Options{ProjectDirectory: dir})
	if err != nil {
		return nil, err
	}
	r := &running{metrics: controller.NewMetrics(), loaded: time.Now()}
	file := durable.NewFile(dir, project.Name)
	ctx, cancel := context.WithCancel(ctx)
	r.controller = controller.New(controller.Options{
		Engine: e, Project: project.Name, DataDir: dir, Log: zap.NewNop(), OnEvent: func(*state.Event) {}, Record: e.record, Metrics: r.metrics, Durable: file,
	})
	var ended sync.WaitGroup
	ended.Go(func() { r.controller.Run(ctx) })
	r.stop = func() {
		cancel()
		ended.Wait()
		_ = file.Close()
	}
	r.controller.SetProject(project)
	return r, r.controller.Wait(ctx)
}

// heap is what is in use, in bytes.
func heap() uint64 {
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// resident is what the process holds of the machine's memory, in MiB.
func resident() float64 {
	status, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, pages uint64
	if _, err := fmt.Sscan(string(status), &size, &pages); err != nil {
		return 0
	}
	return mebibytes(pages * uint64(os.Getpagesize()))
}

// plans counts the plans made since the start, as the metrics do.
func (r *running) plans() int {
	w := httptest.NewRecorder()
	r.metrics.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for line := range strings.Lines(w.Body.String()) {
		var n int
		if _, err := fmt.Sscanf(line, "tend_plan_duration_seconds_count %d", &n); err == nil {
			return n
		}
	}
	return 0
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
func mebibytes(bytes uint64) float64       { return float64(bytes>>10) / 1024 }
