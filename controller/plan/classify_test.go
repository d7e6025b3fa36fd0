package plan

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
)

func TestProbesTakeThePlaceOfTheHealthCheck(t *testing.T) {
	since := noon.Add(-time.Minute)
	ran := core.Replica{State: core.Running, Health: core.Unhealthy, ReadySince: noon, HealthOutput: "curl: not found", HealthExitCode: 127, WasReady: true}
	for _, c := range []struct {
		name   string
		state  core.State
		probe  *core.Probe
		health core.Health
		ready  bool
	}{
		{"nobody probes it", core.Running, nil, core.Unhealthy, false},
		{"it does not run", core.Exited, &core.Probe{StartedAt: noon, Started: true, Ready: true, Live: true, Since: since}, core.Unhealthy, false},
		{"nothing was answered yet", core.Running, &core.Probe{}, core.Starting, false},
		{"it has not started", core.Running, &core.Probe{StartedAt: noon, Live: true}, core.Starting, false},
		{"it starts anew, and was ready", core.Running, &core.Probe{StartedAt: noon, Live: true, WasReady: true, Ready: true}, core.Starting, false},
		{"it has started, and was never ready", core.Running, &core.Probe{StartedAt: noon, Started: true, Live: true}, core.Starting, false},
		{"it was ready, and is not", core.Running, &core.Probe{StartedAt: noon, Started: true, Live: true, WasReady: true}, core.Unready, false},
		{"it is dead", core.Running, &core.Probe{StartedAt: noon, Started: true, Ready: true, WasReady: true}, core.Unhealthy, false},
		{"it is ready", core.Running, &core.Probe{StartedAt: noon, Started: true, Ready: true, Live: true, WasReady: true, Since: since, Message: "200"}, core.Healthy, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := ran
			r.State, r.Probe = c.state, c.probe
			got := judged(r)
			require.Equal(t, c.health, got.Health)
			require.Equal(t, c.ready, IsReady(r, nil))
			if c.probe == nil || c.state != core.Running {
				require.Equal(t, r, got)
				return
			}
			require.Equal(t, c.probe.Message, got.HealthOutput)
			require.Zero(t, got.HealthExitCode)
			require.Equal(t, c.probe.WasReady, got.WasReady)
			if c.ready {
				require.Equal(t, since, got.ReadySince)
			} else {
				require.Zero(t, got.ReadySince)
			}
		})
	}
}

func TestTheNetworksOfAContainerAreThoseOfWhatItWasMadeFrom(t *testing.T) {
	s := defaults(spec.Deployment)
	s.Revision, s.ConfigHash, s.Networks = "v3", "h3", []string{"front"}
	in := Input{Now: noon, Spec: s, Networks: map[string]string{"front": "new"}, History: map[string]*spec.Workload{
		"v1": {Revision: "v1", ConfigHash: "h1", Networks: []string{"one"}},
		"v2": {Revision: "v2", ConfigHash: "h2", Networks: []string{"two"}},
	}}
	for _, c := range []struct {
		name   string
		of     core.Replica
		broken string
	}{
		{"of what is written", core.Replica{Revision: "v3", State: core.Running}, "network front"},
		{"made by docker compose, as written", core.Replica{ConfigHash: "h3", State: core.Running}, "network front"},
		{"of an earlier revision", core.Replica{Revision: "v1", State: core.Running}, "network one"},
		{"of a revision that nobody remembers", core.Replica{Revision: "v0", ConfigHash: "h2", State: core.Running}, ""},
		{"made by docker compose, as was written once", core.Replica{ConfigHash: "h2", State: core.Running}, "network two"},
		{"made by docker compose, of what nobody knows", core.Replica{ConfigHash: "h0", State: core.Running}, ""},
		{"on its network", core.Replica{Revision: "v3", State: core.Running, Addresses: map[string]string{"front": ""}}, ""},
		{"it has exited", core.Replica{Revision: "v3", State: core.Exited, ExitCode: 1}, "network front"},
		{"it was created and not started", core.Replica{Revision: "v3", State: core.Created}, ""},
		{"its network is another one now", core.Replica{Revision: "v3", State: core.Exited, ExitCode: 1, Addresses: map[string]string{"front": ""}, NetworkIDs: map[string]string{"front": "old"}}, "network front"},
		{"so it is, and it still runs", core.Replica{Revision: "v3", State: core.Running, Addresses: map[string]string{"front": ""}, NetworkIDs: map[string]string{"front": "old"}}, ""},
		{"its network is not written any more", core.Replica{Revision: "v3", State: core.Exited, ExitCode: 1, Addresses: map[string]string{"front": ""}, NetworkIDs: map[string]string{"gone": "old"}}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.of.Number, c.of.ID = 1, "a"
			in.Replicas = []core.Replica{c.of}
			require.Equal(t, c.broken, classify(in).containers[0].Broken)
		})
	}
	runs := core.Replica{State: core.Running, Addresses: map[string]string{"front": ""}}
	require.True(t, IsReady(runs, s))
	require.False(t, IsReady(runs, in.History["v1"]), "it has left network one")

	in.Spec = nil
	in.Replicas = []core.Replica{{Number: 1, Revision: "v1", State: core.Running}}
	require.Equal(t, "network one", classify(in).containers[0].Broken, "also where the service is not written any more")
}

// What is over is forgotten, and what is known of containers that exist is not.
func TestTheRecordIsOfWhatExists(t *testing.T) {
	in := Input{
		Now: noon, Workload: "web",
		Rollout: core.Rollout{
			Drains: map[string]core.Drain{"a": {Cause: "here"}, "gone": {}},
			Tries:  map[string]core.Try{"a": {Error: "failed"}, "b": {Count: 1}, "gone": {Error: "failed"}, "hook": {Error: "failed"}},
			Done:   map[string]time.Time{"a": noon, "b": noon.Add(-time.Hour), "gone": noon},
		},
		Replicas: []core.Replica{{Number: 1, ID: "a", State: core.Exited, StartedAt: noon}, {Number: 2, ID: "b", State: core.Exited, StartedAt: noon}},
		HookRuns: []core.HookRun{{Replica: core.Replica{ID: "hook"}}},
	}
	known := classify(in).known
	require.Equal(t, "web", known.Workload)
	require.Equal(t, map[string]core.Drain{"a": {Cause: "here"}}, known.Drains)
	require.Equal(t, map[string]core.Try{"a": {Error: "failed"}, "hook": {Error: "failed"}}, known.Tries)
	require.Equal(t, map[string]time.Time{"a": noon}, known.Done, "of the last run, also while the service is not written")
}

// That an earlier run has done what it was made for says nothing of the last one.
func TestARunIsDoneByItself(t *testing.T) {
	s := defaults(spec.Deployment)
	s.Restart.Condition = spec.RestartOnFailure
	ended := core.Replica{Number: 1, ID: "a", Revision: s.Revision, State: core.Exited, StartedAt: noon, FinishedAt: noon, Addresses: map[string]string{"shop_backend": ""}}
	done := func(of core.Replica, r core.Rollout) bool {
		return classify(Input{Now: noon, Spec: s, Rollout: r, Replicas: []core.Replica{of}}).containers[0].done
	}
	stopped := core.Rollout{Revision: s.Revision, Attempts: map[int]core.Attempt{1: {Ours: true}}}
	require.True(t, done(ended, core.Rollout{}))
	require.False(t, done(ended, stopped))
	stopped.Done = map[string]time.Time{"a": noon}
	require.True(t, done(ended, stopped))
	stopped.Done = map[string]time.Time{"a": noon.Add(-time.Hour)}
	require.False(t, done(ended, stopped), "another run")
	running := ended
	running.State = core.Running
	require.False(t, done(running, core.Rollout{}))
}

// That somebody starts what is done, and the start fails, changes its exit code and is no run.
func TestAStartThatFailsLeavesARunDone(t *testing.T) {
	for _, kind := range []spec.Kind{spec.Deployment, spec.Job} {
		s := defaults(kind)
		s.Restart.Condition = spec.RestartOnFailure
		r := core.Replica{Number: 1, ID: "a", Revision: s.Revision, State: core.Exited, ExitCode: 128, StartedAt: noon}
		done := func(known map[string]time.Time) bool {
			return classify(Input{Now: noon, Spec: s, Rollout: core.Rollout{Revision: s.Revision, Done: known}, Replicas: []core.Replica{r}}).containers[0].done
		}
		require.True(t, done(map[string]time.Time{"a": noon}), kind)
		require.False(t, done(nil), kind)
	}
}
