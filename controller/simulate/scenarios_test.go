package simulate

import (
	"flag"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/spec"
)

// scenario is a change of the project in a world without chance: nothing goes wrong but
// the faults that a test puts in its way.
type scenario struct {
	name          string
	before, after func(*pool) map[string]variant
	// rebuilt is an image that is built anew under its name with the change.
	rebuilt string
	// published is true where ingresses hold the ports.
	published bool
	// back is true where the change does not work, and is to be taken back.
	back bool
}

// plainly is a workload that works.
func plainly(p *pool, name, image string, replicas int) variant {
	w := *withImage(p.base.Workloads[name], image, "migrate")
	w.Replicas = replicas
	w.PreRollout, w.Probes = nil, spec.Probes{}
	w.DependsOn = nil
	revise(&w, "migrate")
	return variant{Workload: &w, good: true, ports: portsOf(p.base, name)}
}

func only(name, image string, replicas int) func(*pool) map[string]variant {
	return func(p *pool) map[string]variant { return map[string]variant{name: plainly(p, name, image, replicas)} }
}

// joinedBy is a workload of an image, and one of another image in its network.
func joinedBy(image, joining string) func(*pool) map[string]variant {
	return func(p *pool) map[string]variant {
		return map[string]variant{"web": plainly(p, "web", image, 1), joiner: behind(p, "web", joining)}
	}
}

// basic are the scenarios that every crash point is tried in.
var basic = []scenario{
	{name: "create", before: func(*pool) map[string]variant { return map[string]variant{} }, after: only("web", "good", 3)},
	{name: "scale up", before: only("web", "good", 1), after: only("web", "good", 3)},
	{name: "scale down", before: only("web", "good", 3), after: only("web", "good", 1)},
	{name: "rolling update", before: only("web", "good", 2), after: only("web", "good2", 2)},
	{name: "database update", before: only("db", "pg15", 1), after: only("db", "pg15b", 1)},
	{name: "hook", before: only("api", "good", 1), after: func(p *pool) map[string]variant {
		v := plainly(p, "api", "good2", 1)
		v.PreRollout = p.base.Workloads["api"].PreRollout
		return map[string]variant{"api": v}
	}},
	{name: "image built anew", before: only("web", "good", 2), after: only("web", "good", 2), rebuilt: "good"},
	{name: "database image built anew", before: only("db", "pg15", 1), after: only("db", "pg15", 1), rebuilt: "pg15"},
	{name: "rolling update behind an ingress", before: only("gw", "good", 2), after: only("gw", "good2", 2), published: true},
	{name: "update of what is joined", before: joinedBy("good", "good"), after: joinedBy("good2", "good")},
	{name: "rollback", before: only("web", "good", 2), after: only("web", "sick", 2), back: true},
}

// intervention is what befalls the n-th call after the change.
type intervention struct {
	call  int
	fault string
}

func (i intervention) String() string { return fmt.Sprintf("%s at call %d", i.fault, i.call) }

// play runs a scenario with interventions. It returns the calls after the
// change, each with what can befall it.
func (s scenario) play(t *testing.T, told bool, interventions ...intervention) (o outcome, calls [][]string) {
	o = live(t, play(nil), told, func(w *world) {
		w.moods = moods{crash: 100, disk: true, away: true}
		w.gateway.active = true
		if s.published {
			w.publish()
		}
		w.furnishResources()
		w.written = s.before(w.pool)
		w.start()
		w.settle()
		w.intervene = func(c *call) bool {
			n := len(calls)
			calls = append(calls, possible(c, w.moods))
			for _, i := range interventions {
				// After another intervention the n-th call may be one that this cannot befall.
				at := slices.IndexFunc(faults, func(f fault) bool { return f.name == i.fault && f.of(c, w.moods) })
				if i.call == n && at >= 0 {
					w.tell("%s: %s", w.name(c), i.fault)
					return faults[at].do(w, c)
				}
			}
			return false
		}
		if s.back {
			w.back = w.written
		}
		if s.rebuilt != "" {
			w.tell("%s is built anew", s.rebuilt)
			w.addImage(s.rebuilt, images[s.rebuilt])
			w.checks.touch()
		}
		w.put(s.after(w.pool))
		w.settle()
	})
	return o, calls
}

// possible returns the general faults that make a difference to a call. Where a call has
// no effect, a lost reply is the same as an error, and a hang is the same, only later.
func possible(c *call, m moods) []string {
	var all []string
	for _, f := range faults {
		effect := f.name == "reply lost" || f.name == "crash after"
		if len(f.ops) == 0 && f.of(c, m) && (c.op.Write() || !effect) && f.name != "hang" {
			all = append(all, f.name)
		}
	}
	return all
}

// each runs f for all of a number of cases, on all cores.
func each(t *testing.T, n int, f func(t *testing.T, i int)) {
	var next atomic.Int64
	t.Run("all", func(t *testing.T) {
		for range runtime.GOMAXPROCS(0) {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				for i := int(next.Add(1)) - 1; i < n && !t.Failed(); i = int(next.Add(1)) - 1 {
					f(t, i)
				}
			})
		}
	})
}

// interventions are those of some faults that can befall the calls of a history
// from the n-th on.
func interventions(calls [][]string, from int, wanted func(possible []string, fault string) bool) (all []intervention) {
	for n := from; n < len(calls); n++ {
		for _, fault := range calls[n] {
			if wanted(calls[n], fault) {
				all = append(all, intervention{n, fault})
			}
		}
	}
	return all
}

// pairs runs a scenario with each of some interventions, and with one in so many pairs of
// some: of the calls that come after the first one.
func (s scenario) pairs(t *testing.T, in int, one, two func(possible []string, fault string) bool) {
	o, calls := s.play(t, true)
	require.Empty(t, o.failed, "%s", o.story)
	firsts := interventions(calls, 0, one)
	if testing.Short() {
		firsts = firsts[:3]
	}
	var histories atomic.Int64
	each(t, len(firsts), func(t *testing.T, i int) {
		first := firsts[i]
		calls := s.survive(t, first)
		histories.Add(1)
		if !two(calls[first.call], first.fault) {
			return
		}
		seconds := interventions(calls, first.call+1, two)
		if testing.Short() {
			seconds = seconds[:3]
		}
		for k, second := range seconds {
			if (i+k)%in != 0 {
				continue
			}
			s.survive(t, first, second)
			histories.Add(1)
		}
	})
	t.Logf("%d calls, %d interventions, %d histories", len(calls), len(firsts), histories.Load())
}

func (s scenario) survive(t *testing.T, interventions ...intervention) [][]string {
	o, calls := s.play(t, false, interventions...)
	if o.failed != "" {
		o, _ := s.play(t, true, interventions...)
		t.Errorf("%s, %v: %s\n%s", s.name, interventions, o.failed, excerpt(o.story))
	}
	return calls
}

// The controller is killed before and after each call of the basic scenarios, to
// the engine and to the disk, once, and again at each later one that changes
// something.
func TestCrashPoints(t *testing.T) {
	crash := func(_ []string, fault string) bool { return fault == "crash before" || fault == "crash after" }
	changes := func(possible []string, fault string) bool {
		return crash(possible, fault) && slices.Contains(possible, "crash after")
	}
	for _, s := range basic {
		t.Run(s.name, func(t *testing.T) { s.pairs(t, 1, crash, changes) })
	}
}

var oneInFlag = flag.Int("one-in", 4, "in TestSmallScope, one in so many pairs of faults is run; all with 1")

// Two workloads of three replicas in all are rolled out, and every two faults befall every
// two calls; one in four of the pairs, unless -one-in says otherwise.
func TestSmallScope(t *testing.T) {
	s := scenario{
		name: "two workloads",
		before: func(p *pool) map[string]variant {
			return map[string]variant{"web": plainly(p, "web", "good", 1), "gw": plainly(p, "gw", "good", 1)}
		},
		after: func(p *pool) map[string]variant {
			return map[string]variant{"web": plainly(p, "web", "good", 2), "gw": plainly(p, "gw", "good2", 1)}
		},
	}
	every := func([]string, string) bool { return true }
	s.pairs(t, *oneInFlag, every, every)
}
