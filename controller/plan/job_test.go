package plan

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
)

// However its replicas end, a Job is tried again as often as its back-off limit allows, of
// all replicas together; once it is given up nothing of it runs, and the reason stands.
func TestAJobFailsOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string, from, to int) int { return rapid.IntRange(from, to).Draw(t, name) }
		s := defaults(spec.Job)
		s.Replicas, s.BackoffLimit = draw("replicas", 1, 4), draw("backoff limit", 0, 4)
		s.ActiveDeadline = time.Duration(draw("active deadline", 0, 2)) * time.Minute
		w := newWorld()
		w.apply(s)
		starts, active := 0, time.Duration(0)
		var failure core.Failure
		for range 120 {
			p := Compute(w.input())
			w.begin(p)
			for _, a := range p.Actions {
				if isStart(a.Kind) {
					require.Empty(t, failure, "%s of a Job that was given up", a)
					require.False(t, w.spec.Paused, "%s of a Job that is paused", a)
					starts++
				}
			}
			require.LessOrEqual(t, starts, s.Replicas+s.BackoffLimit, "tried too often")
			w.endAll()
			if failure != (core.Failure{}) {
				require.Equal(t, failure, p.Rollout.GivenUp, "another reason")
				for _, r := range w.replicas {
					require.False(t, IsRunning(r), "%s runs on", r.Name)
				}
			}
			if failure = p.Rollout.GivenUp; failure.Reason == "DeadlineExceeded" {
				require.GreaterOrEqual(t, active, s.ActiveDeadline, "the time in which it was paused counts")
			}
			if len(p.Actions) > 0 {
				continue
			}
			switch draw("what", 0, 5) {
			case 0:
				next := *w.spec
				next.Paused = !next.Paused
				w.apply(&next)
			case 1, 2:
				if len(w.replicas) > 0 {
					w.exit(&w.replicas[draw("which", 0, len(w.replicas)-1)], draw("code", 0, 1))
				}
			default:
				d := time.Duration(draw("seconds", 1, 60)) * time.Second
				if w.now = w.now.Add(d); !w.spec.Paused {
					active += d
				}
			}
		}
	})
}

// Of several runs that have failed, the last one is told of.
func TestTheLastFailureOfAJobIsTold(t *testing.T) {
	failed := func(name string, second, code int) replica {
		return replica{Replica: core.Replica{Name: name, State: core.Exited, ExitCode: code, FinishedAt: noon.Add(time.Duration(second) * time.Second)}, class: exited}
	}
	require.Equal(t, "b exited with code 2", lastOf([]replica{failed("a", 1, 1), failed("b", 3, 2), failed("c", 2, 3)}))
	require.Equal(t, "a exited with code 1", lastOf([]replica{failed("a", 3, 1), failed("b", 3, 2)}))
	require.Equal(t, "what it ran was removed", lastOf(nil))
}

// A tend that has lost its state, and removes what a run has left, remembers that it ran: the
// Job is tried no more often than one whose containers are all there.
func TestARunWhoseContainerIsRemovedCountsAfterTheStateWasLost(t *testing.T) {
	s := defaults(spec.Job)
	s.Replicas, s.BackoffLimit = 1, 1
	w := newWorld()
	w.apply(s)
	settle := func() (p Plan) {
		for range 20 {
			p = Compute(w.input())
			w.begin(p)
			w.endAll()
			w.shift(time.Minute)
			if len(p.Actions) == 0 {
				break
			}
		}
		return p
	}
	settle()
	w.exit(&w.replicas[0], 1)
	w.replicas[0].Broken = "network back"
	w.rollout = core.Rollout{}
	first := w.replicas[0].ID
	settle()
	require.NotEqual(t, first, w.replicas[0].ID, "its container is another one")
	require.Empty(t, w.rollout.GivenUp)
	w.exit(&w.replicas[0], 1)
	settle()
	require.Equal(t, "BackoffLimitExceeded", w.rollout.GivenUp.Reason)
}

// runningJob returns a world in which a Job runs.
func runningJob(s *spec.Workload) *world {
	w := newWorld()
	w.apply(s)
	w.begin(Compute(w.input()))
	w.endAll()
	return w
}

// Restarts by the engine count once where tend has lost its state, also of a container that can
// never be started again.
func TestARunThatTheEngineStartedAgainCountsOnce(t *testing.T) {
	s := defaults(spec.Job)
	s.Replicas, s.BackoffLimit = 1, 2
	w := runningJob(s)
	w.exit(&w.replicas[0], 1)
	w.replicas[0].Kind, w.replicas[0].Broken, w.replicas[0].RestartCount = spec.Job, "network back", 1
	w.rollout = core.Rollout{}
	p := Compute(w.input())
	w.rollout = p.Rollout
	require.Empty(t, p.Rollout.GivenUp, "two runs have failed, and it may fail twice")
	require.Empty(t, Compute(w.input()).Rollout.GivenUp)
	stricter := *s
	stricter.BackoffLimit = 1
	w.apply(&stricter)
	require.Equal(t, "BackoffLimitExceeded", Compute(w.input()).Rollout.GivenUp.Reason)
}

// A start that the engine refuses is no run that goes on, and takes the place of none that
// has failed before.
func TestAFailedRunCountsWhileTheNextContainerOfItsNumberCannotBeStarted(t *testing.T) {
	s := defaults(spec.Job)
	s.Replicas, s.BackoffLimit = 2, 1
	w := runningJob(s)
	w.exit(&w.replicas[0], 1)
	w.replicas[0].ID, w.replicas[0].State, w.replicas[0].StartedAt = "next", core.Created, time.Time{}
	w.rollout.Attempts[1] = core.Attempt{Revision: s.Revision, Count: 2, Unstarted: 1, At: w.now, Error: "connection refused"}
	w.exit(&w.replicas[1], 1)
	require.Equal(t, "BackoffLimitExceeded", Compute(w.input()).Rollout.GivenUp.Reason, "two runs have failed")
}

// A run that tend has told to end stays noted as such in the next rollout.
func TestWhatWasToldToEndIsRememberedInTheNextRollout(t *testing.T) {
	s := defaults(spec.Job)
	s.Replicas = 1
	w := runningJob(s)
	told := core.Attempt{Revision: s.Revision, Ours: true}
	w.rollout.Attempts[1], w.replicas[0].InFlight = told, core.StopReplica
	next := *s
	next.Revision = "v2"
	w.apply(&next)
	require.Equal(t, told, Compute(w.input()).Rollout.Attempts[1])
}

// failedRuns counts no run that goes on, no create that is under way, and no container that has
// never run.
func TestWhatGoesOnOrNeverRanHasNotFailed(t *testing.T) {
	s := defaults(spec.Job)
	s.Replicas, s.BackoffLimit = 1, 0
	running := core.Replica{Number: 1, ID: "a", Revision: s.Revision, State: core.Running, StartedAt: noon.Add(-time.Minute)}
	starting := core.Replica{Number: 1, ID: "b", Revision: "v0", State: core.Exited, StartedAt: noon.Add(-time.Hour), InFlight: core.CreateReplica}
	for name, c := range map[string]struct {
		core.Replica
		core.Attempt
	}{
		"another one could not be made": {running, core.Attempt{Revision: s.Revision, Count: 2, Unstarted: 1, At: noon, Error: "its name is taken"}},
		"it is being made":              {starting, core.Attempt{Revision: s.Revision, Count: 1, At: noon}},
		"it never ran":                  {core.Replica{Number: 1, ID: "c", Revision: s.Revision, State: core.Removing}, core.Attempt{}},
	} {
		t.Run(name, func(t *testing.T) {
			p := Compute(Input{Now: noon.Add(time.Second), Workload: "web", Spec: s, Replicas: []core.Replica{c.Replica}, Rollout: core.Rollout{
				Workload: "web", Revision: s.Revision, StartedAt: noon, ProgressAt: noon, Attempts: map[int]core.Attempt{1: c.Attempt},
			}})
			require.Empty(t, p.Rollout.GivenUp)
		})
	}
}
