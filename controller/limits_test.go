package controller

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/model"
	"github.com/tendhq/tend/controller/recorder"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/state/durable"
)

// taken is what a controller takes, with all that it keeps.
type taken struct {
	heap         int64 // bytes in use
	goroutines   int
	series       int // of the metrics
	events, rows int // in the state
	file, tape   int64
}

func (u taken) String() string {
	return fmt.Sprintf("%d KiB of heap, %d goroutines, %d series, %d events, %d other rows, %d KiB of state, %d KiB of recordings",
		u.heap>>10, u.goroutines, u.series, u.events, u.rows, u.file>>10, u.tape>>10)
}

// measured is a world whose controller keeps its state and its recordings in files.
type measured struct {
	*world
	dir string
}

func inMeasuredWorld(t *testing.T, f func(w *measured)) {
	t.Helper()
	inWorld(t, func(w *world) {
		w.stop()
		m := &measured{world: w, dir: t.TempDir()}
		r := recorder.Start(m.dir, zap.NewNop())
		w.durable, w.record = durable.NewFile(m.dir, "p"), r.Record
		w.start()
		defer func() {
			w.stop()
			r.Close()
			w.stop = func() {}
		}()
		f(m)
	})
}

// use measures what is taken now, the engine's own memory of its calls apart.
func (w *measured) use() (u taken) {
	w.scrape() // what containers use is read from now on, and told at the next one
	w.pass(time.Second)
	w.engine.ForgetCalls()
	w.mu.Lock()
	w.world.events = nil
	w.mu.Unlock()
	for range 2 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	u.heap, u.goroutines = int64(m.HeapAlloc), runtime.NumGoroutine()
	for line := range strings.Lines(w.scrape()) {
		if strings.HasPrefix(line, "tend_") {
			u.series++
		}
	}
	snap := w.ctl.State().Snapshot()
	u.events = len(snap.Events(0))
	u.rows = len(snap.Replicas("")) + len(snap.HookRuns("")) + len(snap.Statuses()) + len(snap.Workloads()) + len(snap.Resources()) + len(snap.Endpoints(""))
	for _, s := range snap.Statuses() {
		u.rows += len(snap.Revisions(s.Workload))
		if r, ok := snap.Rollout(s.Workload); ok {
			u.rows += len(r.Attempts) + len(r.Tries) + len(r.Drains)
		}
	}
	_ = filepath.WalkDir(w.dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return nil // what is gone by now takes no space
		}
		info, err := e.Info()
		switch {
		case err != nil:
		case strings.Contains(path, recorder.Directory):
			u.tape += info.Size()
		default:
			u.file += info.Size()
		}
		return nil
	})
	return u
}

// costsNoMoreThan checks that a later measurement is no more than an earlier one, apart
// from so many bytes of heap and from what fills up to a bound of its own: events, the
// state's file that holds them, and recordings.
func (u taken) costsNoMoreThan(t *testing.T, before taken, heap int64) {
	t.Helper()
	t.Logf("before: %s", before)
	t.Logf("after:  %s", u)
	assert.Less(t, u.heap-before.heap, heap)
	assert.LessOrEqual(t, u.goroutines, before.goroutines)
	assert.LessOrEqual(t, u.events, 2000)
	assert.Less(t, u.file, int64(8<<20), "2000 events of 1 kB, and room for a page that is written anew")
	assert.Less(t, u.tape, int64(68<<20))
}

// A hundred thousand events in a minute: health that comes and goes, one-off
// containers that start and die, and a few deaths.
func TestAnEventStorm(t *testing.T) {
	const services, replicas, events = 20, 5, 100_000
	inMeasuredWorld(t, func(w *measured) {
		for _, op := range []model.Op{model.OpCreate, model.OpStart, model.OpRemove} {
			w.engine.SetLatency(op, 0)
		}
		var compose strings.Builder
		for i := range services {
			fmt.Fprintf(&compose, "web%02d: {image: 'healthy:1', deploy: {replicas: %d}}\n", i, replicas)
		}
		w.write(compose.String())
		w.converge()
		var ours, others []string
		find := func() { // those that are sick are replaced
			ours = nil
			for _, c := range w.engine.Truth() {
				if c.State == engine.Running && c.Labels[spec.LabelOneoff] != "True" {
					ours = append(ours, c.ID)
				}
			}
		}
		find()
		for i := range 50 {
			others = append(others, w.engine.Put(engine.Container{Name: fmt.Sprint("run-", i), Labels: map[string]string{
				spec.LabelProject: "p", spec.LabelService: "web00", spec.LabelOneoff: "True",
			}}, model.Behavior{}))
		}
		before := w.use()
		var seen atomic.Int64
		watching, leave := context.WithCancel(context.Background())
		defer leave()
		stream, _, err := w.engine.Events(watching, "p")
		require.NoError(t, err)
		go func() {
			for range stream {
				seen.Add(1)
			}
		}()

		began, asked, looks := time.Now(), 0, 0
		count := func() {
			for _, c := range w.engine.Calls() {
				asked++
				if c.Op == model.OpContainer {
					looks++
				}
			}
			w.engine.ForgetCalls()
		}
		sick := map[string]bool{}
		for i := range events {
			time.Sleep(time.Until(began.Add(time.Duration(i) * time.Minute / events)))
			our, other := ours[i/3%len(ours)], others[i/3%len(others)]
			switch i % 3 {
			case 0:
				sick[our] = !sick[our]
				w.engine.SetHealth(our, map[bool]engine.Health{true: engine.Unhealthy, false: engine.Healthy}[sick[our]])
			case 1:
				require.NoError(t, w.engine.Start(context.Background(), other))
				asked-- // by us
			case 2:
				w.engine.Kill(other, 137)
			}
			if i%2000 == 0 {
				w.engine.Kill(ours[i/2000], 137)
				find()
				count()
			}
		}
		find()
		for _, our := range ours {
			w.engine.SetHealth(our, engine.Healthy)
		}
		count()
		assert.Greater(t, seen.Load(), int64(events*9/10))
		t.Logf("%d requests to the engine, of which %d looked at a container", asked, looks)
		assert.Less(t, looks, events/8)
		assert.Less(t, asked, events/6)
		leave()
		w.pass(10 * time.Second)
		w.converge()
		w.use().costsNoMoreThan(t, before, 8<<20)

		// None of it was lost behind the storm.
		find()
		last := w.container(ours[0])
		w.engine.Kill(last.ID, 137)
		w.pass(time.Second)
		row, ok := w.ctl.State().Snapshot().Replica(last.ID)
		require.True(t, !ok || row.State == core.Exited || row.StartedAt.After(last.StartedAt))
	})
}

// A container that crashes for ever costs after a week what it cost after a few
// days, when there were as many events as are kept.
func TestAContainerThatRestartsForEver(t *testing.T) {
	inMeasuredWorld(t, func(w *measured) {
		w.write("web: {image: 'plain:1', deploy: {replicas: 3}}\nother: {image: 'plain:1'}")
		const day = 24 * time.Hour
		crashes := 0
		crash := func(d time.Duration) {
			for range d / (30 * time.Second) {
				w.pass(30 * time.Second)
				for _, c := range w.engine.Truth() {
					if c.State == engine.Running && c.Labels[spec.LabelService] == "web" {
						crashes++
						w.engine.Kill(c.ID, 1+crashes%100) // so that no event is like the one before
					}
				}
			}
		}
		crash(2 * day)
		before, then := w.use(), crashes
		require.Greater(t, before.events, 1000)
		crash(3 * day)
		require.Greater(t, crashes-then, 2000, "it goes on being started")
		after := w.use()
		after.costsNoMoreThan(t, before, 1<<20)
		assert.Equal(t, before.series, after.series)
		assert.Equal(t, before.rows, after.rows)
		assert.LessOrEqual(t, after.file, before.file)
	})
}

// The engine, too, starts some containers again for ever: those that tend leaves to
// their owner, while others depend on them.
func TestAContainerThatTheEngineRestartsForEver(t *testing.T) {
	inMeasuredWorld(t, func(w *measured) {
		w.write("db: {image: 'plain:1', x-tend: {managed: false}}\nweb: {image: 'plain:1', depends_on: [db]}")
		id := w.engine.Put(engine.Container{Name: "p-db-1", RestartPolicy: "unless-stopped", Image: "plain:1", Labels: map[string]string{
			spec.LabelProject: "p", spec.LabelService: "db", spec.LabelContainerNumber: "1", spec.LabelOneoff: "False",
		}}, model.Behavior{})
		start := func() { require.NoError(t, w.engine.Start(context.Background(), id)) }
		start()
		w.pass(time.Minute)
		require.Equal(t, engine.Running, w.container("p-web-1").State)
		restarts := 0
		loop := func(d time.Duration) {
			began, backoff := time.Now(), 100*time.Millisecond
			for time.Since(began) < d {
				w.engine.Kill(id, 1)
				w.pass(backoff)
				start()
				restarts++
				w.pass(backoff / 10)
				if backoff = 2 * backoff; backoff > time.Minute { // it has stayed up for a while, and begins anew
					w.pass(10 * time.Second)
					backoff = 100 * time.Millisecond
				}
			}
		}
		loop(6 * time.Hour)
		before, then := w.use(), restarts
		loop(48 * time.Hour)
		require.Greater(t, restarts-then, 5000)
		after := w.use()
		after.costsNoMoreThan(t, before, 1<<20)
		assert.Equal(t, before.series, after.series)
		assert.Equal(t, before.rows, after.rows)
		assert.Less(t, after.tape-before.tape, int64(64<<10), "what only repeats is not recorded")
		assert.Equal(t, engine.Running, w.container("p-web-1").State)
	})
}

// What is not written any more, and is gone, leaves nothing behind.
func TestWorkloadsThatComeAndGoLeaveNothing(t *testing.T) {
	inMeasuredWorld(t, func(w *measured) {
		turn := func(i int) {
			name := fmt.Sprintf("web%03d", i)
			w.write(name+": {image: 'healthy:1', deploy: {replicas: 3}}",
				"kind: Deployment\nmetadata: {name: "+name+"}\nspec: {readinessProbe: {exec: {command: [check]}}}")
			w.converge()
		}
		turn(0)
		w.pass(10 * time.Minute)
		before := w.use()
		const turns = 30
		for i := range turns {
			turn(i + 1)
		}
		w.write("sick: {image: 'sick:1'}")
		waiting, leave := context.WithTimeout(w.ctx, 10*time.Second)
		defer leave()
		require.ErrorIs(t, w.ctl.Wait(waiting), context.DeadlineExceeded)
		waiters, loops := make(chan int, 1), make(chan *loop, 1)
		w.ctl.do(func(l *loop) {
			waiters <- len(l.waiters)
			loops <- l
		})
		assert.Zero(t, <-waiters)
		turn(0)
		w.pass(10 * time.Minute)
		after := w.use()
		after.costsNoMoreThan(t, before, 4<<20)
		assert.Equal(t, before.rows, after.rows)
		w.stop() // so that nothing changes while it is counted
		l := <-loops
		assert.LessOrEqual(t, len(l.probers), 1)
		assert.Empty(t, l.lanes)
		assert.Empty(t, l.reconciler.flights)
		assert.Empty(t, l.reconciler.withdrawn)
		assert.LessOrEqual(t, len(l.next), 2)
	})
}

// talker is an engine in which each command writes without end.
type talker struct{ engine.Engine }

func (talker) Exec(_ context.Context, _ string, e engine.ExecSpec) (int, error) {
	chunk := bytes.Repeat([]byte("x"), 1<<20)
	for range 256 {
		if _, err := e.Stdout.Write(chunk); err != nil {
			return 0, err
		}
	}
	return 1, nil
}

func TestAProbeThatTalksWithoutEndCostsNoMemory(t *testing.T) {
	c := &Controller{options: Options{Engine: talker{}}}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	code, output, err := c.exec(t.Context(), "id", []string{"check"})
	runtime.ReadMemStats(&after)
	require.NoError(t, err)
	assert.Equal(t, 1, code)
	assert.Equal(t, strings.Repeat("x", 4<<10), output)
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(8<<20))
}
