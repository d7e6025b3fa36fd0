package swarm

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/observe"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/spec/load"
	"github.com/tendhq/tend/controller/swarm/convert"
	"github.com/tendhq/tend/controller/swarm/manager/model"
	"github.com/tendhq/tend/state"
)

// BenchmarkOneChange measures what one more revision of one service costs among others that
// are at rest: the requests and the time of a look, the time of the plan, how many workloads
// are planned for it, and the memory of tend.
func BenchmarkOneChange(b *testing.B) {
	for _, n := range []int{100, 1000, 5000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) { oneChange(b, n) })
	}
}

func oneChange(b *testing.B, n int) {
	dir, ctx := b.TempDir(), context.Background()
	var compose strings.Builder
	compose.WriteString("services:\n")
	for i := range n {
		fmt.Fprintf(&compose, "  web%d: {image: \"web:1\"}\n", i)
	}
	require.NoError(b, os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(compose.String()), 0o600))
	before, err := load.Project(ctx, load.Options{ProjectDirectory: dir, Name: "shop", IngressImage: "tend/ingress", Adapt: convert.Adapt})
	require.NoError(b, err)
	after, changed := *before, *before.Workloads["web0"]
	changed.Image, changed.Revision = "web:2", strings.Repeat("2", len(changed.Revision))
	changed.Template.Image = changed.Image
	after.Workloads = maps.Clone(before.Workloads)
	after.Workloads["web0"] = &changed

	m := model.New()
	m.AddImage("web:1", model.Behavior{})
	plans := 0
	c := New(Options{
		Manager: m, Project: "shop", Folders: observe.Folders{Project: dir}, Log: zap.NewNop(),
		OnEvent: func(*state.Event) {}, OnStatus: func(core.Status) { plans++ },
	})
	l := c.newLoop()
	l.setProject(before)
	for acted := true; acted || !l.rests(); time.Sleep(10 * time.Millisecond) {
		acted = l.round(ctx)
	}
	m.ForgetCalls()
	began := time.Now()
	l.round(ctx)
	looked, calls := time.Since(began), len(m.Calls())
	plans = 0
	var planned time.Duration
	changes := 0
	for b.Loop() {
		for _, p := range []*spec.Project{&after, before} {
			l.setProject(p)
			began := time.Now()
			l.planAll(began)
			planned += time.Since(began)
			changes++
		}
	}
	b.ReportMetric(0, "ns/op") // it has what is written put in force, too
	b.ReportMetric(float64(planned.Microseconds())/float64(changes), "µs/change")
	b.ReportMetric(float64(plans)/float64(changes), "plans/change")
	b.ReportMetric(float64(looked.Milliseconds()), "ms/look")
	b.ReportMetric(float64(calls)*float64(time.Minute/resting), "requests/min")
	all := heap()
	runtime.KeepAlive(l)
	c, l = nil, nil
	b.ReportMetric(float64(all-heap())/(1<<20), "MB")
	runtime.KeepAlive(m)
	runtime.KeepAlive(before)
	require.NoError(b, m.Close())
}

// heap is how much memory is in use.
func heap() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}
