package managertest

import (
	"github.com/docker/docker/api/types/swarm"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/swarm/manager"
)

// global is a service of one task on each node.
func (f *fixture) global(name, image string) swarm.ServiceSpec {
	s := f.spec(name, image, 0)
	s.Mode = swarm.ServiceMode{Global: &swarm.GlobalService{}}
	return s
}

// waiting reports whether the one task there is waits for its node, and says why.
func waiting(tasks []manager.Task) bool {
	return len(tasks) == 1 && len(in(swarm.TaskStatePending, tasks)) == 1 && tasks[0].Err != ""
}

var globalCases = []testCase{
	{"a global service has a task on the node, in no slot", func(f *fixture) {
		id := f.create(f.global("agent", Runs))
		task := f.awaitRunning(id, 1)[0]
		require.Zero(f, task.Slot)
		nodes, err := f.Manager.Nodes(f.Context())
		require.NoError(f, err)
		require.Equal(f, nodes[0].ID, task.NodeID)
		s := f.service(id)
		require.NotNil(f, s.Spec.Mode.Global)
		require.EqualValues(f, 1, s.Running)
		require.EqualValues(f, 1, s.Desired)
	}},
	{"a global service becomes no replicated one", func(f *fixture) {
		id := f.create(f.global("agent", Runs))
		s := f.service(id)
		f.fails(engine.Invalid, f.Manager.UpdateService(f.Context(), id, s.Version, f.spec("agent", Runs, 1)))
	}},
	{"a task of a global service that exits is followed by another on its node", func(f *fixture) {
		id := f.create(f.global("agent", Exits))
		tasks := f.awaitTasks(id, "failed", func(tasks []manager.Task) bool { return len(in(swarm.TaskStateFailed, tasks)) >= 2 })
		require.Equal(f, tasks[0].NodeID, tasks[1].NodeID)
		require.Zero(f, tasks[1].Slot)
		require.Equal(f, swarm.TaskStateShutdown, tasks[0].DesiredState)
		f.awaitTasks(id, "fewer", func(now []manager.Task) bool { return now[0].ID != tasks[0].ID && len(now) >= 5 })
	}},
	{"restarts of a global service end with the attempts that there may be", func(f *fixture) {
		s, attempts := f.global("agent", Exits), uint64(1)
		s.TaskTemplate.RestartPolicy.MaxAttempts = &attempts
		id := f.create(s)
		f.awaitTasks(id, "given up", func(tasks []manager.Task) bool {
			return len(tasks) == 2 && len(in(swarm.TaskStateFailed, tasks)) == 2 && len(wanted(tasks)) == 0
		})
		require.Zero(f, f.service(id).Desired)
	}},
	{"an update of a global service stops the task of a node before it starts another", func(f *fixture) {
		id := f.create(f.global("agent", Runs))
		f.awaitRunning(id, 1)
		f.update(id, func(s *swarm.ServiceSpec) { s.TaskTemplate.ContainerSpec.Image = f.Image(Recovers) })
		least := 1
		f.awaitTasks(id, "updated", func(tasks []manager.Task) bool {
			least = min(least, len(running(tasks)))
			return f.service(id).Update.State == swarm.UpdateStateCompleted
		})
		require.Zero(f, least)
		task := f.awaitRunning(id, 1)[0]
		require.Equal(f, f.Image(Recovers), task.Spec.ContainerSpec.Image)
		require.Zero(f, task.Slot)
	}},
	// Where anything of its node changes meanwhile, as when a task there has another network,
	// Swarm ends the one task at once.
	{"an update of a global service that starts a task first is complete, too", func(f *fixture) {
		s := f.global("agent", Runs)
		s.UpdateConfig.Order = swarm.UpdateOrderStartFirst
		id := f.create(s)
		f.awaitRunning(id, 1)
		f.update(id, func(s *swarm.ServiceSpec) { s.TaskTemplate.ContainerSpec.Image = f.Image(Recovers) })
		f.awaitUpdate(id, swarm.UpdateStateCompleted)
		require.Equal(f, f.Image(Recovers), f.awaitRunning(id, 1)[0].Spec.ContainerSpec.Image)
	}},
	{"an update of a global service whose task fails is paused", func(f *fixture) {
		id := f.create(f.global("agent", Runs))
		f.awaitRunning(id, 1)
		f.update(id, func(s *swarm.ServiceSpec) { s.TaskTemplate.ContainerSpec.Image = f.Image(Sick) })
		paused := f.awaitUpdate(id, swarm.UpdateStatePaused)
		require.Contains(f, paused.Update.Message, "update paused due to failure or early termination of task")
		f.update(id, func(s *swarm.ServiceSpec) { s.TaskTemplate.ContainerSpec.Image = f.Image(Runs) })
		f.awaitUpdate(id, swarm.UpdateStateCompleted)
		f.awaitRunning(id, 1)
	}},
	{"a node that constraints rule out has no task of a global service", func(f *fixture) {
		s := f.global("agent", Runs)
		s.TaskTemplate.Placement = &swarm.Placement{Constraints: []string{"node.labels.disk==ssd"}}
		id := f.create(s)
		f.awaitTasks(f.create(f.spec("clock", Exits, 1)), "there", func(tasks []manager.Task) bool { return len(tasks) > 2 })
		require.Empty(f, f.tasks(id))
		require.Zero(f, f.service(id).Desired)
		f.update(id, func(s *swarm.ServiceSpec) { s.TaskTemplate.Placement.Constraints[0] = "node.labels.disk!=ssd" })
		f.awaitRunning(id, 1)
		f.update(id, func(s *swarm.ServiceSpec) { s.TaskTemplate.Placement.Constraints[0] = "node.labels.disk==ssd" })
		f.awaitTasks(id, "ended", func(tasks []manager.Task) bool {
			return len(tasks) == 1 && len(in(swarm.TaskStateShutdown, tasks)) == 1
		})
	}},
	{"a task of a global service waits for a node of another platform, or with too little", func(f *fixture) {
		s := f.global("agent", Runs)
		s.TaskTemplate.Placement = &swarm.Placement{Platforms: []swarm.Platform{{OS: "linux", Architecture: "s390x"}}}
		id := f.create(s)
		task := f.awaitTasks(id, "waiting", waiting)[0]
		require.Equal(f, "unsupported platform on 1 node", task.Err)
		require.NotEmpty(f, task.NodeID)
		s = f.global("large", Runs)
		s.TaskTemplate.Resources = &swarm.ResourceRequirements{Reservations: &swarm.Resources{MemoryBytes: 1 << 50}}
		task = f.awaitTasks(f.create(s), "waiting", waiting)[0]
		require.Equal(f, "insufficient resources on 1 node", task.Err)
		require.NoError(f, f.Manager.RemoveService(f.Context(), id))
		f.awaitTasks(id, "gone", func(tasks []manager.Task) bool { return len(tasks) == 0 })
	}},
}
