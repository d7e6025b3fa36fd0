package plan

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
)

var kinds = []spec.Kind{spec.Deployment, spec.Database, spec.Job}

// Whatever happens to a workload, each plan on the way is safe; and once
// nothing happens any more, what runs comes to be what is written, and then
// nothing more is done.
func TestChaos(t *testing.T) {
	for _, kind := range kinds {
		t.Run(string(kind), rapid.MakeCheck(func(t *rapid.T) {
			c := newChaos(t, kind)
			for range rapid.IntRange(0, 60).Draw(t, "steps") {
				c.step()
			}
			c.calm()
		}))
	}
}

// A rolling update in which nothing dies never has fewer ready replicas than it
// may, nor more containers, whatever the order in which actions end.
func TestRollingUpdateKeepsItsBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := &chaos{world: newWorld(), t: t, kind: spec.Deployment}
		s := anySpec(t, spec.Deployment, "old")
		s.Paused, s.ContainerName, s.Revision, s.ConfigHash, s.PreRollout = false, "", "v1", "hash-v1", nil
		if s.Strategy.Type == spec.Recreate {
			s.Strategy = defaults(spec.Deployment).Strategy
		}
		for n := 1; n <= s.Replicas; n++ {
			c.replicas = append(c.replicas, core.Replica{
				Workload: "web", Number: n, Name: fmt.Sprint("shop-web-", n), ID: fmt.Sprint("old", n), Revision: "v1", ConfigHash: "hash-v1", State: core.Running,
				Created: noon.Add(-time.Hour), StartedAt: noon.Add(-time.Hour), ReadySince: noon.Add(-time.Hour), WasReady: true,
				Addresses: map[string]string{"shop_backend": "10.0.0.1"},
			})
		}
		before := s.Replicas
		next := *s
		next.Revision, next.ConfigHash = "v2", "hash-v2"
		next.Replicas = rapid.IntRange(0, 6).Draw(t, "replicas")
		c.apply(&next)
		c.healthCheck = rapid.Bool().Draw(t, "health check")

		atLeast := min(next.Replicas-next.Strategy.MaxUnavailable, before)
		atMost := max(next.Replicas+next.Strategy.MaxSurge, before)
		for range 1000 {
			p := c.planAndBegin()
			require.LessOrEqual(t, c.count(IsRunning)+c.coming(), atMost, "too many containers")
			if c.status.Converged {
				return
			}
			c.endSomething(done)
			require.GreaterOrEqual(t, c.count(func(r core.Replica) bool { return IsReady(r, nil) }), atLeast, "too few ready replicas")
			c.heal(rapid.Bool())
			if len(c.underWay) == 0 && !p.Next.IsZero() && rapid.Bool().Draw(t, "wait") {
				c.now = p.Next
			}
		}
		require.Fail(t, "the rollout does not end", "%s", Compute(c.input()))
	})
}

// A workload of one replica, of any kind, never has two running containers that write
// to one volume, whatever happens, unless it is written so. An anonymous volume goes over
// to the next container of its number for as long as the workload is written, and no
// container of a number beyond those that were ever wanted begins with an empty one.
func TestAVolumeHasOneContainerAtATime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := &chaos{world: newWorld(), t: t, kind: rapid.SampledFrom(kinds).Draw(t, "kind")}
		c.healthCheck, c.remembers = c.bool("health check"), c.bool("history")
		c.mounts = map[string]string{"/cache": ""} // as an image's: only the engine knows of it
		named := c.bool("named volume")
		if named {
			c.mounts["/data"] = "data"
		}
		most := 0 // that was ever wanted
		next := func(label string) {
			if c.bool("another kind") {
				c.kind = rapid.SampledFrom(kinds).Draw(t, "kind")
			}
			s := anySpec(t, c.kind, label)
			s.Replicas, s.PreRollout = min(s.Replicas, 3), nil
			if named {
				s.Replicas = min(s.Replicas, 1)
			}
			most = max(most, s.Replicas)
			if named && s.Strategy.Type == spec.RollingUpdate {
				s.Strategy = s.Strategy.WithSurge(0) // as package spec makes of a volume that is written
			}
			c.apply(s)
		}
		next("spec")
		cache := map[int]string{}
		for range c.draw("steps", 20, 80) {
			switch c.draw("what", 0, 10) {
			case 10:
				c.rebuild()
			case 0, 1, 2:
				p := Compute(c.input())
				for _, a := range p.Actions {
					known := len(p.Rollout.Anonymous) > 0
					require.False(t, known && a.Kind == core.CreateReplica && a.Number > most, "%s begins with an empty volume", a.Object)
				}
				c.begin(p)
			case 3, 4, 5:
				c.endSomething(outcome(c.draw("outcome", int(done), int(halfway))))
			case 6:
				c.shift(time.Duration(c.draw("seconds", 0, 700)) * time.Second)
			case 7:
				next("next")
			case 8:
				c.heal(rapid.Bool())
			case 9:
				if r := c.some(IsRunning); r != nil {
					c.exit(r, c.draw("code", 0, 1))
				}
			}
			writer := map[string]string{}
			for _, r := range c.replicas {
				for _, m := range r.Mounts {
					if IsRunning(r) {
						require.Empty(t, writer[m.Source], "%s writes to %s too", r.Name, m.Source)
						writer[m.Source] = r.Name
					}
					if m.Anonymous && IsRunning(r) {
						before := cache[r.Number]
						require.True(t, before == "" || m.Source == before, "the anonymous volume of number %d was left behind", r.Number)
						cache[r.Number] = m.Source
					}
				}
			}
		}
	})
}

// Where everything fails, and every process dies at once, nothing is tried more
// often than the back-off allows.
func TestNothingIsHammered(t *testing.T) {
	for _, kind := range kinds {
		t.Run(string(kind), rapid.MakeCheck(func(t *rapid.T) {
			c := newChaos(t, kind)
			c.missing, c.dependencies, c.dependents = nil, nil, nil
			how := rapid.SampledFrom([]outcome{failed, halfway, done}).Draw(t, "how actions end")
			tried := map[string]int{}
			// The first hour: 1 s doubling to 300 s comes to 21 tries, of each of
			// the four kinds of actions on one object.
			for c.now.Before(noon.Add(time.Hour)) {
				p := c.planAndBegin()
				for _, a := range p.Actions {
					object := fmt.Sprint(a.Kind, a.ID, a.Number)
					tried[object]++
					require.LessOrEqual(t, tried[object], 25, "%s is tried too often", a)
				}
				for len(c.underWay) > 0 {
					c.end(0, how, "it fails")
				}
				for i := range c.replicas {
					if kind != spec.Job { // a Job's process may well end
						c.exit(&c.replicas[i], 1)
					}
				}
				if len(p.Actions) == 0 {
					if p.Next.IsZero() {
						return
					}
					c.now = p.Next
				}
			}
		}))
	}
}

// Any input has a plan, also one that makes no sense.
func TestComputeIsTotal(t *testing.T) {
	Compute(Input{})
	for _, kind := range kinds {
		Compute(Input{Spec: &spec.Workload{Kind: kind}})
		Compute(Input{Spec: &spec.Workload{Kind: kind}, Replicas: []core.Replica{{}, {Number: 1}, {Number: -1}}, Dependencies: []Dependency{{}}})
	}
	ComputeProject(ProjectInput{Resources: []core.Resource{{}, {Known: true}}})
	ActionFailed(Input{}, core.Action{}, "")
	ActionFailed(Input{}, core.Action{Kind: core.CreateReplica, Number: 1}, "")
	replica := rapid.MakeCustom[core.Replica](nonsense)
	workload := rapid.MakeCustom[spec.Workload](nonsense)
	rollout := rapid.MakeCustom[core.Rollout](nonsense)
	status := rapid.MakeCustom[core.Status](nonsense)
	dependency := rapid.MakeCustom[Dependency](nonsense)
	rapid.Check(t, func(t *rapid.T) {
		in := Input{
			Now: noon, Workload: "web", Replicas: rapid.SliceOfN(replica, 0, 6).Draw(t, "replicas"),
			Rollout: rollout.Draw(t, "rollout"), Status: status.Draw(t, "status"),
			Dependencies: rapid.SliceOfNDistinct(dependency, 0, 2, func(d Dependency) string { return d.Name }).Draw(t, "dependencies"),
		}
		if rapid.Bool().Draw(t, "wanted") {
			s := workload.Draw(t, "spec")
			in.Spec = &s
		}
		checkPure(t, in)
	})
}

// nonsense draws values that are possible for the type and hardly for a world.
var nonsense = rapid.MakeConfig{Types: map[reflect.Type]*rapid.Generator[any]{
	reflect.TypeFor[int]():                 rapid.IntRange(0, 6).AsAny(),
	reflect.TypeFor[string]():              rapid.SampledFrom([]string{"", "a", "b"}).AsAny(),
	reflect.TypeFor[types.ServiceConfig](): rapid.Just(types.ServiceConfig{}).AsAny(),
	reflect.TypeFor[*types.BuildConfig]():  rapid.Just((*types.BuildConfig)(nil)).AsAny(),
	reflect.TypeFor[time.Duration]():       rapid.SampledFrom([]time.Duration{0, 1, time.Minute, 1<<63 - 1}).AsAny(),
	reflect.TypeFor[time.Time]():           rapid.SampledFrom([]time.Time{{}, noon.Add(-time.Minute), noon, noon.Add(time.Minute)}).AsAny(),
	reflect.TypeFor[spec.Kind]():           rapid.SampledFrom(kinds).AsAny(),
	reflect.TypeFor[spec.StrategyType]():   rapid.SampledFrom([]spec.StrategyType{spec.RollingUpdate, spec.Recreate}).AsAny(),
	reflect.TypeFor[core.State]():          rapid.SampledFrom([]core.State{core.Created, core.Running, core.Paused, core.Restarting, core.Removing, core.Exited, core.Dead}).AsAny(),
	reflect.TypeFor[core.Health]():         rapid.SampledFrom([]core.Health{core.NoHealthCheck, core.Starting, core.Healthy, core.Unhealthy}).AsAny(),
	reflect.TypeFor[core.ActionKind]():     rapid.SampledFrom([]core.ActionKind{"", core.CreateReplica, core.StartReplica, core.StopReplica, core.RemoveReplica, core.UpdateReplica}).AsAny(),
}}

// A failure is remembered without touching the record it is added to.
func TestActionFailedKeepsItsInput(t *testing.T) {
	r := core.Rollout{Attempts: map[int]core.Attempt{1: {Count: 1}}, Tries: map[string]core.Try{"id1": {State: core.Running, Count: 1}}}
	before := cloneRollout(r)
	create := ActionFailed(Input{Rollout: r}, core.Action{Kind: core.CreateReplica, Number: 1}, "no space")
	stop := ActionFailed(Input{Rollout: r}, core.Action{Kind: core.StopReplica, ID: "id1"}, "busy")
	assert.Equal(t, before, r)
	assert.Equal(t, core.Attempt{Count: 1, Unstarted: 1, Error: "no space"}, create.Attempts[1])
	assert.Equal(t, core.Try{State: core.Running, Count: 1, Error: "busy"}, stop.Tries["id1"])
}

// A condition remembers since when it is as it is, whatever its reason.
func TestConditionsKeepTheirSince(t *testing.T) {
	w := newWorld()
	w.apply(defaults(spec.Deployment))
	since := func() time.Time {
		p := Compute(w.input())
		w.begin(p)
		return p.Status.Condition(core.Available).Since
	}
	assert.Equal(t, noon, since())
	w.shift(time.Minute)
	assert.Equal(t, noon, since(), "still unavailable")
	w.endAll()
	assert.Equal(t, noon.Add(time.Minute), since(), "available from now on")
}

// No delay is longer than the longest, and none is negative, however long the
// first one is.
func TestDelayIsBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := spec.Restart{Delay: time.Duration(rapid.Int64Min(0).Draw(t, "delay"))}
		r.MaxDelay = max(r.Delay, time.Duration(rapid.Int64Min(0).Draw(t, "max")))
		n := rapid.IntRange(0, 1000).Draw(t, "n")
		d := delay(r, n)
		assert.LessOrEqual(t, d, r.MaxDelay)
		assert.LessOrEqual(t, d, delay(r, n+1))
		assert.GreaterOrEqual(t, d, time.Duration(0))
	})
}

const hookTimeout = 20 * time.Second

func anySpec(t *rapid.T, kind spec.Kind, label string) *spec.Workload {
	draw := func(name string, from, to int) int { return rapid.IntRange(from, to).Draw(t, label+" "+name) }
	s := defaults(kind)
	s.Revision = fmt.Sprint("v", draw("revision", 1, 3))
	s.ConfigHash = "hash-" + s.Revision
	s.Paused = draw("paused", 0, 5) == 5
	s.OnFailure = rapid.SampledFrom([]spec.OnFailure{spec.Rollback, spec.Pause}).Draw(t, label+" on failure")
	switch kind {
	case spec.Database:
	case spec.Job:
		s.Replicas = draw("replicas", 0, 3)
		s.BackoffLimit = draw("backoff limit", 0, 3)
		s.ActiveDeadline = time.Duration(draw("active deadline", 0, 2)) * time.Minute
	default:
		s.Replicas = draw("replicas", 0, 6)
		s.MinReady = time.Duration(draw("min ready", 0, 3)) * time.Second
		s.Drain = time.Duration(draw("drain", 0, 1)) * 5 * time.Second
		s.Ports, s.NetworkKeys = []int{80}, map[string]string{"shop_backend": "backend"}
		for i := range draw("hooks", 0, 2) {
			s.PreRollout = append(s.PreRollout, spec.Hook{Name: fmt.Sprint("hook", i), Timeout: hookTimeout})
		}
		s.Restart.Condition = rapid.SampledFrom([]spec.RestartCondition{spec.RestartAny, spec.RestartAny, spec.RestartOnFailure}).Draw(t, label+" restart")
		s.RestartPolicy = rapid.SampledFrom([]string{"no", "always"}).Draw(t, label+" policy")
		if draw("strategy", 0, 3) == 3 {
			s.Strategy = spec.Strategy{Type: spec.Recreate}
			break
		}
		s.Strategy.MaxSurge = draw("surge", 0, 3)
		s.Strategy.MaxUnavailable = draw("unavailable", 0, 3)
		if s.Strategy.MaxSurge == 0 && s.Strategy.MaxUnavailable == 0 {
			s.Strategy.MaxUnavailable = 1
		}
		if s.Replicas == 1 && draw("container name", 0, 4) == 4 {
			s.ContainerName, s.Room, s.Strategy.MaxSurge, s.Strategy.MaxUnavailable = "web", 1, 0, 1
		}
	}
	return s
}

// checkPure computes a plan, and checks what holds for every plan.
func checkPure(t *rapid.T, in Input) Plan {
	before, shuffled := copyInput(in), copyInput(in)
	p := Compute(in)
	require.Equal(t, before, in, "the plan changed its input")
	checkStages(t, in)

	if distinct(in.Replicas) {
		for i, j := range rapid.Permutation(indices(in.Replicas)).Draw(t, "order") {
			shuffled.Replicas[i] = in.Replicas[j]
		}
	}
	slices.Reverse(shuffled.Dependencies)
	require.Equal(t, p, Compute(shuffled), "the plan depends on the order of its input, or on chance")

	require.True(t, p.Next.IsZero() || p.Next.After(in.Now), "next is not in the future: %s", p.Next)
	require.Equal(t, in.Generation, p.Status.ObservedGeneration)
	return p
}

// checkStages checks that no stage changes what an earlier one has made.
func checkStages(t *rapid.T, in Input) {
	viewed := func() view { return classify(in) }
	chosen := func() target { return chooseTarget(viewed()) }
	decided := func() steps { return nextSteps(chosen()) }
	v, c, s := viewed(), chosen(), decided()
	chooseTarget(v)
	require.Equal(t, viewed(), v, "chooseTarget changed the view")
	nextSteps(c)
	require.Equal(t, chosen(), c, "nextSteps changed the target")
	report(s)
	require.Equal(t, decided(), s, "report changed the steps")
}

func indices[T any](s []T) []int {
	all := make([]int, len(s))
	for i := range s {
		all[i] = i
	}
	return all
}

// distinct reports whether all replicas can be told apart, as real ones can.
func distinct(replicas []core.Replica) bool {
	seen := map[string]bool{}
	for _, r := range replicas {
		key := fmt.Sprint(r.Number, r.Name, r.ID)
		if seen[key] {
			return false
		}
		seen[key] = true
	}
	return true
}

func copyInput(in Input) Input {
	in.Rollout, in.Status = cloneRollout(in.Rollout), cloneStatus(in.Status)
	if in.Spec != nil {
		s := *in.Spec
		s.Networks = slices.Clone(s.Networks)
		in.Spec = &s
	}
	in.Replicas = slices.Clone(in.Replicas)
	in.Dependencies, in.Missing, in.Dependents = slices.Clone(in.Dependencies), slices.Clone(in.Missing), slices.Clone(in.Dependents)
	in.HookRuns, in.Acknowledged, in.History = slices.Clone(in.HookRuns), maps.Clone(in.Acknowledged), maps.Clone(in.History)
	return in
}
