package services

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/swarm"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/swarm/manager"
)

// A Job that has run stays so, whatever somebody does with its service.
func TestAJobWhoseServiceIsGoneIsNotRunAgain(t *testing.T) {
	seed := func(version, n int) string {
		return fmt.Sprintf(`services: {seed: {image: "seed:%d", scale: %d, restart: "no"}}`, version, n)
	}
	w := newWorld(t, seed(1, 1), "")
	w.settle()
	gone := func() {
		w.services, w.tasks = nil, nil
		w.took()
		w.settle()
	}
	gone()
	assert.Empty(t, w.took())
	assert.Equal(t, core.OutcomeComplete, w.statuses["seed"].Outcome)
	w.write(seed(1, 2), "")
	w.settle()
	assert.Equal(t, "create-service shop_seed", w.took(), "another completion is wanted")
	gone()
	assert.Empty(t, w.took())
	w.write(seed(2, 2), "")
	w.settle()
	assert.Equal(t, "create-service shop_seed", w.took(), "another revision is to run")
}

func postgres(version int) (compose, specs string) {
	return fmt.Sprintf(`{services: {db: {image: "db:%d", volumes: ["data:/var/lib/postgresql/data"]}}, volumes: {data: {}}}`, version), `apiVersion: tend/v1
kind: Database
metadata: {name: db}
spec: {engine: postgres, backup: {beforeUpdate: false}}
`
}

// Swarm starts the next task after a minute, whether or not the one before has ended.
func TestADatabasesTaskEndsBeforeTheNextOneStarts(t *testing.T) {
	w := emptyWorld(t, t.TempDir())
	w.write(postgres(1))
	w.settle()
	old := slices.Clone(w.tasks)
	w.took()
	w.write(postgres(2))
	for range 10 { // what prepares the update comes first
		if w.step(); slices.Contains(w.did, "update-service shop_db") {
			break
		}
	}
	assert.Zero(t, *w.service("db").Spec.Mode.Replicated.Replicas)
	assert.Equal(t, "db:1", w.image("db"), "the next one is to start")

	old[0].DesiredState = swarm.TaskStateShutdown // it takes its time
	w.tasks = old
	yes := true
	for _, change := range []func(){
		func() {},
		func() { w.write(postgres(1)) }, // back to where it was
		func() { w.write(postgres(2)); w.services = nil },            // somebody removes the service
		func() { w.intents["db"] = core.Intent{RestartedAt: w.now} }, // as a restart does
	} {
		change()
		w.pass(2 * time.Minute)
		if s := w.input("db").Service; s != nil {
			assert.Zero(t, *s.Spec.Mode.Replicated.Replicas, "the next one starts beside it")
		}
	}
	w.tasks = nil
	w.settle()
	assert.Equal(t, "db:2", w.image("db"))
	assert.EqualValues(t, 1, *w.service("db").Spec.Mode.Replicated.Replicas)

	w.write(postgres(1))
	w.step()
	w.intents["db"] = core.Intent{Paused: &yes}
	w.settle()
	assert.EqualValues(t, 1, *w.service("db").Spec.Mode.Replicated.Replicas, "a pause leaves the database stopped")
}

// A task that has failed has Swarm pause an update for ever, also where the next one works.
func TestAnUpdateThatSwarmHasPausedIsOverOnceAllIsAvailable(t *testing.T) {
	w := newWorld(t, at(1), "")
	w.step()
	w.step() // the network comes first
	w.service("web").Update = manager.Update{State: swarm.UpdateStatePaused, Message: "update paused"}
	failed := w.tasks[0]
	failed.ID, failed.State, failed.DesiredState = "failed", swarm.TaskStateFailed, swarm.TaskStateShutdown
	w.tasks = append(w.tasks, failed)
	w.pass(2 * time.Second)
	assert.False(t, w.rollouts["web"].Complete, "Swarm would still watch its tasks")
	w.pass(5 * time.Second)
	w.settle()
	assert.True(t, w.statuses["web"].Converged, w.statuses["web"].Obstacle)
}

// What did not come forward while nobody looked, or there was no quorum, is not held against
// a revision.
func TestTheTimeInWhichNobodyLooksDoesNotCount(t *testing.T) {
	w := newWorld(t, at(1), hooked)
	w.settle()
	w.never["web:2"] = true
	w.write(at(2), hooked)
	w.settle() // the hook runs
	w.now = w.now.Add(time.Hour)
	in := w.input("web")
	assert.Contains(t, fmt.Sprint(Compute(in).Events), "RolledBack")
	in.Since = w.now
	assert.NotContains(t, fmt.Sprint(Compute(in).Events), "RolledBack")
	in.Rollout.Hooked, in.Rollout.Blocked = in.Spec.Revision, false
	assert.NotContains(t, fmt.Sprint(Compute(in).Events), "RolledBack")
	in.Now = in.Now.Add(time.Hour)
	assert.Contains(t, fmt.Sprint(Compute(in).Events), "RolledBack")
}

// Swarm pauses an update also where a new task ends with its node.
func TestAnUpdateWhoseTaskWasLostWithItsNodeGoesOn(t *testing.T) {
	w := newWorld(t, at(1), "")
	rolled(w, 1)
	w.write(at(2), "")
	w.step()
	w.service("web").Update = manager.Update{State: swarm.UpdateStatePaused, Message: "update paused due to failure or early termination of task t2"}
	w.tasks[0].State = swarm.TaskStateShutdown
	w.took()
	w.step()
	assert.Equal(t, "update-service shop_web", w.took())
	assert.Equal(t, "web:2", w.image("web"))

	// Where that never helps it is no progress.
	for range 20 * 60 {
		w.service("web").Update = manager.Update{State: swarm.UpdateStatePaused, Message: "update paused"}
		for i := range w.tasks {
			w.tasks[i].State = swarm.TaskStateShutdown
		}
		w.pass(time.Second)
	}
	assert.Equal(t, "web:1", w.image("web"))
	assert.Less(t, strings.Count(w.took(), "update-service"), 20)
}

// A restart that Swarm has paused goes on, as its revision has worked.
func TestARestartThatSwarmHasPausedGoesOn(t *testing.T) {
	w := newWorld(t, at(1), "")
	rolled(w, 1)
	w.now = w.now.Add(time.Minute)
	w.intents["web"] = core.Intent{RestartedAt: w.now}
	w.step()
	w.service("web").Update = manager.Update{State: swarm.UpdateStatePaused, Message: "update paused"}
	w.tasks[0].State = swarm.TaskStateFailed
	w.took()
	w.step()
	assert.Equal(t, "update-service shop_web", w.took())
}

// A network that tend has made is known by its label, under whichever name it is there, as an
// earlier tend has called it otherwise.
func TestANetworkIsKnownByItsLabel(t *testing.T) {
	w := newWorld(t, "services: {web: {image: web:1}}", "")
	labels := map[string]string{spec.LabelProject: w.project.Name, spec.LabelNetwork: "default"}
	in := w.projectInput()
	for _, name := range []string{w.project.Name + "_default", w.project.Name + "-default"} {
		in.Networks = []manager.Network{{ID: "n", Name: name, Labels: labels}}
		assert.Empty(t, ComputeProject(in).Actions, name)
		assert.Equal(t, map[string]string{w.project.Name + "_default": "n"}, in.Objects().Networks, name)
	}
	in.Networks = []manager.Network{{ID: "n", Name: w.project.Name + "-default"}}
	actions := ComputeProject(in).Actions
	require.Len(t, actions, 1, "somebody else's is taken for the project's")
	assert.Equal(t, CreateNetwork, actions[0].Kind)
}
