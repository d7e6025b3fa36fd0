package services

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/docker/docker/api/types/swarm"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/swarm/convert"
	"github.com/tendhq/tend/controller/swarm/manager"
)

// Whatever there is, a plan comes of it, the same each time, and it acts on a service once.
func TestThePlanIsTotalAndDeterministic(t *testing.T) {
	w := newWorld(t, `services:
  web: {image: "web:1", scale: 2, volumes: ["data:/data"], configs: [motd], depends_on: {db: {condition: service_healthy}}}
  db: {image: "db:1"}
  seed: {image: "seed:1", restart: "no"}
  agent: {image: "agent:1", volumes: ["own:/data"], deploy: {mode: global}}
volumes: {data: {}, own: {}}
configs: {motd: {content: hello}}
`, "")
	rolled(w, 1)
	w.write(`services:
  web: {image: "web:2", scale: 2, volumes: ["data:/data"], configs: [motd], depends_on: {db: {condition: service_healthy}}}
  db: {image: "db:1"}
  seed: {image: "seed:1", restart: "no"}
  agent: {image: "agent:1", volumes: ["own:/data"], deploy: {mode: global}}
volumes: {data: {}, own: {}}
configs: {motd: {content: hello}}
`, "")
	rapid.Check(t, func(t *rapid.T) {
		in := anyInput(t, w)
		p := Compute(in)
		assert.Equal(t, p, Compute(in), "it is not the same again")
		on := map[string]bool{}
		for _, a := range p.Actions {
			assert.False(t, on[a.Object], "two actions on %s", a.Object)
			on[a.Object] = true
			assert.NotEmpty(t, a.Cause)
		}
		if in.Foreign != "" {
			assert.Empty(t, p.Actions)
		}
		if !p.Next.IsZero() {
			assert.True(t, p.Next.After(in.Now), "it is to be planned again at a time that has passed")
		}
		if len(p.Actions) > 0 {
			assert.False(t, p.Status.Converged, "it has converged and acts")
		}
		assert.NotEmpty(t, p.Status.Outcome)
		if in.Spec != nil && in.Rollout.Swarm.Node != "" && len(in.Spec.Volumes) > 0 && in.Spec.Global == nil && in.Service == nil {
			for _, a := range p.Actions {
				if a.Kind == CreateService && a.Spec.Labels[spec.LabelHook] == "" {
					assert.Equal(t, in.Rollout.Swarm.Node, convert.PinnedTo(a.Spec), "it is made where its volume is not")
				}
			}
		}
	})
}

// anyInput is an input that need not make sense.
func anyInput(t *rapid.T, w *world) Input {
	name := rapid.SampledFrom([]string{"web", "db", "seed", "agent"}).Draw(t, "workload")
	in := w.input(name)
	revisions := []string{"", "gone"}
	for revision := range w.history[name] {
		revisions = append(revisions, revision)
	}
	slices.Sort(revisions)
	revision := rapid.SampledFrom(revisions)
	instant := rapid.Custom(func(t *rapid.T) time.Time {
		return w.now.Add(time.Duration(rapid.IntRange(-2000, 2000).Draw(t, "seconds")) * time.Second)
	})
	boolean := rapid.Bool()
	in.Now = instant.Draw(t, "now")
	if boolean.Draw(t, "unwritten") {
		in.Spec = nil
	}
	if boolean.Draw(t, "foreign") && boolean.Draw(t, "really") {
		in.Foreign = "another one"
	}
	in.Service = nil
	if boolean.Draw(t, "service") {
		s := convert.Service(w.project, w.project.Workloads[name], in.Objects)
		s.Labels[spec.LabelRevision] = revision.Draw(t, "revision")
		if boolean.Draw(t, "job") {
			n := uint64(1)
			s.Mode = swarm.ServiceMode{ReplicatedJob: &swarm.ReplicatedJob{TotalCompletions: &n}}
		}
		if boolean.Draw(t, "bare") {
			s.TaskTemplate = swarm.TaskSpec{}
		}
		in.Service = &manager.Service{ID: "service", Version: 7, Spec: s, Completed: rapid.Uint64Range(0, 3).Draw(t, "completed"),
			Update: manager.Update{State: rapid.SampledFrom([]swarm.UpdateState{"", swarm.UpdateStatePaused, swarm.UpdateStateUpdating, swarm.UpdateStateCompleted, swarm.UpdateStateRollbackPaused}).Draw(t, "update"),
				Message: rapid.SampledFrom([]string{"", "update paused due to failure or early termination of task 0"}).Draw(t, "because")}}
	}
	states := []swarm.TaskState{swarm.TaskStateNew, swarm.TaskStatePending, swarm.TaskStateStarting, swarm.TaskStateRunning, swarm.TaskStateComplete, swarm.TaskStateFailed, swarm.TaskStateRejected, swarm.TaskStateShutdown, swarm.TaskStateOrphaned}
	in.Tasks = nil
	for i := range rapid.IntRange(0, 5).Draw(t, "tasks") {
		k := manager.Task{ID: fmt.Sprint(i), ServiceID: "service", Slot: rapid.IntRange(0, 3).Draw(t, "slot"), NodeID: rapid.SampledFrom([]string{"", "id-a", "gone"}).Draw(t, "node"),
			State: rapid.SampledFrom(states).Draw(t, "state"), DesiredState: rapid.SampledFrom([]swarm.TaskState{swarm.TaskStateRunning, swarm.TaskStateShutdown, swarm.TaskStateRemove}).Draw(t, "desired"),
			Since: instant.Draw(t, "since"), CreatedAt: instant.Draw(t, "created")}
		if boolean.Draw(t, "spec") {
			k.Spec.ContainerSpec = &swarm.ContainerSpec{Labels: map[string]string{spec.LabelRevision: revision.Draw(t, "revision")}}
		}
		in.Tasks = append(in.Tasks, k)
	}
	if boolean.Draw(t, "no nodes") {
		in.Nodes = nil
	}
	in.Rollout = core.Rollout{
		Revision: revision.Draw(t, "rollout"), Stable: revision.Draw(t, "stable"), Failed: revision.Draw(t, "failed"), Complete: boolean.Draw(t, "complete"),
		Blocked: boolean.Draw(t, "blocked"), ProgressAt: instant.Draw(t, "progress"), StartedAt: instant.Draw(t, "started"),
		Swarm: core.SwarmRecord{
			Completed: rapid.SliceOfN(revision, 0, 3).Draw(t, "completed"), Bad: rapid.SliceOfN(revision, 0, 2).Draw(t, "bad"),
			Node: rapid.SampledFrom([]string{"", "id-a", "gone"}).Draw(t, "pinned"), Applied: rapid.SampledFrom([]string{"", "x"}).Draw(t, "applied"),
		},
	}
	if boolean.Draw(t, "asked") {
		in.Intent.RestartedAt = instant.Draw(t, "restart")
	}
	return in
}

// While the managers have no quorum they refuse everything. Whatever they refuse, and for how
// long, all is done in the end.
func TestNothingIsLostWhileThereIsNoQuorum(t *testing.T) {
	const compose = `services:
  web: {image: "web:%d", secrets: [token], depends_on: {db: {condition: service_healthy}}}
  db: {image: "db:1"}
secrets: {token: {file: ./compose.yaml}}
`
	files := newWorld(t, fmt.Sprintf(compose, 1), "")
	before := files.project
	files.write(fmt.Sprintf(compose, 2), "")
	rapid.Check(t, func(r *rapid.T) {
		w := emptyWorld(t, files.dir)
		w.put(before)
		lost := rapid.SliceOfN(rapid.Bool(), 0, 30).Draw(r, "lost")
		asked := 0
		w.refuses = func(Action) bool {
			asked++
			return asked <= len(lost) && lost[asked-1]
		}
		steps := rapid.IntRange(0, 4).Draw(r, "steps")
		for range steps {
			w.step()
		}
		w.put(files.project)
		w.settle()
		require.Equal(r, "web:2", w.image("web"))
		for name, s := range w.statuses {
			require.True(r, s.Converged, "%s: %s", name, s.Obstacle)
		}
		require.Len(r, w.secrets, 1)
		require.Len(r, w.services, 2)
		w.remove = true
		w.settle()
		require.Empty(r, w.services)
		require.Empty(r, w.networks)
		require.Empty(r, w.secrets)
	})
}
