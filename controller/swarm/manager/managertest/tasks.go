package managertest

import (
	"github.com/docker/docker/api/types/swarm"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/swarm/manager"
)

var taskCases = []testCase{
	{"a task that runs", func(f *fixture) {
		id := f.create(f.spec("web", Runs, 2))
		tasks := f.awaitRunning(id, 2)
		require.Equal(f, []int{1, 2}, slots(tasks))
		nodes, err := f.Manager.Nodes(f.Context())
		require.NoError(f, err)
		for _, t := range tasks {
			require.Equal(f, nodes[0].ID, t.NodeID)
			require.Equal(f, swarm.TaskStateRunning, t.DesiredState)
			require.Equal(f, f.Image(Runs), t.Spec.ContainerSpec.Image)
			require.NotEmpty(f, t.ContainerID)
			require.False(f, t.CreatedAt.IsZero())
			require.False(f, t.Since.IsZero())
			require.Empty(f, t.Err)
		}
	}},
	{"a task that exits is failed, and another takes its slot", func(f *fixture) {
		id := f.create(f.spec("web", Exits, 1))
		tasks := f.awaitTasks(id, "failed", func(tasks []manager.Task) bool { return len(in(swarm.TaskStateFailed, tasks)) >= 2 })
		require.Equal(f, 3, tasks[0].ExitCode)
		require.Equal(f, "task: non-zero exit (3)", tasks[0].Err)
		require.Equal(f, swarm.TaskStateShutdown, tasks[0].DesiredState)
		require.Equal(f, 1, tasks[1].Slot)
		require.NotEqual(f, tasks[0].ID, tasks[1].ID)
		require.GreaterOrEqual(f, tasks[1].Since.Sub(tasks[0].Since), restartDelay)
	}},
	{"a task that ends well is complete, and another takes its slot", func(f *fixture) {
		id := f.create(f.spec("web", Done, 1))
		tasks := f.awaitTasks(id, "complete", func(tasks []manager.Task) bool { return len(in(swarm.TaskStateComplete, tasks)) >= 2 })
		require.Empty(f, tasks[0].Err)
		require.Zero(f, tasks[0].ExitCode)
	}},
	{"Swarm keeps five tasks of a slot", func(f *fixture) {
		id := f.create(f.spec("web", Exits, 1))
		first := f.awaitTasks(id, "there", func(tasks []manager.Task) bool { return len(tasks) > 0 })[0].ID
		f.awaitTasks(id, "fewer", func(tasks []manager.Task) bool { return tasks[0].ID != first && len(tasks) >= 5 })
	}},
	{"with restart on failure, a task that ends well is the last of its slot", func(f *fixture) {
		s := f.spec("web", Done, 1)
		s.TaskTemplate.RestartPolicy.Condition = swarm.RestartPolicyConditionOnFailure
		id := f.create(s)
		// The update of another service lets more time pass than a restart takes.
		tasks := f.awaitTasks(id, "complete", func(tasks []manager.Task) bool { return len(in(swarm.TaskStateComplete, tasks)) == 1 })
		require.Len(f, tasks, 1)
		f.awaitTasks(f.create(f.spec("clock", Exits, 1)), "there", func(tasks []manager.Task) bool { return len(tasks) > 2 })
		tasks = f.tasks(id)
		require.Len(f, tasks, 1)
		require.Equal(f, swarm.TaskStateShutdown, tasks[0].DesiredState)
	}},
	{"restarts end with the attempts that there may be", func(f *fixture) {
		s, attempts := f.spec("web", Exits, 1), uint64(2)
		s.TaskTemplate.RestartPolicy.MaxAttempts = &attempts
		id := f.create(s)
		f.awaitTasks(id, "given up", func(tasks []manager.Task) bool {
			return len(tasks) == 3 && len(in(swarm.TaskStateFailed, tasks)) == 3 && len(wanted(tasks)) == 0
		})
	}},
	{"a task with a health check is starting until that passes", func(f *fixture) {
		id := f.create(f.spec("web", Recovers, 1))
		f.awaitTasks(id, "starting", func(tasks []manager.Task) bool { return len(in(swarm.TaskStateStarting, tasks)) == 1 })
		tasks := f.awaitRunning(id, 1)
		require.Len(f, f.tasks(id), 1)
		require.Empty(f, tasks[0].Err)
	}},
	{"a task whose health check fails is failed and never ran", func(f *fixture) {
		id := f.create(f.spec("web", Sick, 1))
		tasks := f.awaitTasks(id, "failed", func(tasks []manager.Task) bool { return len(in(swarm.TaskStateFailed, tasks)) > 0 })
		require.Equal(f, "task: non-zero exit (4): dockerexec: unhealthy container", tasks[0].Err)
		require.Equal(f, 4, tasks[0].ExitCode)
	}},
	{"a task whose image is missing is rejected", func(f *fixture) {
		id := f.create(f.spec("web", Missing, 1))
		tasks := f.awaitTasks(id, "rejected", func(tasks []manager.Task) bool { return len(in(swarm.TaskStateRejected, tasks)) > 0 })
		require.Equal(f, "No such image: "+f.Image(Missing), tasks[0].Err)
		require.Empty(f, tasks[0].ContainerID)
	}},
	{"a task that cannot start is failed", func(f *fixture) {
		id := f.create(f.spec("web", Broken, 1))
		tasks := f.awaitTasks(id, "failed", func(tasks []manager.Task) bool { return len(in(swarm.TaskStateFailed, tasks)) > 0 })
		require.Contains(f, tasks[0].Err, "starting container failed")
	}},
	{"a task that no node takes is pending until one does", func(f *fixture) {
		s := f.spec("web", Runs, 1)
		s.TaskTemplate.Placement = &swarm.Placement{Constraints: []string{"node.labels.disk==ssd"}}
		id := f.create(s)
		tasks := f.awaitTasks(id, "pending", func(tasks []manager.Task) bool {
			return len(in(swarm.TaskStatePending, tasks)) == 1 && tasks[0].Err != ""
		})
		require.Equal(f, "no suitable node (scheduling constraints not satisfied on 1 node)", tasks[0].Err)
		require.Empty(f, tasks[0].NodeID)
		f.update(id, func(s *swarm.ServiceSpec) { s.TaskTemplate.Placement.Constraints = []string{"node.labels.disk!=ssd"} })
		f.awaitRunning(id, 1)
	}},
	{"a task that asks for more than a node has is pending", func(f *fixture) {
		s := f.spec("web", Runs, 1)
		s.TaskTemplate.Resources = &swarm.ResourceRequirements{Reservations: &swarm.Resources{MemoryBytes: 1 << 50}}
		id := f.create(s)
		tasks := f.awaitTasks(id, "pending", func(tasks []manager.Task) bool {
			return len(in(swarm.TaskStatePending, tasks)) == 1 && tasks[0].Err != ""
		})
		require.Equal(f, "no suitable node (insufficient resources on 1 node)", tasks[0].Err)
	}},
	{"a constraint that is none is Invalid", func(f *fixture) {
		s := f.spec("web", Runs, 1)
		s.TaskTemplate.Placement = &swarm.Placement{Constraints: []string{"node.labels.disk=ssd"}}
		_, err := f.Manager.CreateService(f.Context(), s)
		f.fails(engine.Invalid, err)
	}},
}
