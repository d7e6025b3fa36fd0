package plan

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
)

func TestTheStatusSaysWhatTimeAloneWillChange(t *testing.T) {
	s := defaults(spec.Deployment)
	s.Restart.Delay, s.Restart.MaxDelay = 10*time.Second, time.Minute
	in := Input{
		Now: noon, Workload: "web", Spec: s,
		Rollout:  core.Rollout{Workload: "web", Revision: s.Revision, Stable: s.Revision, Complete: true, Attempts: map[int]core.Attempt{1: {Revision: s.Revision, Count: 2, At: noon.Add(-time.Second)}}},
		Replicas: []core.Replica{{Workload: "web", Number: 1, Name: "shop-web-1", ID: "a", Revision: s.Revision, State: core.Exited, ExitCode: 1, StartedAt: noon.Add(-time.Second), FinishedAt: noon, Addresses: map[string]string{"shop_backend": ""}}},
	}
	p := Compute(in)
	require.Equal(t, core.Change{At: noon.Add(10 * time.Second), What: "shop-web-1 is started again"}, p.Status.Next)
	require.Equal(t, p.Status.Next.At, p.Next)
	require.Equal(t, s.Revision, p.Status.WantedRevision)
}

// What is in the way of a workload, and what to do, is said once, for all who show it.
func TestTheStatusSaysWhatIsInTheWayAndWhatToDo(t *testing.T) {
	yes := true
	job := func(in *Input) { in.Spec = defaults(spec.Job) }
	ran := core.Replica{Workload: "web", Number: 1, Name: "shop-web-1", ID: "a", Revision: "v1", State: core.Exited, Created: noon, StartedAt: noon, FinishedAt: noon, Addresses: map[string]string{"shop_backend": "10.0.0.1"}}
	runs := served(1)
	dependsOn := func(d Dependency) func(in *Input) {
		return func(in *Input) {
			d.Name, d.Required = "seed", true
			in.Dependencies = []Dependency{d}
		}
	}
	for _, c := range []struct {
		name     string
		change   func(in *Input)
		outcome  core.Outcome
		obstacle string
		remedy   string
		waitsFor []string
		blockers []string
	}{
		{
			"nothing", func(in *Input) { in.Replicas = []core.Replica{runs} },
			core.OutcomeConverged, "", "", nil, nil,
		},
		{
			"a replica that is to be made", func(*Input) {},
			core.OutcomeMoving, "revision v1: 0 of 1 replica updated, 0 old left, 0 available", "nothing: the controller is at work; `tend wait web` returns when it is done", nil, nil,
		},
		{
			"a readiness probe that fails", func(in *Input) {
				r := runs
				r.Probe = &core.Probe{StartedAt: r.StartedAt, Started: true, Live: true, WasReady: true, Message: "readiness: 503"}
				in.Replicas = []core.Replica{r}
			},
			core.OutcomeMoving, "revision v1: 1 of 1 replica updated, 0 old left, 0 available; " + runs.Name + " is not ready: readiness: 503", "nothing: the controller is at work; `tend wait web` returns when it is done",
			nil, []string{runs.Name + " is unready: readiness: 503"},
		},
		{
			"a Job that was given up", func(in *Input) {
				job(in)
				in.Spec.BackoffLimit = 0
				r := ran
				r.ExitCode = 3
				in.Replicas = []core.Replica{r}
			},
			core.OutcomeStalled, "shop-web-1 exited with code 3; 1 run failed", "see `tend logs web`, and correct the spec or the image: as it is, the Job is not tried again",
			nil, []string{"shop-web-1 exited with code 3"},
		},
		{
			"a Job that ran, and whose container is gone", func(in *Input) {
				job(in)
				in.Rollout = core.Rollout{Workload: "web", Revision: "v1", Stable: "v1", Complete: true, Succeeded: map[int]bool{1: true}}
			},
			core.OutcomeComplete, "", "", nil, nil,
		},
		{
			"a volume whose data are gone", func(in *Input) {
				in.Missing = []core.Resource{{Kind: core.VolumeResource, Name: "shop_data", DataOf: "web"}}
			},
			core.OutcomeStalled, "volume shop_data held the data of web and is gone",
			"bring it back, or for an empty database make one with docker volume create shop_data", nil, nil,
		},
		{
			"a replica that is not started again any more", func(in *Input) {
				in.Spec.Restart.MaxAttempts = 1
				r := ran
				r.ExitCode = 3
				in.Rollout.Attempts = map[int]core.Attempt{1: {Revision: "v1", Count: 2, At: noon.Add(-time.Second)}}
				in.Replicas = []core.Replica{r}
			},
			core.OutcomeStalled, "shop-web-1 exited with code 3 and was restarted 1 time, the most that deploy.restart_policy.max_attempts allows", "see `tend logs web`, and correct the spec: it is not started again as it is",
			nil, []string{"shop-web-1 exited with code 3"},
		},
		{
			"a dependency that is not healthy", dependsOn(Dependency{Dependency: spec.Dependency{Condition: spec.DependencyHealthy}, Known: true}),
			core.OutcomeWaiting, "waiting for seed to be healthy", "see `tend explain seed`, which says what is in the way there", []string{"seed"}, nil,
		},
		{
			"a dependency that ran to completion, and whose container is gone",
			dependsOn(Dependency{Dependency: spec.Dependency{Condition: spec.DependencyStarted}, Known: true, Completed: true}),
			core.OutcomeMoving, "revision v1: 0 of 1 replica updated, 0 old left, 0 available", "nothing: the controller is at work; `tend wait web` returns when it is done", nil, nil,
		},
		{
			"a rollout that is paused", func(in *Input) {
				r := runs
				r.Revision = "v0"
				in.Replicas, in.Intent.Paused = []core.Replica{r}, &yes
			},
			core.OutcomePaused, "the rollout is paused: revision v1: 0 of 1 replica updated, 1 old left, 1 available", "`tend rollout resume web`",
			nil, []string{runs.Name + " is at revision v0 still"},
		},
		{
			"a container of another folder", func(in *Input) {
				in.Foreigners = []core.Foreigner{{ID: "f", Name: "shop-web-1", Workload: "web", Folder: "/old", Gone: true}}
			},
			core.OutcomeStalled, "shop-web-1 was made from /old, which is not to be found here, and is left alone",
			"if this is that folder, moved or renamed, take it over with --take-over /old; else remove it, or give this project another name", nil, nil,
		},
		{
			"a revision that was rolled back", func(in *Input) {
				in.Spec.Revision = "v2"
				in.History = map[string]*spec.Workload{"v1": defaults(spec.Deployment)}
				in.Rollout = core.Rollout{Workload: "web", Revision: "v1", Stable: "v1", Complete: true, Failed: "v2", Failure: "it has crashed"}
				in.Replicas = []core.Replica{runs}
			},
			core.OutcomeStalled, "revision v2 was rolled back to v1: it has crashed", "see `tend logs web`, and correct what failed: another revision is tried as soon as it is written", nil, nil,
		},
		{
			"a rollout that has made no progress", func(in *Input) {
				in.Rollout = core.Rollout{Workload: "web", Revision: "v1", StartedAt: noon, ProgressAt: noon, Updated: 1}
				in.Spec.OnFailure = spec.Pause
				r := runs
				r.Health, r.ReadySince = core.Starting, time.Time{}
				in.Replicas = []core.Replica{r}
			},
			core.OutcomeStalled, "no progress for 10m0s; revision v1: 1 of 1 replica updated, 0 old left, 0 available", "see `tend logs web`, and correct the spec, or go back with `tend rollout undo web`",
			nil, []string{runs.Name + " is starting"},
		},
		{
			"a rollout that has made no progress, as its replica crashes", func(in *Input) {
				in.Rollout = core.Rollout{Workload: "web", Revision: "v1", StartedAt: noon, ProgressAt: noon, Updated: 1, Attempts: map[int]core.Attempt{1: {Revision: "v1", Count: 9, At: noon.Add(time.Hour)}}}
				in.Spec.OnFailure = spec.Pause
				in.Spec.Restart.Delay, in.Spec.Restart.MaxDelay = time.Minute, time.Minute
				r := ran
				r.ExitCode, r.StartedAt, r.FinishedAt = 3, noon.Add(time.Hour), noon.Add(time.Hour)
				in.Replicas = []core.Replica{r}
			},
			core.OutcomeStalled, "no progress for 10m0s; shop-web-1 exited with code 3; back-off 1m0s before start 10",
			"see `tend logs web`, and correct the spec: another revision is tried at once, and this one after the back-off", nil, []string{"shop-web-1 exited with code 3"},
		},
		{
			"a replica that waits for its back-off", func(in *Input) {
				in.Rollout = core.Rollout{Workload: "web", Revision: "v1", Stable: "v1", Complete: true, Attempts: map[int]core.Attempt{1: {Revision: "v1", Count: 9, At: noon.Add(time.Hour)}}}
				in.Spec.Restart.Delay, in.Spec.Restart.MaxDelay = time.Minute, time.Minute
				r := ran
				r.ExitCode, r.StartedAt, r.FinishedAt = 3, noon.Add(time.Hour), noon.Add(time.Hour)
				in.Replicas = []core.Replica{r}
			},
			core.OutcomeWaiting, "shop-web-1 exited with code 3; back-off 1m0s before start 10",
			"see `tend logs web`, and correct the spec: another revision is tried at once, and this one after the back-off", nil, []string{"shop-web-1 exited with code 3"},
		},
		{
			"a container whose removal has failed half-way", func(in *Input) {
				r := runs
				r.State, r.ReadySince = core.Dead, time.Time{}
				in.Replicas = []core.Replica{r}
			},
			core.OutcomeMoving, "revision v1: 0 of 1 replica updated, 0 old left, 0 available", "nothing: the controller is at work; `tend wait web` returns when it is done",
			nil, []string{runs.Name + " cannot run as it was made to, and is to be removed"},
		},
		{
			"a replica that is being made", func(in *Input) {
				r := runs
				r.State, r.InFlight, r.ReadySince = core.Created, core.StartReplica, time.Time{}
				in.Replicas = []core.Replica{r}
			},
			core.OutcomeMoving, "revision v1: 1 of 1 replica updated, 0 old left, 0 available", "nothing: the controller is at work; `tend wait web` returns when it is done",
			nil, []string{runs.Name + " is being started"},
		},
		{
			"a replica that is drained", func(in *Input) {
				in.Spec.Drain, in.Subscribers = time.Minute, 1
				in.Replicas = []core.Replica{runs}
				in.Rollout = core.Rollout{Workload: "web", Revision: "v1", Stable: "v1", Complete: true, Drains: map[string]core.Drain{runs.ID: {Since: noon.Add(time.Hour)}}}
			},
			core.OutcomeMoving, "revision v1: 0 of 1 replica updated, 0 old left, 0 available", "nothing: the controller is at work; `tend wait web` returns when it is done",
			nil, []string{runs.Name + " is being stopped"},
		},
		{
			"a Job that is paused", func(in *Input) {
				job(in)
				in.Intent.Paused = &yes
			},
			core.OutcomePaused, "the rollout is paused: 0 of 1 completion succeeded", "`tend rollout resume web`", nil, nil,
		},
		{
			"a Job that runs", func(in *Input) {
				job(in)
				r := ran
				r.State, r.FinishedAt = core.Running, time.Time{}
				in.Replicas = []core.Replica{r}
			},
			core.OutcomeMoving, "0 of 1 completion succeeded", "nothing: the controller is at work; `tend wait web` returns when it is done", nil, nil,
		},
		{
			"a Job in whose way another folder's container is", func(in *Input) {
				job(in)
				in.Foreigners = []core.Foreigner{{ID: "f", Name: "shop-web-1", Workload: "web", Folder: "/old", Gone: true}}
			},
			core.OutcomeStalled, "shop-web-1 was made from /old, which is not to be found here, and is left alone",
			"if this is that folder, moved or renamed, take it over with --take-over /old; else remove it, or give this project another name", nil, nil,
		},
		{
			"an image that was built anew and does not work", func(in *Input) {
				in.Spec.OnFailure, in.Spec.Image, in.ImageID = spec.Pause, "web:1", "sha256:2222222222222222"
				in.Rollout = core.Rollout{Workload: "web", Revision: "v1", Stable: "v1", ImageID: in.ImageID, StableImageID: "sha256:1111111111111111", StartedAt: noon, ProgressAt: noon, Updated: 1}
				r := runs
				r.Health, r.ReadySince, r.ImageID = core.Starting, time.Time{}, in.ImageID
				in.Replicas = []core.Replica{r}
			},
			core.OutcomeStalled, "no progress for 10m0s; revision v1: 1 of 1 replica updated, 0 old left, 0 available; web:1 is another image now: build it again, or go back with docker tag 111111111111 web:1",
			"see `tend logs web`, and correct the spec, or go back with `tend rollout undo web`", nil, []string{runs.Name + " is starting"},
		},
		{
			"a container that no label tells the number of", func(in *Input) {
				in.Replicas = []core.Replica{runs, {Workload: "web", Name: "odd", ID: "o", State: core.Running}}
			},
			core.OutcomeConverged, "container odd carries no valid replica number and is left alone: remove it, or correct its label", "remove odd, or correct its label", nil, nil,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := Input{Now: noon.Add(time.Hour), Workload: "web", Generation: 1, Spec: defaults(spec.Deployment)}
			c.change(&in)
			s := Compute(in).Status
			assert.Equal(t, c.outcome, s.Outcome)
			assert.Equal(t, c.obstacle, s.Obstacle)
			assert.Equal(t, c.remedy, s.Remedy)
			assert.Equal(t, c.waitsFor, s.WaitsFor)
			assert.Equal(t, c.blockers, s.Blockers())
		})
	}
}

// The counts of a status, and of each replica whether it is ready and how often it was
// started again.
func TestTheStatusCounts(t *testing.T) {
	s := defaults(spec.Deployment)
	s.Replicas = 3
	starting := served(2)
	starting.Health, starting.ReadySince = core.Starting, time.Time{}
	adopted := served(3)
	adopted.Revision, adopted.ConfigHash = "", s.ConfigHash
	in := Input{
		Now: noon.Add(time.Hour), Workload: "web", Spec: s, Replicas: []core.Replica{served(1), starting, adopted},
		Rollout: core.Rollout{Workload: "web", Revision: "v1", Stable: "v0", StartedAt: noon.Add(time.Hour), ProgressAt: noon.Add(time.Hour), Attempts: map[int]core.Attempt{
			1: {Revision: "v1", Count: 3}, 2: {Revision: "v0", Count: 4}, 3: {Revision: "v0", Count: 2},
		}},
	}
	got := Compute(in).Status
	assert.Equal(t, [6]int{3, 3, 3, 2, 2, 1}, [6]int{got.Desired, got.Replicas, got.Updated, got.Ready, got.Available, got.Unavailable})
	assert.Equal(t, "v0", got.CurrentRevision)
	var ready []bool
	var restarts []int
	for _, r := range got.ReplicaStatuses {
		ready, restarts = append(ready, r.Ready), append(restarts, r.Restarts)
	}
	assert.Equal(t, []bool{true, false, true}, ready)
	assert.Equal(t, []int{2, 0, 1}, restarts)

	s.Replicas = 1
	in.Rollout.Attempts = map[int]core.Attempt{1: {Revision: "v1"}}
	got = Compute(in).Status
	assert.Zero(t, got.Unavailable)
	assert.Zero(t, got.ReplicaStatuses[0].Restarts)
}

// A workload is at rest when no hook runs, or is about to.
func TestAWorkloadIsNotAtRestWhileAHookRuns(t *testing.T) {
	in := Input{Now: noon.Add(time.Hour), Workload: "web", Spec: defaults(spec.Deployment), Replicas: []core.Replica{served(1)}}
	run := core.HookRun{Hook: "migrate", Replica: core.Replica{Name: "web-migrate", ID: "h", Revision: "v1", State: core.Exited}}
	for _, c := range []struct {
		state    core.State
		inFlight core.ActionKind
		rest     bool
	}{
		{core.Exited, "", true}, {core.Running, core.StopReplica, false}, {core.Exited, core.RemoveReplica, false}, {core.Removing, "", true},
	} {
		run.State, run.InFlight = c.state, c.inFlight
		in.HookRuns = []core.HookRun{run}
		in.Spec.PreRollout = []spec.Hook{{Name: "migrate"}}
		assert.Equal(t, c.rest, Compute(in).Status.Converged, "%s %s", c.state, c.inFlight)
	}
}

// What tend leaves alone does not keep a workload that is taken away.
func TestAWorkloadIsGoneWithAllThatIsItsOwn(t *testing.T) {
	replica := func(orphan bool) []core.Replica { return []core.Replica{{ID: "a", Orphan: orphan}} }
	for _, c := range []struct {
		in   Input
		gone bool
	}{
		{Input{}, true},
		{Input{Replicas: replica(true), HookRuns: []core.HookRun{{Replica: replica(true)[0]}}}, true},
		{Input{Replicas: replica(false)}, false},
		{Input{HookRuns: []core.HookRun{{Replica: replica(false)[0]}}}, false},
	} {
		assert.Equal(t, c.gone, c.in.gone())
	}
}

// A rollout is not complete before a crash loop would have shown, of what is to stay.
func TestARolloutSettles(t *testing.T) {
	s := defaults(spec.Deployment)
	s.Revision, s.Restart.Delay = "v2", 10*time.Second
	young, leftover := served(1), served(2)
	young.Revision, young.ReadySince = "v2", noon.Add(time.Hour)
	leftover.State, leftover.ReadySince = core.Dead, noon.Add(time.Hour)
	in := Input{
		Workload: "web", Spec: s, History: map[string]*spec.Workload{"v1": defaults(spec.Deployment)},
		Rollout: core.Rollout{Workload: "web", Revision: "v2", Stable: "v1", StartedAt: noon, ProgressAt: noon.Add(time.Hour), Updated: 1},
	}
	complete := func(after time.Duration, replicas ...core.Replica) (bool, time.Time) {
		in.Now, in.Replicas = noon.Add(time.Hour+after), replicas
		p := Compute(in)
		return p.Rollout.Complete, p.Next
	}
	is, next := complete(9*time.Second, young)
	assert.False(t, is)
	assert.Equal(t, noon.Add(time.Hour+10*time.Second), next)
	is, _ = complete(10*time.Second, young)
	assert.True(t, is)
	old := young
	old.ReadySince = noon
	is, _ = complete(time.Second, old, leftover)
	assert.True(t, is)
	in.History = nil
	is, _ = complete(time.Second, young)
	assert.True(t, is, "there is nothing to go back to")
}

func TestThePhaseOfAReplica(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(in *Input, r *core.Replica)
		phase  core.Phase
	}{
		{"ready", func(*Input, *core.Replica) {}, core.PhaseReady},
		{"being created", func(_ *Input, r *core.Replica) { r.InFlight = core.CreateReplica }, core.PhaseCreating},
		{"starting", func(_ *Input, r *core.Replica) { r.Health, r.ReadySince = core.Starting, time.Time{} }, core.PhaseStarting},
		{"unready", func(_ *Input, r *core.Replica) { r.Health = core.Unready }, core.PhaseUnready},
		{"unhealthy", func(in *Input, r *core.Replica) { r.Health, in.Spec.Replicas = core.Unhealthy, 2 }, core.PhaseUnhealthy},
		{"drained from now on", func(in *Input, _ *core.Replica) {
			in.Spec.Replicas, in.Subscribers, in.Spec.Ports, in.Spec.Drain = 0, 1, []int{80}, time.Minute
		}, core.PhaseDraining},
		{"stopped from now on", func(in *Input, _ *core.Replica) { in.Spec.Replicas = 0 }, core.PhaseStopping},
		{"in back-off", func(in *Input, r *core.Replica) {
			r.State, r.ExitCode, r.FinishedAt = core.Exited, 1, in.Now
			in.Rollout.Attempts = map[int]core.Attempt{1: {Revision: "v1", Count: 2, At: in.Now}}
		}, core.PhaseExited},
		{"started again from now on", func(in *Input, r *core.Replica) {
			r.State, r.ExitCode, r.FinishedAt = core.Exited, 1, in.Now.Add(-time.Hour)
			in.Rollout.Attempts = map[int]core.Attempt{1: {Revision: "v1", Count: 2, At: in.Now.Add(-time.Hour)}}
		}, core.PhaseCreating},
		{"done", func(in *Input, r *core.Replica) {
			in.Spec.Restart.Condition, r.State = spec.RestartOnFailure, core.Exited
		}, core.PhaseDone},
		{"left over", func(in *Input, r *core.Replica) { r.State, r.InFlight = core.Dead, "" }, core.PhaseStopping},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := Input{Now: noon.Add(time.Hour), Workload: "web", Generation: 1, Spec: defaults(spec.Deployment)}
			r := served(1)
			c.change(&in, &r)
			in.Replicas = []core.Replica{r}
			assert.Equal(t, c.phase, Compute(in).Status.ReplicaStatuses[0].Phase)
		})
	}
}

func TestTheStatusTellsTheDeadlineWhileItRuns(t *testing.T) {
	in := Input{Now: noon, Workload: "web", Generation: 1, Spec: defaults(spec.Deployment)}
	assert.Equal(t, noon.Add(in.Spec.ProgressDeadline), Compute(in).Status.Deadline)
	yes := true
	in.Intent.Paused = &yes
	assert.Zero(t, Compute(in).Status.Deadline)
	in.Intent.Paused, in.Replicas = nil, []core.Replica{served(1)}
	assert.Zero(t, Compute(in).Status.Deadline)
}
