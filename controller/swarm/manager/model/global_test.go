package model_test

import (
	"testing"
	"time"

	"github.com/docker/docker/api/types/swarm"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/swarm/manager/managertest"
)

// global is a service of one task on each node, which is updated one node after the other.
func global(image string) swarm.ServiceSpec {
	s := spec(0)
	s.TaskTemplate.ContainerSpec.Image = imageOf(image)
	s.Mode = swarm.ServiceMode{Global: &swarm.GlobalService{}}
	s.UpdateConfig = &swarm.UpdateConfig{Parallelism: 1, Monitor: time.Second, FailureAction: swarm.UpdateFailureActionPause}
	return s
}

// change gives the service another spec.
func (f fixture) change(change func(*swarm.ServiceSpec)) {
	f.Helper()
	s := f.service()
	change(&s.Spec)
	require.NoError(f, f.UpdateService(f.Context(), s.ID, s.Version, s.Spec))
}

func image(name string) func(*swarm.ServiceSpec) {
	return func(s *swarm.ServiceSpec) { s.TaskTemplate.ContainerSpec.Image = imageOf(name) }
}

// at counts the tasks of an image that run and are to, by the node's host name.
func (f fixture) at(name string) map[string]int {
	f.Helper()
	counts := map[string]int{}
	for _, hostname := range []string{"node1", "node2", "node3", "node4", "node5"} {
		for _, t := range f.tasks() {
			if t.State == swarm.TaskStateRunning && t.DesiredState == swarm.TaskStateRunning && t.Spec.ContainerSpec.Image == imageOf(name) && f.has(hostname, t.NodeID) {
				counts[hostname]++
			}
		}
	}
	return counts
}

func (f fixture) has(hostname, id string) bool {
	nodes, err := f.Nodes(f.Context())
	require.NoError(f, err)
	for _, n := range nodes {
		if n.Hostname == hostname && n.ID == id {
			return true
		}
	}
	return false
}

var everywhere = map[string]int{"node1": 1, "node2": 1, "node3": 1, "node4": 1}

func TestAGlobalServiceHasATaskOnEachNode(t *testing.T) {
	inTime(t, func(f fixture) {
		f.create(global(managertest.Runs))
		require.Equal(f, everywhere, f.running())
		require.EqualValues(f, 4, f.service().Desired)
		f.AddNode("node5", swarm.NodeRoleWorker)
		f.settles()
		require.Equal(f, 1, f.running()["node5"])
		f.SetAvailability("node5", swarm.NodeAvailabilityDrain)
		f.settles()
		require.Equal(f, everywhere, f.running())
		require.EqualValues(f, 4, f.service().Desired)
		f.SetAvailability("node5", swarm.NodeAvailabilityActive)
		f.settles()
		require.Equal(f, 1, f.running()["node5"])
		f.RemoveNode("node5")
		f.settles()
		require.Equal(f, everywhere, f.running())
		require.EqualValues(f, 4, f.service().Desired)
	})
}

func TestATaskOfAGlobalServiceIsNotMadeElsewhere(t *testing.T) {
	inTime(t, func(f fixture) {
		f.create(global(managertest.Runs))
		f.StopNode("node4")
		time.Sleep(30 * time.Second)
		require.Equal(f, map[string]int{"node1": 1, "node2": 1, "node3": 1}, f.running())
		require.Len(f, f.tasks(), 4)
		require.EqualValues(f, 3, f.service().Desired)
		f.StartNode("node4")
		f.settles()
		require.Equal(f, everywhere, f.running())
	})
}

func TestAPausedNodeKeepsItsTaskAndGetsNoOther(t *testing.T) {
	inTime(t, func(f fixture) {
		f.create(global(managertest.Runs))
		f.SetAvailability("node4", swarm.NodeAvailabilityPause)
		f.change(image(managertest.Recovers))
		time.Sleep(time.Minute)
		require.Equal(f, map[string]int{"node4": 1}, f.at(managertest.Runs))
		require.Equal(f, swarm.UpdateStateCompleted, f.service().Update.State)
		f.SetAvailability("node4", swarm.NodeAvailabilityActive)
		time.Sleep(time.Minute)
		require.Equal(f, everywhere, f.at(managertest.Recovers))
	})
}

func TestConstraintsOfAGlobalServiceAreHeldAgainstEachNode(t *testing.T) {
	inTime(t, func(f fixture) {
		s := global(managertest.Runs)
		s.TaskTemplate.Placement = &swarm.Placement{Constraints: []string{"node.labels.disk==ssd"}}
		f.create(s)
		require.Empty(f, f.tasks())
		f.LabelNode("node2", "disk", "ssd")
		f.settles()
		require.Equal(f, map[string]int{"node2": 1}, f.running())
		f.LabelNode("node2", "disk", "hdd")
		f.settles()
		require.Empty(f, f.running())
		f.change(func(s *swarm.ServiceSpec) { s.TaskTemplate.Placement.Constraints[0] = "node.labels.disk!=hdd" })
		f.settles()
		require.Equal(f, map[string]int{"node1": 1, "node3": 1, "node4": 1}, f.running())
	})
}

func TestAnUpdateThatStartsATaskFirstLeavesNoNodeWithoutOne(t *testing.T) {
	inTime(t, func(f fixture) {
		s := global(managertest.Runs)
		s.UpdateConfig.Order = swarm.UpdateOrderStartFirst
		f.create(s)
		f.change(image(managertest.Recovers))
		for range 1000 {
			for hostname, n := range f.running() {
				require.Positive(f, n, hostname)
			}
			require.Len(f, f.running(), 4)
			time.Sleep(10 * time.Millisecond)
		}
		require.Equal(f, everywhere, f.at(managertest.Recovers))
	})
}

// A worker of the update waits for the task of its node for ever, and nobody else goes on.
// The same spec once more changes nothing; another one begins another update.
func TestAnUpdateOfAGlobalServiceStandsStillWhereItsNodeIsLost(t *testing.T) {
	inTime(t, func(f fixture) {
		f.StopNode("node1")
		f.StartNode("node1") // another one leads now, and goes on
		f.create(global(managertest.Runs))
		f.change(image(managertest.Recovers))
		time.Sleep(100 * time.Millisecond)
		f.StopNode("node1")
		time.Sleep(time.Hour)
		require.Equal(f, swarm.UpdateStateUpdating, f.service().Update.State)
		require.Len(f, f.at(managertest.Runs), 3)
		f.change(func(*swarm.ServiceSpec) {})
		time.Sleep(time.Hour)
		require.Len(f, f.at(managertest.Runs), 3)
		f.change(func(s *swarm.ServiceSpec) { s.Labels["again"] = "1" })
		time.Sleep(time.Hour)
		require.Len(f, f.at(managertest.Recovers), 3)
		require.Equal(f, swarm.UpdateStateCompleted, f.service().Update.State)
	})
}

func TestADrainPausesTheUpdateThatMakesATaskOnTheNode(t *testing.T) {
	inTime(t, func(f fixture) {
		f.create(global(managertest.Runs))
		f.change(image(managertest.Recovers))
		time.Sleep(100 * time.Millisecond)
		f.SetAvailability("node1", swarm.NodeAvailabilityDrain)
		time.Sleep(time.Minute)
		require.Equal(f, swarm.UpdateStatePaused, f.service().Update.State)
		require.Equal(f, map[string]int{"node2": 1, "node3": 1, "node4": 1}, f.at(managertest.Runs))
	})
}

// What the next leader hears of its nodes has it replace their tasks, whether or not an update
// is paused.
func TestANodeThatChangesGetsWhatAPausedUpdateHeldBack(t *testing.T) {
	inTime(t, func(f fixture) {
		f.create(global(managertest.Runs))
		f.change(image(managertest.Sick))
		time.Sleep(time.Minute)
		require.Equal(f, swarm.UpdateStatePaused, f.service().Update.State)
		require.Len(f, f.at(managertest.Runs), 3)
		f.LabelNode("node4", "disk", "ssd")
		f.settles()
		require.Len(f, f.at(managertest.Runs), 2)
		f.StopNode("node1")
		f.settles()
		require.Empty(f, f.at(managertest.Runs))
	})
}
