package plan

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
)

// A revision that does nothing wrong is rolled back only where Kubernetes' deployment
// controller would have called its deadline exceeded, whatever is written and however
// long its replicas take to become ready.
func TestAGoodRevisionIsNotRolledBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string, from, to int) int { return rapid.IntRange(from, to).Draw(t, name) }
		seconds := func(name string, from, to int) time.Duration {
			return time.Duration(draw(name, from, to)) * time.Second
		}
		s := defaults(spec.Deployment)
		s.Replicas = draw("replicas", 1, 5)
		s.Strategy.MaxSurge, s.Strategy.MaxUnavailable = draw("surge", 0, 3), draw("unavailable", 0, 3)
		if s.Strategy.MaxSurge+s.Strategy.MaxUnavailable == 0 {
			s.Strategy.MaxUnavailable = 1
		}
		if draw("strategy", 0, 5) == 0 {
			s.Strategy = spec.Strategy{Type: spec.Recreate}
		}
		s.MinReady = seconds("min ready", 0, 300)
		s.ProgressDeadline = s.MinReady + seconds("deadline beyond that", 1, 300)
		s.Restart.Delay = seconds("restart delay", 0, 900)
		s.Restart.MaxDelay = max(s.Restart.MaxDelay, s.Restart.Delay)
		s.Drain = seconds("drain", 0, 60)
		s.Ports, s.NetworkKeys = []int{80}, map[string]string{"shop_backend": "backend"}

		w := newWorld()
		w.remembers, w.healthCheck = true, true
		w.apply(s)
		for n := 1; n <= s.Replicas; n++ {
			w.replicas = append(w.replicas, served(n))
		}
		w.begin(Compute(w.input()))
		next := *s
		next.Revision, next.ConfigHash = "v2", "hash-v2"
		next.Replicas = draw("replicas then", 1, 5)
		w.apply(&next)

		var kubernetes progressOfKubernetes
		ends, readyAt := map[string]time.Time{}, map[string]time.Time{}
		for range 10_000 {
			p := Compute(w.input())
			w.begin(p)
			if p.Rollout.Failed == "" {
				kubernetes.observe(w.now, p.Status, w.old(IsRunning) > p.Status.Replicas-p.Status.Updated)
			}
			switch timedOut := !w.now.Before(kubernetes.at.Add(next.ProgressDeadline)); {
			case p.Rollout.Failed != "":
				require.True(t, timedOut, "rolled back: %s", p.Rollout.Failure)
				return
			case timedOut:
				return
			case p.Status.Converged:
				require.Equal(t, "v2", p.Rollout.Stable)
				return
			}
			for _, a := range p.Actions {
				ends[a.ID+string(a.Kind)+fmt.Sprint(a.Number)] = w.now.Add(seconds("action", 0, 20))
			}
			at := p.Next
			soonest := func(t time.Time) {
				if at.IsZero() || t.Before(at) {
					at = t
				}
			}
			for _, t := range ends {
				soonest(t)
			}
			for _, t := range readyAt {
				soonest(t)
			}
			require.False(t, at.IsZero(), "nothing is to come: %s", p)
			w.now = at
			for i := len(w.underWay) - 1; i >= 0; i-- {
				a := w.underWay[i]
				if key := a.ID + string(a.Kind) + fmt.Sprint(a.Number); !ends[key].After(w.now) {
					delete(ends, key)
					w.end(i, done, "")
				}
			}
			for i := range w.replicas {
				r := &w.replicas[i]
				if at, known := readyAt[r.ID]; !known && r.Health == core.Starting {
					readyAt[r.ID] = w.now.Add(seconds("until ready", 0, 500))
				} else if known && !at.After(w.now) {
					w.report(r, core.Healthy)
				}
			}
			maps.DeleteFunc(readyAt, func(_ string, at time.Time) bool { return !at.After(w.now) })
		}
		require.Fail(t, "the rollout does not end", "%s", Compute(w.input()))
	})
}

// A rollout ends with as many replicas as are wanted, also where those of the revision
// before are lost on the way and cannot be made any more.
func TestARolloutEndsWithoutTheRevisionBefore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := defaults(spec.Deployment)
		s.Replicas = rapid.IntRange(1, 6).Draw(t, "replicas")
		s.Strategy.MaxSurge, s.Strategy.MaxUnavailable = rapid.IntRange(0, 3).Draw(t, "surge"), rapid.IntRange(0, 3).Draw(t, "unavailable")
		if s.Strategy.MaxSurge+s.Strategy.MaxUnavailable == 0 {
			s.Strategy.MaxSurge = 1
		}
		w := newWorld()
		w.remembers = true
		w.apply(s)
		for n := 1; n <= s.Replicas; n++ {
			w.replicas = append(w.replicas, served(n))
		}
		w.begin(Compute(w.input()))
		next := *s
		next.Revision, next.ConfigHash, next.Replicas = "v2", "hash-v2", rapid.IntRange(1, 6).Draw(t, "replicas then")
		w.apply(&next)
		for range 200 {
			if rapid.IntRange(0, 3).Draw(t, "lose one") == 0 {
				if i := slices.IndexFunc(w.replicas, func(r core.Replica) bool { return r.Revision == "v1" }); i >= 0 {
					w.replicas = slices.Delete(w.replicas, i, i+1)
				}
			}
			p := Compute(w.input())
			w.begin(p)
			if p.Status.Converged {
				require.Equal(t, next.Replicas, p.Status.Updated)
				return
			}
			for len(w.underWay) > 0 {
				how := done
				if a := w.underWay[0]; a.Kind == core.CreateReplica && a.Revision == "v1" {
					how = failed
				}
				w.end(0, how, "no such image")
			}
			if len(p.Actions) == 0 {
				require.False(t, p.Next.IsZero(), "nothing is to come: %s", p)
				w.now = p.Next
			}
		}
		require.Fail(t, "the rollout does not end", "%s", Compute(w.input()))
	})
}

// A workload that grows in the middle of a rollout has as many containers at once as its
// strategy allows for, and no more of the new revision than Kubernetes would have.
func TestGrowthIsNotTheNewRevisions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string, from, to int) int { return rapid.IntRange(from, to).Draw(t, name) }
		s := defaults(spec.Deployment)
		s.Replicas = draw("replicas", 2, 10)
		s.Strategy.MaxSurge, s.Strategy.MaxUnavailable = draw("surge", 1, 3), draw("unavailable", 0, 3)
		w := newWorld()
		w.remembers = true
		w.apply(s)
		exist := draw("exist", max(2, s.Replicas-s.Strategy.MaxUnavailable), s.Replicas+s.Strategy.MaxSurge)
		updated := draw("updated", 1, min(exist-1, s.Replicas))
		for n := 1; n <= exist; n++ {
			w.replicas = append(w.replicas, served(n))
		}
		w.begin(Compute(w.input()))
		next := *s
		next.Revision, next.ConfigHash = "v2", "hash-v2"
		w.rollout = core.Rollout{Workload: "web", Revision: "v2", Stable: "v1"}
		w.status.Desired, w.underWay = s.Replicas, nil
		for i := range updated {
			w.replicas[i].Revision, w.replicas[i].ConfigHash = "v2", "hash-v2"
		}
		next.Replicas = draw("replicas then", exist+s.Strategy.MaxUnavailable+1, 40)
		w.apply(&next)
		made := map[string]int{}
		for _, a := range Compute(w.input()).Actions {
			require.Equal(t, core.CreateReplica, a.Kind)
			made[a.Revision]++
		}
		limit := next.Replicas + s.Strategy.MaxSurge
		require.Equal(t, limit-exist, made["v1"]+made["v2"])
		// scale in pkg/controller/deployment/sync.go: each its share, rounded, and what
		// is left over to the larger one, of equals the newer.
		share := func(size int) int {
			return int(math.Round(float64(size) * float64(limit) / float64(s.Replicas+s.Strategy.MaxSurge)))
		}
		kubernetes := share(updated)
		if updated >= exist-updated {
			kubernetes += max(0, limit-share(updated)-share(exist-updated))
		}
		require.LessOrEqual(t, updated+made["v2"], kubernetes, "more of the new revision than in Kubernetes")
	})
}

// A rollout that is as old as its deadline is not given up once fewer replicas are written
// than are available: there are only too many of them.
func TestARolloutWithMoreThanIsWantedIsNotGivenUp(t *testing.T) {
	for _, wanted := range []int{0, 1, 2} {
		s := defaults(spec.Deployment)
		s.Replicas, s.ProgressDeadline = 4, time.Minute
		w := newWorld()
		w.remembers = true
		w.apply(s)
		for n := 1; n <= 4; n++ {
			w.replicas = append(w.replicas, served(n))
		}
		w.begin(Compute(w.input()))
		w.underWay = nil
		next := *s
		next.Revision, next.ConfigHash = "v2", "hash-v2"
		w.replicas = w.replicas[:2]
		for i := range w.replicas {
			w.replicas[i].Revision, w.replicas[i].ConfigHash = "v2", "hash-v2"
		}
		long := noon.Add(-time.Hour)
		w.rollout = core.Rollout{
			Workload: "web", Revision: "v2", Stable: "v1", StartedAt: long, ProgressAt: long,
			Updated: 2, UpdatedReady: 2, UpdatedAvailable: 2, Ready: 2, Available: 2,
		}
		w.apply(&next)
		require.NotEmpty(t, Compute(w.input()).Rollout.Failed, "two of four are available for an hour")
		next.Replicas = wanted
		w.apply(&next)
		require.Empty(t, Compute(w.input()).Rollout.Failed, "%d are wanted, and two available", wanted)
	}
}

// served is a replica of the first revision that has served for an hour.
func served(n int) core.Replica {
	return core.Replica{
		Workload: "web", Number: n, Name: fmt.Sprint("shop-web-", n), ID: fmt.Sprint("old", n), Revision: "v1", ConfigHash: "hash-v1",
		State: core.Running, Health: core.Healthy, Created: noon.Add(-time.Hour), StartedAt: noon.Add(-time.Hour), ReadySince: noon.Add(-time.Hour), WasReady: true,
		RestartPolicy: "no", Addresses: map[string]string{"shop_backend": "10.0.0.1"},
	}
}

// old counts replicas of the revision before.
func (w *world) old(match func(core.Replica) bool) int {
	n := 0
	for _, r := range w.replicas {
		if r.Revision == "v1" && match(r) {
			n++
		}
	}
	return n
}

// progressOfKubernetes is when a rollout last came forward by the rules of Kubernetes:
// DeploymentProgressing and DeploymentTimedOut of pkg/controller/deployment/util. A
// rollout of Kubernetes does not wait for old replicas to end, so that the time in which
// one of tend's waits for them does not count here.
type progressOfKubernetes struct {
	at     time.Time
	status core.Status
	ending bool
}

func (k *progressOfKubernetes) observe(now time.Time, s core.Status, ending bool) {
	complete := s.Updated == s.Desired && s.Replicas == s.Desired && s.Available == s.Desired
	old := func(s core.Status) int { return s.Replicas - s.Updated }
	forward := s.Updated > k.status.Updated || old(s) < old(k.status) || s.Ready > k.status.Ready || s.Available > k.status.Available
	if k.at.IsZero() || forward || k.ending || complete {
		k.at = now
	}
	k.status, k.ending = s, ending
}
