package model_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/swarm"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/swarm/manager"
	"github.com/tendhq/tend/controller/swarm/manager/managertest"
	"github.com/tendhq/tend/controller/swarm/manager/model"
)

// fixture is a Swarm of three managers and a worker, in virtual time.
type fixture struct {
	*testing.T
	*model.Swarm
}

func inTime(t *testing.T, run func(fixture)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newSwarm(t)
		s.AddNode("node2", swarm.NodeRoleManager)
		s.AddNode("node3", swarm.NodeRoleManager)
		s.AddNode("node4", swarm.NodeRoleWorker)
		run(fixture{t, s})
	})
}

const project = "shop"

func spec(replicas uint64) swarm.ServiceSpec {
	return swarm.ServiceSpec{
		Annotations:  swarm.Annotations{Name: "web", Labels: map[string]string{engine.ProjectLabel: project}},
		TaskTemplate: swarm.TaskSpec{ContainerSpec: &swarm.ContainerSpec{Image: imageOf(managertest.Runs)}},
		Mode:         swarm.ServiceMode{Replicated: &swarm.ReplicatedService{Replicas: &replicas}},
	}
}

// settles lets time pass in which nothing but what was asked for can happen.
func (f fixture) settles() { time.Sleep(time.Second) }

func (f fixture) create(s swarm.ServiceSpec) (id string) {
	f.Helper()
	id, err := f.CreateService(f.Context(), s)
	require.NoError(f, err)
	f.settles()
	return id
}

func (f fixture) tasks() []manager.Task {
	f.Helper()
	tasks, err := f.Tasks(f.Context(), project)
	require.NoError(f, err)
	return tasks
}

func (f fixture) service() manager.Service {
	f.Helper()
	services, err := f.Services(f.Context(), project)
	require.NoError(f, err)
	require.Len(f, services, 1)
	return services[0]
}

func (f fixture) node(hostname string) manager.Node {
	f.Helper()
	nodes, err := f.Nodes(f.Context())
	require.NoError(f, err)
	for _, n := range nodes {
		if n.Hostname == hostname {
			return n
		}
	}
	require.FailNow(f, "no node "+hostname)
	return manager.Node{}
}

// running counts the tasks that run and are to, by the node's host name.
func (f fixture) running() map[string]int {
	f.Helper()
	nodes, err := f.Nodes(f.Context())
	require.NoError(f, err)
	names := map[string]string{}
	for _, n := range nodes {
		names[n.ID] = n.Hostname
	}
	counts := map[string]int{}
	for _, t := range f.tasks() {
		if t.State == swarm.TaskStateRunning && t.DesiredState == swarm.TaskStateRunning {
			counts[names[t.NodeID]]++
		}
	}
	return counts
}

func TestTasksAreSpreadOverTheNodes(t *testing.T) {
	inTime(t, func(f fixture) {
		f.create(spec(8))
		require.Equal(f, map[string]int{"node1": 2, "node2": 2, "node3": 2, "node4": 2}, f.running())
	})
}

func TestTasksOfALostNodeAreMadeElsewhere(t *testing.T) {
	inTime(t, func(f fixture) {
		f.create(spec(4))
		f.StopNode("node4")
		f.settles()
		require.Equal(f, 1, f.running()["node4"], "the leader does not know yet")
		time.Sleep(30 * time.Second)
		require.Equal(f, swarm.NodeStateDown, f.node("node4").State)
		counts := f.running()
		require.Zero(f, counts["node4"])
		require.Equal(f, 4, counts["node1"]+counts["node2"]+counts["node3"])
		var old manager.Task
		for _, task := range f.tasks() {
			if task.DesiredState == swarm.TaskStateShutdown {
				old = task
			}
		}
		require.Equal(f, swarm.TaskStateRunning, old.State, "what was last heard of it")
		f.StartNode("node4")
		f.settles()
		require.Equal(f, swarm.NodeStateReady, f.node("node4").State)
		for _, task := range f.tasks() {
			if task.ID == old.ID {
				require.Equal(f, swarm.TaskStateShutdown, task.State)
			}
		}
		require.Equal(f, counts, f.running(), "nothing goes back by itself")
	})
}

func TestATaskOfALostNodeThatItsPlacementTiesToItIsPending(t *testing.T) {
	inTime(t, func(f fixture) {
		s := spec(1)
		s.TaskTemplate.Placement = &swarm.Placement{Constraints: []string{"node.hostname==node4"}}
		f.create(s)
		f.StopNode("node4")
		time.Sleep(30 * time.Second)
		tasks := f.tasks()
		last := tasks[len(tasks)-1]
		require.Equal(f, swarm.TaskStatePending, last.State)
		require.Equal(f, "no suitable node (scheduling constraints not satisfied on 3 nodes; 1 node not available for new tasks)", last.Err)
		f.StartNode("node4")
		f.settles()
		require.Equal(f, map[string]int{"node4": 1}, f.running())
	})
}

func TestADrainedNodeGivesItsTasksAway(t *testing.T) {
	inTime(t, func(f fixture) {
		f.create(spec(4))
		f.SetAvailability("node4", swarm.NodeAvailabilityDrain)
		f.settles()
		counts := f.running()
		require.Zero(f, counts["node4"])
		require.Equal(f, 4, counts["node1"]+counts["node2"]+counts["node3"])
	})
}

func TestANodeThatIsCutOffGoesOnUntilItIsHeardOfAgain(t *testing.T) {
	inTime(t, func(f fixture) {
		f.create(spec(4))
		f.CutNode("node4")
		time.Sleep(30 * time.Second)
		require.Zero(f, f.running()["node4"])
		f.HealNode("node4")
		f.settles()
		for _, task := range f.tasks() {
			if task.NodeID == f.node("node4").ID {
				require.Equal(f, swarm.TaskStateShutdown, task.State)
			}
		}
	})
}

func TestAnotherManagerLeadsWhenTheLeaderIsLost(t *testing.T) {
	inTime(t, func(f fixture) {
		require.True(f, f.node("node1").Leader)
		f.StopNode("node1")
		require.True(f, f.node("node2").Leader)
		require.Equal(f, swarm.ReachabilityUnreachable, f.node("node1").Reachability)
		info, err := f.Info(f.Context())
		require.NoError(f, err)
		require.Equal(f, 3, info.Managers)
		require.Equal(f, 2, info.Reachable)
		f.create(spec(4))
		time.Sleep(30 * time.Second) // the leader may have given node1 a task before it knew
		counts := f.running()
		require.Equal(f, 4, counts["node2"]+counts["node3"]+counts["node4"], "%v", counts)
	})
}

func TestWithoutAQuorumNothingIsChanged(t *testing.T) {
	inTime(t, func(f fixture) {
		id := f.create(spec(4))
		before := f.service()
		f.StopNode("node1")
		f.StopNode("node2")
		_, err := f.Services(f.Context(), project)
		require.ErrorIs(f, err, manager.ErrNoQuorum)
		require.Equal(f, engine.Unavailable, engine.ClassOf(err))
		err = f.UpdateService(f.Context(), id, before.Version, spec(9))
		require.ErrorIs(f, err, manager.ErrNoQuorum)
		require.ErrorIs(f, f.RemoveService(f.Context(), id), manager.ErrNoQuorum)
		time.Sleep(time.Hour)
		f.StartNode("node2")
		require.Equal(f, before.Version, f.service().Version)
		time.Sleep(30 * time.Second)
		counts := f.running()
		require.Equal(f, 4, counts["node2"]+counts["node3"]+counts["node4"], "%v", counts)
	})
}

func TestALastWriteIsForgotten(t *testing.T) {
	inTime(t, func(f fixture) {
		f.create(spec(2))
		f.ForgetLastWrite()
		services, err := f.Services(f.Context(), project)
		require.NoError(f, err)
		require.Empty(f, services)

		id := f.create(spec(2))
		before := f.service()
		require.NoError(f, f.UpdateService(f.Context(), id, before.Version, spec(3)))
		f.ForgetLastWrite()
		f.settles()
		require.EqualValues(f, 2, *f.service().Spec.Mode.Replicated.Replicas)
		require.Greater(f, f.service().Version, before.Version)

		require.NoError(f, f.RemoveService(f.Context(), id))
		f.settles()
		f.ForgetLastWrite()
		f.settles()
		require.EqualValues(f, 2, f.service().Running)
	})
}

func TestAReplyIsLostOrARequest(t *testing.T) {
	inTime(t, func(f fixture) {
		f.FailNext(model.OpCreateService, engine.Unknown, false)
		_, err := f.CreateService(f.Context(), spec(1))
		require.Equal(f, engine.Unknown, engine.ClassOf(err))
		require.Empty(f, f.tasks())
		f.FailNext(model.OpCreateService, engine.Unknown, true)
		_, err = f.CreateService(f.Context(), spec(1))
		require.Equal(f, engine.Unknown, engine.ClassOf(err))
		f.settles()
		require.EqualValues(f, 1, f.service().Running)
		require.Len(f, f.Writes(), 2)
	})
}

func TestAPersonsUpdateRaisesTheVersion(t *testing.T) {
	inTime(t, func(f fixture) {
		id := f.create(spec(1))
		before := f.service()
		f.UpdateBehind("web", func(s *swarm.ServiceSpec) { s.TaskTemplate.ForceUpdate++ })
		err := f.UpdateService(f.Context(), id, before.Version, before.Spec)
		require.Equal(f, engine.Conflict, engine.ClassOf(err))
	})
}

func TestARunThatEndsIsFollowedByAnotherAfterTheDelay(t *testing.T) {
	inTime(t, func(f fixture) {
		f.create(spec(1))
		f.Exit(f.tasks()[0].ID, 1)
		f.settles()
		require.Empty(f, f.running())
		time.Sleep(5 * time.Second)
		require.Len(f, f.running(), 1)
	})
}
