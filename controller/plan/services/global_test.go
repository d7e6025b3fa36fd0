package services

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/swarm"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/swarm/convert"
	"github.com/tendhq/tend/controller/swarm/manager"
)

// agent is a project whose one service runs on each node; more is of its deploy.
func agent(version int, more string) string {
	return fmt.Sprintf("services: {agent: {image: 'agent:%d', volumes: ['data:/data'], deploy: {mode: global%s}}}\nvolumes: {data: {}}\n", version, more)
}

// onEach is a world of three nodes in which the agent is complete at version 1.
func onEach(t *testing.T) *world {
	t.Helper()
	w := emptyWorld(t, t.TempDir())
	w.join("c")
	w.write(agent(1, ""), "")
	w.settle()
	require.True(t, w.statuses["agent"].Converged, w.statuses["agent"].Obstacle)
	require.Equal(t, 3, w.statuses["agent"].Desired)
	w.took()
	return w
}

// join has a node join.
func (w *world) join(name string) {
	w.nodes = append(w.nodes, manager.Node{ID: "id-" + name, Hostname: name, Role: swarm.NodeRoleWorker, State: swarm.NodeStateReady, Availability: swarm.NodeAvailabilityActive})
	w.look()
}

func TestEachNodeHasAReplica(t *testing.T) {
	w := onEach(t)
	s := w.service("agent")
	assert.NotNil(t, s.Spec.Mode.Global)
	assert.Empty(t, convert.PinnedTo(s.Spec), "its volume pins it")
	before := w.rollouts["agent"]

	w.nodes = append(w.nodes, manager.Node{ID: "id-d", Hostname: "d", State: swarm.NodeStateReady, Availability: swarm.NodeAvailabilityActive})
	w.settle()
	status := w.statuses["agent"]
	assert.Equal(t, 4, status.Desired)
	assert.False(t, status.Converged, "the new node has none yet")
	assert.Equal(t, core.OutcomeMoving, status.Outcome)
	w.look()
	w.settle()
	assert.True(t, w.statuses["agent"].Converged)
	assert.Equal(t, 4, w.statuses["agent"].Available)

	w.nodes[3].Availability = swarm.NodeAvailabilityDrain
	w.look()
	w.settle()
	assert.True(t, w.statuses["agent"].Converged)
	w.nodes[2].State = swarm.NodeStateDown // its task is as it was last heard of
	w.settle()
	assert.True(t, w.statuses["agent"].Converged, w.statuses["agent"].Obstacle)
	assert.Equal(t, 2, w.statuses["agent"].Desired)
	assert.Equal(t, 2, w.statuses["agent"].Ready)
	w.nodes = w.nodes[:2]
	w.settle()
	assert.True(t, w.statuses["agent"].Converged)
	assert.Empty(t, w.took(), "nodes come and go by themselves")
	assert.Equal(t, before.StartedAt, w.rollouts["agent"].StartedAt)
}

func TestConstraintsAndPlatformSayWhichNodesHaveAReplica(t *testing.T) {
	w := onEach(t)
	w.nodes[1].Labels = map[string]string{"disk": "ssd"}
	w.nodes[2].Labels, w.nodes[2].OS, w.nodes[2].Architecture = map[string]string{"disk": "ssd"}, "linux", "aarch64"
	w.write(agent(1, ", placement: {constraints: [node.labels.disk == ssd]}"), "")
	w.settle()
	assert.Equal(t, 2, w.statuses["agent"].Desired)
	assert.True(t, w.statuses["agent"].Converged)
	w.write(strings.Replace(agent(1, ", placement: {constraints: [node.labels.disk == ssd]}"), "image:", "platform: linux/arm64, image:", 1), "")
	w.settle()
	assert.Equal(t, 1, w.statuses["agent"].Desired)
	assert.True(t, w.statuses["agent"].Converged)
}

func TestAPausedNodeIsNoPartOfARollout(t *testing.T) {
	w := onEach(t)
	w.nodes[1].Availability = swarm.NodeAvailabilityPause
	w.write(agent(2, ""), "")
	w.settle()
	status := w.statuses["agent"]
	assert.True(t, status.Converged, status.Obstacle)
	assert.Equal(t, 2, status.Desired)
	assert.Contains(t, strings.Join(status.Blockers(), "\n"), "replica on b is at revision")
}

// That nothing is missing where no node may have a replica shows nothing of a revision.
func TestWhereNoNodeMayHaveAReplicaItWaits(t *testing.T) {
	w := onEach(t)
	w.never["agent:2"] = true
	w.write(agent(2, ", placement: {constraints: [node.labels.disk == ssd]}"), "")
	w.pass(time.Hour)
	status := w.statuses["agent"]
	assert.Equal(t, core.OutcomeWaiting, status.Outcome)
	assert.Contains(t, status.Obstacle, "waiting for a node that may have a replica")
	assert.Zero(t, status.Desired)
	assert.False(t, status.Condition(core.Available).Status)
	assert.Equal(t, "agent:2", w.image("agent"), "it is taken back")
	assert.NotEqual(t, w.rollouts["agent"].Revision, w.rollouts["agent"].Stable)
}

func TestARevisionThatFailsOnANodeIsTakenBack(t *testing.T) {
	w := onEach(t)
	w.broken["agent:2"] = true
	w.write(agent(2, ""), "")
	w.pass(3 * time.Second)
	assert.Equal(t, "agent:1", w.image("agent"))
	assert.Contains(t, strings.Join(w.events, "\n"), ": replica on a is failed: task: non-zero exit (1)")
	w.settle()
	assert.Equal(t, core.OutcomeStalled, w.statuses["agent"].Outcome)
	assert.Equal(t, 3, w.statuses["agent"].Available)
}

// updating has Swarm in the midst of the update to version 2: the first node is being updated.
func updating(w *world) *manager.Service {
	w.never["agent:2"] = true
	w.write(agent(2, ""), "")
	old := append([]manager.Task{}, w.tasks...)
	w.step()
	s := w.service("agent")
	s.Update = manager.Update{State: swarm.UpdateStateUpdating, Message: "update in progress"}
	w.tasks = append(old[1:], w.tasks[0])
	w.never = map[string]bool{}
	w.took()
	return s
}

// Swarm pauses the update for the task of a node that is drained, which is no fault of the
// revision's.
func TestAnUpdateThatADrainHasPausedGoesOn(t *testing.T) {
	w := onEach(t)
	s := updating(w)
	new := &w.tasks[len(w.tasks)-1]
	new.State, new.DesiredState = swarm.TaskStateShutdown, swarm.TaskStateShutdown
	w.nodes[0].Availability = swarm.NodeAvailabilityDrain
	s.Update = manager.Update{State: swarm.UpdateStatePaused, Message: "update paused due to failure or early termination of task " + new.ID}
	w.step()
	assert.Equal(t, "update-service shop_agent", w.took())
	assert.Equal(t, "1", w.service("agent").Spec.Labels[convert.LabelResumed], "Swarm begins no update to what it has")
	w.settle()
	assert.Equal(t, "agent:2", w.image("agent"))
	assert.True(t, w.statuses["agent"].Converged, w.statuses["agent"].Obstacle)
	assert.Equal(t, 2, w.statuses["agent"].Desired)
	assert.Empty(t, w.took(), "the label is no difference")
}

// Swarm waits for ever for the task that it has made on a node that is lost.
func TestAnUpdateThatStandsStillIsHelpedOn(t *testing.T) {
	w := onEach(t)
	updating(w)
	w.nodes[0].State = swarm.NodeStateDown
	w.pass(standstill)
	assert.Empty(t, w.took())
	w.pass(2 * time.Second)
	assert.Equal(t, "update-service shop_agent", w.took())
	w.settle()
	assert.Equal(t, "agent:2", w.image("agent"))
	assert.True(t, w.statuses["agent"].Converged, w.statuses["agent"].Obstacle)
}

// A node that joins late in a rollout has as much time for its replica as the others.
func TestANodeThatJoinsInARolloutHasItsOwnTime(t *testing.T) {
	w := onEach(t)
	w.write(agent(2, ""), "")
	w.never["agent:2"] = true
	w.pass(9 * time.Minute) // of the ten that there are
	w.join("d")
	w.pass(9 * time.Minute)
	assert.Equal(t, "agent:2", w.image("agent"))
	w.pass(2 * time.Minute)
	assert.Equal(t, "agent:1", w.image("agent"))
}

// Swarm cannot change the mode of a service: one goes and another comes, and nobody writes
// beside what still ends.
func TestAnotherModeIsAnotherService(t *testing.T) {
	w := onEach(t)
	w.write(strings.Replace(agent(1, ""), "mode: global", "mode: replicated", 1), "")
	w.settle()
	assert.Equal(t, "remove-service shop_agent\ncreate-service shop_agent", w.took())
	assert.True(t, w.statuses["agent"].Converged)
	node := convert.PinnedTo(w.service("agent").Spec)
	assert.NotEmpty(t, node)

	w.write(agent(1, ""), "")
	ending := w.tasks[0]
	ending.DesiredState = swarm.TaskStateRemove
	w.step()
	assert.Equal(t, "remove-service shop_agent", w.took())
	w.tasks = append(w.tasks, ending)
	w.pass(3 * time.Minute)
	assert.Empty(t, w.took())
	assert.Contains(t, w.statuses["agent"].Obstacle, "waiting until its tasks have ended")
	w.tasks = nil
	w.settle()
	assert.Equal(t, "create-service shop_agent", w.took())
	assert.Equal(t, 3, w.statuses["agent"].Available)

	paused := true
	w.intents["agent"] = core.Intent{Paused: &paused}
	w.write(strings.Replace(agent(1, ""), "mode: global", "mode: replicated", 1), "")
	w.settle()
	assert.Empty(t, w.took(), "what is paused is taken away")
}

func TestOneReplicaIsShownOfEachNode(t *testing.T) {
	global := swarm.ServiceSpec{Mode: swarm.ServiceMode{Global: &swarm.GlobalService{}}}
	a := manager.Task{ID: "1", NodeID: "a", State: swarm.TaskStateFailed, CreatedAt: time.Unix(1, 0)}
	b := manager.Task{ID: "2", NodeID: "b", State: swarm.TaskStateRunning, CreatedAt: time.Unix(2, 0)}
	next := manager.Task{ID: "3", NodeID: "a", State: swarm.TaskStateFailed, CreatedAt: time.Unix(3, 0)}
	unplaced := manager.Task{ID: "4", NodeID: "c", State: swarm.TaskStatePending, DesiredState: swarm.TaskStateShutdown}
	all := []manager.Task{a, b, next, unplaced}
	assert.False(t, Shown(a, all, global))
	assert.True(t, Shown(b, all, global))
	assert.True(t, Shown(next, all, global))
	assert.False(t, Shown(unplaced, all, global), "no node was told of it")
}
