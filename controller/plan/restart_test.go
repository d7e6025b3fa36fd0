package plan

import (
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
)

// An engine that is killed in the middle of a start may refuse that container for
// ever. Its replacement has the same volume, number and back-off.
func TestAContainerThatTheEngineGoesOnRefusingToStartIsReplaced(t *testing.T) {
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	for _, kind := range []spec.Kind{spec.Deployment, spec.Database} {
		t.Run(string(kind), func(t *testing.T) {
			in := Input{
				Now: now, Workload: "web",
				Spec: &spec.Workload{Name: "web", Kind: kind, Replicas: 1, Revision: "v1", ProgressDeadline: time.Minute, Restart: spec.Restart{
					Condition: spec.RestartAny, Delay: time.Second, MaxDelay: time.Minute, Window: time.Hour,
				}},
				Replicas: []core.Replica{{Workload: "web", Number: 1, Name: "web-1", ID: "a", Revision: "v1", State: core.Exited, ExitCode: 137}},
				Rollout:  core.Rollout{Workload: "web", Revision: "v1", Stable: "v1", Complete: true},
			}
			kinds := func(count int, err string) (kinds []core.ActionKind) {
				in.Rollout.Attempts = map[int]core.Attempt{1: {Revision: "v1", Count: count, At: now.Add(-time.Hour), Error: err}}
				for _, a := range Compute(in).Actions {
					kinds = append(kinds, a.Kind)
				}
				return kinds
			}
			require.Equal(t, []core.ActionKind{core.StartReplica}, kinds(startable, ""), "it was started, and ended")
			require.Equal(t, []core.ActionKind{core.StartReplica}, kinds(startable-1, "task already exists"))
			require.Equal(t, []core.ActionKind{core.RemoveReplica}, kinds(startable, "task already exists"))

			in.Replicas = nil
			require.Equal(t, []core.ActionKind{core.CreateReplica}, kinds(startable, "task already exists"))
		})
	}
}

// A replica that tend has stopped though nothing was wrong with it, as for a restart that
// somebody asked for, is no crash: the next one of its number is available at once.
func TestAReplicaThatTendHasStoppedIsNoCrash(t *testing.T) {
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	in := Input{
		Now: now, Workload: "web",
		Spec: &spec.Workload{Name: "web", Kind: spec.Deployment, Replicas: 1, Revision: "v1", ProgressDeadline: time.Minute, Restart: spec.Restart{
			Condition: spec.RestartAny, Delay: time.Hour, MaxDelay: time.Hour,
		}},
		Rollout: noteStop(core.Rollout{Workload: "web", Revision: "v1", StartedAt: now, ProgressAt: now}, core.Action{Kind: core.StopReplica, Number: 1, Revision: "v1"}),
	}
	in.Rollout = Compute(in).Rollout
	in.Replicas = []core.Replica{{Workload: "web", Number: 1, Name: "web-1", ID: "a", Revision: "v1", State: core.Running, StartedAt: now, ReadySince: now}}
	require.Equal(t, 1, Compute(in).Status.Available)
}

func TestWhatTendHasStoppedIsNoted(t *testing.T) {
	stopped := core.Action{Kind: core.StopReplica, Number: 1, Revision: "v2"}
	of := func(a ...core.Attempt) core.Rollout {
		r := core.Rollout{Workload: "web", Attempts: map[int]core.Attempt{}}
		for i, a := range a {
			r.Attempts[i+1] = a
		}
		return r
	}
	tried := core.Attempt{Revision: "v1", Count: 3, At: noon}
	ours := tried
	ours.Ours = true
	before := of(tried, tried)
	require.Equal(t, of(ours, tried), noteStop(before, stopped))
	require.Equal(t, of(tried, tried), before, "it is a value")
	require.Equal(t, of(core.Attempt{Revision: "v2", Ours: true}), noteStop(of(), stopped))
	once := core.Attempt{Revision: "v1", Count: 1, Ours: true}
	require.Equal(t, of(once), noteStop(of(once), stopped))
	require.Equal(t, of(once), noteStop(of(core.Attempt{Revision: "v1", Count: 1}), stopped))
	stopped.Number = 0
	require.Equal(t, of(), noteStop(of(), stopped), "a hook has no number")
}

func TestTheBackoffDoublesUpToItsMost(t *testing.T) {
	r := spec.Restart{Delay: 40 * time.Second, MaxDelay: 100 * time.Second}
	for n, want := range []time.Duration{0, 0, 40 * time.Second, 80 * time.Second, 100 * time.Second, 100 * time.Second} {
		require.Equal(t, want, delay(r, n), "start %d", n)
	}
}

// Who repairs again within a minute is watched for as long as it goes on.
func TestRepairsAreCountedWhileTheyFollowEachOther(t *testing.T) {
	at := func(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }
	begun := core.Repair{Count: 1, First: at(100), Last: at(100)}
	for _, c := range []struct {
		name   string
		before core.Repair
		want   core.Repair
	}{
		{"the first", core.Repair{}, begun},
		{"one a minute after the last", core.Repair{Count: 9, First: noon, Last: at(40)}, begun},
		{"one just before that", core.Repair{Count: 9, First: noon, Last: at(41)}, core.Repair{Count: 10, First: noon, Last: at(100)}},
		{"the sixth, a minute after the first", core.Repair{Count: contest, First: at(40), Last: at(90)}, begun},
		{"the seventh, a minute after the first", core.Repair{Count: contest + 1, First: at(40), Last: at(90)}, core.Repair{Count: contest + 2, First: at(40), Last: at(100)}},
		{"the sixth, within a minute", core.Repair{Count: contest, First: at(41), Last: at(90)}, core.Repair{Count: contest + 1, First: at(41), Last: at(100)}},
	} {
		require.Equal(t, c.want, repairedAgain(c.before, at(100)), c.name)
	}
}

// What a service is to run after a start and before a stop goes with the action.
func TestTheCommandsOfAServiceGoWithItsActions(t *testing.T) {
	s := defaults(spec.Deployment)
	hello, bye := []types.ServiceHook{{Command: []string{"hello"}}}, []types.ServiceHook{{Command: []string{"bye"}}}
	s.Template.PostStart, s.Template.PreStop = hello, bye
	lifecycle := func(replicas int, exist ...core.Replica) (core.ActionKind, []types.ServiceHook) {
		s.Replicas = replicas
		actions := Compute(Input{Now: noon, Workload: "web", Spec: s, Replicas: exist}).Actions
		require.Len(t, actions, 1)
		return actions[0].Kind, actions[0].Lifecycle
	}
	stopped := served(1)
	stopped.State, stopped.ExitCode, stopped.FinishedAt = core.Exited, 1, noon
	for _, c := range []struct {
		replicas int
		exist    []core.Replica
		kind     core.ActionKind
		commands []types.ServiceHook
	}{
		{1, nil, core.CreateReplica, hello}, {1, []core.Replica{stopped}, core.StartReplica, hello}, {0, []core.Replica{served(1)}, core.StopReplica, bye},
	} {
		kind, commands := lifecycle(c.replicas, c.exist...)
		require.Equal(t, c.kind, kind)
		require.Equal(t, c.commands, commands, "%s", kind)
	}
}

// What somebody has removed is made again in a moment, and that is no failure.
func TestWhatWasRemovedIsMadeInAMoment(t *testing.T) {
	in := Input{
		Now: noon, Workload: "web", Spec: defaults(spec.Deployment),
		Rollout: core.Rollout{Workload: "web", Revision: "v1", Stable: "v1", Complete: true, Attempts: map[int]core.Attempt{1: {Revision: "v1", Count: 1, At: noon.Add(-time.Hour), Repair: core.Repair{Count: 1, Last: noon}}}},
	}
	p := Compute(in)
	require.Empty(t, p.Actions)
	require.Equal(t, noon.Add(time.Second), p.Next)
	require.Nil(t, p.Status.Condition(core.ReplicaFailure))
}

// The container of a hook is of no number, and has none of the service's commands.
func TestAHookThatIsStoppedSaysNothingOfAReplica(t *testing.T) {
	s := defaults(spec.Deployment)
	s.Revision, s.Replicas = "v2", 1
	s.Template.PreStop = []types.ServiceHook{{Command: []string{"bye"}}}
	in := Input{
		Now: noon, Workload: "web", Spec: s,
		HookRuns: []core.HookRun{{Hook: "migrate", Replica: core.Replica{Name: "web-migrate-v1", ID: "b", Revision: "v2", State: core.Running, StartedAt: noon}}},
		Replicas: []core.Replica{{Workload: "web", Number: 1, Name: "web-1", ID: "a", Revision: "v2", State: core.Running, StartedAt: noon, ReadySince: noon}},
	}
	in.Replicas[0].Addresses = map[string]string{s.Networks[0]: "10.0.0.2"}
	actions := Compute(in).Actions
	require.Len(t, actions, 1)
	require.Equal(t, core.StopReplica, actions[0].Kind)
	require.Empty(t, actions[0].Lifecycle)
	require.Empty(t, noteStop(core.Rollout{}, actions[0]).Attempts)
}

// Where neither the revision that is rolled out nor the last one that worked can be
// created, each is tried at the pace of its own back-off, and not in turn without end.
func TestTwoRevisionsThatCannotBeCreatedAreNotTriedInTurn(t *testing.T) {
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	s := defaults(spec.Deployment)
	s.Revision, s.Replicas, s.ProgressDeadline = "v2", 2, time.Hour
	s.Strategy = spec.Strategy{Type: spec.RollingUpdate, MaxSurge: 1}
	s.Restart.Delay, s.Restart.MaxDelay = 10*time.Second, time.Minute
	in := Input{
		Now: now, Project: "shop", Workload: "web", Spec: s, History: map[string]*spec.Workload{"v1": {Revision: "v1"}},
		Rollout: core.Rollout{Workload: "web", Revision: "v2", Stable: "v1", StartedAt: now, ProgressAt: now, Updated: 1, Available: 2},
	}
	tried := map[string]int{}
	for in.Now.Sub(now) < time.Minute {
		p := Compute(in)
		in.Rollout, in.Status = p.Rollout, p.Status
		for _, a := range p.Actions {
			tried[a.Revision]++
			in.Rollout = ActionFailed(in, a, "no space left on device")
		}
		require.Less(t, tried["v1"]+tried["v2"], 100)
		if len(p.Actions) == 0 {
			require.True(t, p.Next.After(in.Now))
			in.Now = p.Next
		}
	}
	// At once, once more at once, and after 10, 20 and 40 seconds.
	require.LessOrEqual(t, tried["v1"], 2*5)
	require.LessOrEqual(t, tried["v2"], 2*5)
	require.NotZero(t, tried["v1"])
	require.NotZero(t, tried["v2"])
}

// That tend stops or removes an old replica says nothing of the one that takes its place.
func TestTheEndOfAnOldReplicaIsNotThatOfTheNextOne(t *testing.T) {
	s := defaults(spec.Deployment)
	s.Replicas, s.Revision, s.Strategy.Type = 1, "v2", spec.Recreate
	started := core.Attempt{Revision: "v2", Count: 2, At: noon}
	for _, state := range []core.State{core.Running, core.Exited} {
		p := Compute(Input{Now: noon, Workload: "web", Spec: s,
			Replicas: []core.Replica{{Workload: "web", Number: 1, Name: "web-1", ID: "a", Revision: "v1", State: state, ExitCode: 1, StartedAt: noon}},
			Rollout:  core.Rollout{Workload: "web", Revision: "v2", StartedAt: noon, ProgressAt: noon, Attempts: map[int]core.Attempt{1: started}},
		})
		require.Len(t, p.Actions, 1, state)
		a := p.Rollout.Attempts[1]
		require.False(t, a.Revision == "v2" && a.Ours, p.Actions[0].String())
	}
}
