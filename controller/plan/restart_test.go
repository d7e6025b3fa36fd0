package plan

import (
	"testing"
	"time"

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
		Rollout: ActionStopped(core.Rollout{Workload: "web", Revision: "v1", StartedAt: now, ProgressAt: now}, core.Action{Kind: core.StopReplica, Number: 1, Revision: "v1"}),
	}
	in.Rollout = Compute(in).Rollout
	in.Replicas = []core.Replica{{Workload: "web", Number: 1, Name: "web-1", ID: "a", Revision: "v1", State: core.Running, StartedAt: now, ReadySince: now}}
	require.Equal(t, 1, Compute(in).Status.Available)
}
