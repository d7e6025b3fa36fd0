package managertest

import (
	"time"

	"github.com/docker/docker/api/types/swarm"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/swarm/manager"
)

var updateCases = []testCase{
	{"scaling makes and ends tasks, the last slots first", func(f *fixture) {
		id := f.create(f.spec("web", Runs, 1))
		first := f.awaitRunning(id, 1)[0].ID
		f.scale(id, 3)
		require.Equal(f, []int{1, 2, 3}, slots(f.awaitRunning(id, 3)))
		f.scale(id, 1)
		left := f.awaitRunning(id, 1)
		require.Equal(f, first, left[0].ID)
		f.awaitTasks(id, "gone", func(tasks []manager.Task) bool { return len(tasks) == 1 })
		require.Empty(f, f.service(id).Update.State)
	}},
	{"a change of the service alone leaves its tasks", func(f *fixture) {
		id := f.create(f.spec("web", Runs, 1))
		before := f.awaitRunning(id, 1)
		f.update(id, func(s *swarm.ServiceSpec) { s.Labels["a"] = "b" })
		f.scale(id, 2)
		require.Contains(f, ids(f.awaitRunning(id, 2)), before[0].ID)
	}},
	{"an update stops each task before it starts another", func(f *fixture) {
		id := f.create(f.spec("web", Runs, 2))
		f.awaitRunning(id, 2)
		f.update(id, func(s *swarm.ServiceSpec) { s.TaskTemplate.ContainerSpec.Image = f.Image(Recovers) })
		least := 2
		f.awaitTasks(id, "updated", func(tasks []manager.Task) bool {
			least = min(least, len(running(tasks)))
			return f.service(id).Update.State == swarm.UpdateStateCompleted
		})
		require.Less(f, least, 2)
		for _, t := range f.awaitRunning(id, 2) {
			require.Equal(f, f.Image(Recovers), t.Spec.ContainerSpec.Image)
		}
		update := f.service(id).Update
		require.False(f, update.StartedAt.IsZero())
		require.False(f, update.CompletedAt.IsZero())
		require.Equal(f, "update completed", update.Message)
		for _, t := range in(swarm.TaskStateShutdown, f.tasks(id)) {
			require.Equal(f, swarm.TaskStateShutdown, t.DesiredState)
		}
	}},
	{"an update starts each task before it stops another", func(f *fixture) {
		s := f.spec("web", Runs, 2)
		s.UpdateConfig.Order = swarm.UpdateOrderStartFirst
		id := f.create(s)
		f.awaitRunning(id, 2)
		f.update(id, func(s *swarm.ServiceSpec) { s.TaskTemplate.ContainerSpec.Image = f.Image(Recovers) })
		least := 2
		f.awaitTasks(id, "updated", func(tasks []manager.Task) bool {
			least = min(least, len(in(swarm.TaskStateRunning, tasks)))
			return f.service(id).Update.State == swarm.UpdateStateCompleted
		})
		require.Equal(f, 2, least)
		require.Equal(f, []int{1, 2}, slots(f.awaitRunning(id, 2)))
	}},
	{"an update whose task fails is paused, and the tasks that are left stay", func(f *fixture) {
		s := f.spec("web", Runs, 3)
		s.UpdateConfig.Order = swarm.UpdateOrderStartFirst
		id := f.create(s)
		f.awaitRunning(id, 3)
		f.update(id, func(s *swarm.ServiceSpec) { s.TaskTemplate.ContainerSpec.Image = f.Image(Sick) })
		paused := f.awaitUpdate(id, swarm.UpdateStatePaused)
		require.Contains(f, paused.Update.Message, "update paused due to failure or early termination of task")
		require.True(f, paused.Update.CompletedAt.IsZero())
		require.Equal(f, f.Image(Sick), paused.Spec.TaskTemplate.ContainerSpec.Image)
		require.GreaterOrEqual(f, len(running(f.tasks(id))), 2)
		// The next update is a new one.
		f.update(id, func(s *swarm.ServiceSpec) { s.TaskTemplate.ContainerSpec.Image = f.Image(Runs) })
		f.awaitUpdate(id, swarm.UpdateStateCompleted)
		f.awaitRunning(id, 3)
	}},
	{"an update goes back by itself where it is told to", func(f *fixture) {
		s := f.spec("web", Runs, 2)
		s.UpdateConfig.FailureAction = swarm.UpdateFailureActionRollback
		s.RollbackConfig = &swarm.UpdateConfig{Monitor: time.Second}
		id := f.create(s)
		f.awaitRunning(id, 2)
		f.update(id, func(s *swarm.ServiceSpec) { s.TaskTemplate.ContainerSpec.Image = f.Image(Exits) })
		back := f.awaitUpdate(id, swarm.UpdateStateRollbackCompleted)
		require.Equal(f, f.Image(Runs), back.Spec.TaskTemplate.ContainerSpec.Image)
		f.awaitRunning(id, 2)
	}},
	{"a forced update makes tasks of the same spec anew", func(f *fixture) {
		id := f.create(f.spec("web", Runs, 1))
		before := f.awaitRunning(id, 1)
		f.update(id, func(s *swarm.ServiceSpec) { s.TaskTemplate.ForceUpdate++ })
		f.awaitUpdate(id, swarm.UpdateStateCompleted)
		require.NotEqual(f, before[0].ID, f.awaitRunning(id, 1)[0].ID)
	}},
}

func (f *fixture) scale(id string, replicas uint64) {
	f.Helper()
	f.update(id, func(s *swarm.ServiceSpec) { s.Mode.Replicated.Replicas = &replicas })
}

func ids(tasks []manager.Task) (all []string) {
	for _, t := range tasks {
		all = append(all, t.ID)
	}
	return all
}

var jobCases = []testCase{
	{"a job runs to completion, and again when it is updated", func(f *fixture) {
		id := f.create(f.job("job", Done, 2))
		f.awaitTasks(id, "complete", func(tasks []manager.Task) bool { return len(in(swarm.TaskStateComplete, tasks)) == 2 })
		require.Equal(f, []int{0, 1}, slots(f.tasks(id)))
		s := f.service(id)
		require.EqualValues(f, 2, s.Completed)
		f.update(id, func(s *swarm.ServiceSpec) { s.TaskTemplate.ForceUpdate++ })
		f.awaitTasks(id, "complete again", func(tasks []manager.Task) bool {
			again := f.service(id)
			return again.JobIteration > s.JobIteration && again.Completed == 2
		})
		for _, t := range f.tasks(id) {
			require.Contains(f, []uint64{s.JobIteration, f.service(id).JobIteration}, t.JobIteration)
		}
	}},
	{"a job that fails is tried as often as it may be", func(f *fixture) {
		s, attempts := f.job("job", Exits, 1), uint64(1)
		s.TaskTemplate.RestartPolicy.MaxAttempts = &attempts
		id := f.create(s)
		tasks := f.awaitTasks(id, "given up", func(tasks []manager.Task) bool {
			return len(tasks) == 2 && len(in(swarm.TaskStateFailed, tasks)) == 2
		})
		require.Equal(f, "task: non-zero exit (3)", tasks[1].Err)
		require.Zero(f, f.service(id).Completed)
	}},
	{"a job that is to run no task any more has its tasks ended", func(f *fixture) {
		id := f.create(f.job("job", Runs, 1))
		f.awaitTasks(id, "running", func(tasks []manager.Task) bool { return len(in(swarm.TaskStateRunning, tasks)) == 1 })
		none := uint64(0)
		f.update(id, func(s *swarm.ServiceSpec) {
			s.Mode.ReplicatedJob = &swarm.ReplicatedJob{MaxConcurrent: &none, TotalCompletions: &none}
		})
		f.awaitTasks(id, "ended", func(tasks []manager.Task) bool { return len(in(swarm.TaskStateRunning, tasks)) == 0 })
	}},
}

// job is a service whose tasks run to completion, all at once.
func (f *fixture) job(name, image string, completions uint64) swarm.ServiceSpec {
	s := f.spec(name, image, 0)
	s.UpdateConfig = nil
	s.TaskTemplate.RestartPolicy.Condition = swarm.RestartPolicyConditionOnFailure
	s.Mode = swarm.ServiceMode{ReplicatedJob: &swarm.ReplicatedJob{MaxConcurrent: &completions, TotalCompletions: &completions}}
	return s
}
