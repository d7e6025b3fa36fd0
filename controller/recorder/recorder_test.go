package recorder_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/plan"
	"github.com/tendhq/tend/controller/recorder"
	"github.com/tendhq/tend/controller/spec"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// wanted is an input that asks for n replicas where there are none.
func wanted(n int, at time.Time) plan.Input {
	return plan.Input{
		Now: at, Workload: "web", Generation: 1,
		Spec: &spec.Workload{Name: "web", Kind: spec.Deployment, Replicas: n, Revision: "v1", Strategy: spec.Strategy{Type: spec.RollingUpdate, MaxSurge: 1}},
	}
}

// recorded records inputs and returns the recordings.
func recorded(t *testing.T, dir string, inputs ...plan.Input) []string {
	t.Helper()
	r := recorder.Start(dir, zap.NewNop())
	for _, in := range inputs {
		r.Record(in, plan.Compute(in))
	}
	r.Close()
	files, err := recorder.Files(dir)
	require.NoError(t, err)
	return files
}

func read(t *testing.T, content []byte) (all []recorder.Record) {
	t.Helper()
	for rec, err := range recorder.Read(bytes.NewReader(content)) {
		require.NoError(t, err)
		all = append(all, rec)
	}
	return all
}

func TestWhatOnlyRepeatsIsNotRecorded(t *testing.T) {
	files := recorded(t, t.TempDir(), wanted(1, noon), wanted(2, noon), wanted(2, noon.Add(time.Second)), wanted(1, noon.Add(time.Minute)))
	require.Len(t, files, 1)
	content, err := os.ReadFile(files[0])
	require.NoError(t, err)
	var at []time.Time
	for _, rec := range read(t, content) {
		at = append(at, rec.Input.Now)
	}
	assert.Equal(t, []time.Time{noon, noon, noon.Add(time.Minute)}, at)
	info, err := os.Stat(files[0])
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

func TestAChangedPlannerIsFound(t *testing.T) {
	in := wanted(2, noon)
	p := plan.Compute(in)
	rec := recorder.Record{Input: in, Plan: p}
	_, differs := recorder.Replay(rec)
	assert.False(t, differs)
	for name, change := range map[string]func(*plan.Plan){
		"an action less":      func(p *plan.Plan) { p.Actions = p.Actions[1:] },
		"another action":      func(p *plan.Plan) { p.Actions[0].Kind = core.StopReplica },
		"another grace":       func(p *plan.Plan) { p.Actions[0].Grace = time.Hour },
		"another rollout":     func(p *plan.Plan) { p.Rollout.Failed = "v1" },
		"an endpoint more":    func(p *plan.Plan) { p.Endpoints = append(p.Endpoints, core.Endpoint{ID: "x"}) },
		"completed or not":    func(p *plan.Plan) { p.Rollout.Complete = !p.Rollout.Complete },
		"another stable":      func(p *plan.Plan) { p.Rollout.Stable = "v0" },
		"another destination": func(p *plan.Plan) { p.Rollout.Revision = "v0" },
	} {
		changed := rec
		changed.Plan.Actions = slices.Clone(p.Actions)
		change(&changed.Plan)
		_, differs := recorder.Replay(changed)
		assert.True(t, differs, name)
	}
	reworded := rec
	reworded.Plan.Actions = slices.Clone(p.Actions)
	reworded.Plan.Actions[0].Cause = "in other words"
	_, differs = recorder.Replay(reworded)
	assert.False(t, differs, "words decide nothing")
}

func TestARecordingThatWasCutOffIsReadAsFarAsItGoes(t *testing.T) {
	var inputs []plan.Input
	for n := range 200 {
		inputs = append(inputs, wanted(n%7, noon.Add(time.Duration(n)*time.Second)))
	}
	files := recorded(t, t.TempDir(), inputs...)
	content, err := os.ReadFile(files[0])
	require.NoError(t, err)
	whole := read(t, content)
	require.Len(t, whole, 200)
	for size := 0; size < len(content); size += 97 {
		for i, rec := range read(t, content[:size]) {
			require.Equal(t, whole[i], rec)
		}
	}
	for _, err := range recorder.Read(bytes.NewReader([]byte("this is no recording"))) {
		require.ErrorContains(t, err, "no recording")
	}
}

func TestTheRecordingsAreBounded(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, recorder.Directory), 0o700))
	for n := range 20 {
		name := filepath.Join(dir, recorder.Directory, fmt.Sprintf("202501%02d.jsonl.gz", n))
		require.NoError(t, os.WriteFile(name, nil, 0o600))
		require.NoError(t, os.Truncate(name, 4<<20))
	}
	random := rand.NewChaCha8([32]byte{1})
	var inputs []plan.Input
	for n := range 150 {
		noise := make([]byte, 30_000) // which hardly compresses
		_, _ = random.Read(noise)
		in := wanted(n, noon)
		in.Replicas = []core.Replica{{Workload: "web", Number: 1, ID: "a", HealthOutput: hex.EncodeToString(noise)}}
		inputs = append(inputs, in)
	}
	files := recorded(t, dir, inputs...)
	var total int64
	for _, f := range files {
		info, err := os.Stat(f)
		require.NoError(t, err)
		assert.LessOrEqual(t, info.Size(), int64(4<<20+1<<17))
		total += info.Size()
	}
	assert.LessOrEqual(t, total, int64(64<<20))
	assert.Greater(t, total, int64(48<<20))
	assert.Contains(t, filepath.Base(files[0]), "202501", "the newest of the old ones stay")
	assert.NotContains(t, filepath.Base(files[0]), "20250100")
	n := 0
	for _, f := range files {
		if strings.Contains(f, "202501") {
			continue
		}
		content, err := os.ReadFile(f)
		require.NoError(t, err)
		n += len(read(t, content))
	}
	assert.Equal(t, 150, n, "a file that is full is followed by another one")
}

func TestManyStartsDoNotMakeFilesWithoutEnd(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, recorder.Directory), 0o700))
	for n := range 2000 {
		require.NoError(t, os.WriteFile(filepath.Join(dir, recorder.Directory, fmt.Sprintf("2025%04d.jsonl.gz", n)), nil, 0o600))
	}
	files := recorded(t, dir, wanted(1, noon))
	assert.Less(t, len(files), 1000)
	assert.Contains(t, files, filepath.Join(dir, recorder.Directory, "20251999.jsonl.gz"), "the newest stay")
}

func TestNothingWaitsForADiskThatDoesNotWrite(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, recorder.Directory), nil, 0o600)) // in the way
	files := recorded(t, dir, wanted(1, noon), wanted(2, noon))
	assert.Empty(t, files)
}

// Plans of large workloads may come faster than they can be written. The backlog is
// bounded by its size, and not only by its number of plans: these hold half a gigabyte.
func TestWhatWaitsToBeWrittenIsBounded(t *testing.T) {
	const plans, replicas = 1000, 1000
	r := recorder.Start(t.TempDir(), zap.NewNop())
	defer r.Close()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for n := range plans {
		in := wanted(n, noon)
		in.Replicas = make([]core.Replica, replicas)
		r.Record(in, plan.Plan{})
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	assert.Less(t, int64(after.HeapAlloc)-int64(before.HeapAlloc), int64(64<<20))
	assert.Positive(t, r.Dropped(), "it says that something is missing")
}

func BenchmarkRecord(b *testing.B) {
	in := wanted(30, noon)
	for n := range 30 {
		in.Replicas = append(in.Replicas, core.Replica{
			Workload: "web", Number: n + 1, Name: fmt.Sprint("shop-web-", n+1), ID: fmt.Sprintf("%064d", n), Revision: "v1", State: core.Running,
			Created: noon, StartedAt: noon, ReadySince: noon, Addresses: map[string]string{"shop_default": fmt.Sprint("172.18.0.", n)}, Image: "shop/web:1",
		})
	}
	p := plan.Compute(in)
	b.Run("plan", func(b *testing.B) {
		for b.Loop() {
			plan.Compute(in)
		}
	})
	for name, step := range map[string]time.Duration{"record the same": 0, "record another": 1} {
		b.Run(name, func(b *testing.B) {
			r := recorder.Start(b.TempDir(), zap.NewNop())
			for b.Loop() {
				in.Replicas = slices.Clone(in.Replicas)
				in.Replicas[0].ReadySince = in.Replicas[0].ReadySince.Add(step)
				r.Record(in, p)
			}
			dropped := r.Dropped()
			r.Close()
			b.ReportMetric(float64(dropped)/float64(b.N), "dropped/op")
		})
	}
}
