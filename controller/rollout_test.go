package controller

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/model"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/state"
)

const served = `
web:
  image: healthy:1
  expose: ["8080"]
  deploy: {replicas: 2}
`

func deployment(image string) string {
	return "kind: Deployment\nmetadata: {name: web}\nspec: {replicas: 2, drainSeconds: 5, progressDeadlineSeconds: 60, strategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}, template: {image: '" + image + "'}}"
}

// published are the container IDs of the endpoints of web.
func (w *world) published() map[string]bool {
	ids := map[string]bool{}
	for _, e := range w.ctl.State().Snapshot().Endpoints("web") {
		ids[e.ID] = true
	}
	return ids
}

// images counts the running containers by image.
func (w *world) images() map[string]int {
	all, err := w.engine.Containers(context.Background(), "p")
	require.NoError(w.t, err)
	images := map[string]int{}
	for _, c := range all {
		if c.State == engine.Running {
			images[c.Image]++
		}
	}
	return images
}

// subscribed has the gateway ask for the endpoints after an index.
func (w *world) subscribed(index uint64) (disconnected func()) {
	w.t.Helper()
	disconnected, err := w.ctl.Subscribed(Subscriber{Peer: "172.20.0.5", Name: "gateway"}, index)
	require.NoError(w.t, err)
	return disconnected
}

// A stranger says under the gateway's name that it has the withdrawal in force.
func TestNobodyAcknowledgesForAnother(t *testing.T) {
	inWorld(t, func(w *world) {
		w.write(served, deployment("healthy:1"))
		w.converge()
		w.pass(returnTime)
		w.subscribed(w.ctl.State().Snapshot().EndpointsIndex())
		w.writes()
		w.write(served, "kind: Deployment\nmetadata: {name: web}\nspec: {replicas: 1, drainSeconds: 5}")
		w.pass(time.Second)
		_, err := w.ctl.Subscribed(Subscriber{Peer: "172.20.0.6", Name: "gateway"}, w.ctl.State().Snapshot().EndpointsIndex())
		require.NoError(t, err)
		w.pass(time.Second)
		require.Empty(t, w.writes(), "the gateway does not know yet")
		w.subscribed(w.ctl.State().Snapshot().EndpointsIndex())
		w.pass(100 * time.Millisecond)
		require.Contains(t, w.writes(), "stop container p-web-2")
	})
}

func TestAPeerFollowsUnderSoManyNames(t *testing.T) {
	inWorld(t, func(w *world) {
		subscribe := func(peer string, n int) error {
			_, err := w.ctl.Subscribed(Subscriber{Peer: peer, Name: fmt.Sprint(n)}, 1)
			return err
		}
		for n := range MaxNames {
			require.NoError(t, subscribe("greedy", n))
		}
		require.ErrorIs(t, subscribe("greedy", MaxNames), ErrTooManyNames)
		require.NoError(t, subscribe("greedy", 0), "a known one")
		require.NoError(t, subscribe("another", 0))
		w.pass(subscriberTTL)
		require.NoError(t, subscribe("greedy", MaxNames), "the names before have gone")
	})
}

// Who fills the table, and acknowledges everything at once, ends no drain early: there
// may be subscribers that found no room.
func TestWhileTheTableIsFullDrainsTakeTheirTime(t *testing.T) {
	inWorld(t, func(w *world) {
		w.write(served, deployment("healthy:1"))
		w.converge()
		w.pass(returnTime)
		fill := func() {
			index := w.ctl.State().Snapshot().EndpointsIndex()
			for n := range maxSubscribers {
				_, err := w.ctl.Subscribed(Subscriber{Peer: fmt.Sprint("10.0.0.", n/MaxNames), Name: fmt.Sprint(n)}, index)
				require.NoError(t, err)
			}
		}
		fill()
		w.subscribed(w.ctl.State().Snapshot().EndpointsIndex()) // finds no room
		w.writes()
		w.write(served, "kind: Deployment\nmetadata: {name: web}\nspec: {replicas: 1, drainSeconds: 5}")
		w.pass(time.Second)
		fill()
		w.pass(3900 * time.Millisecond)
		require.Empty(t, w.writes())
		w.pass(200 * time.Millisecond)
		require.Contains(t, w.writes(), "stop container p-web-2")

		w.pass(subscriberTTL) // all have gone
		w.converge()
		fill()
		w.writes()
		w.write(served, "kind: Deployment\nmetadata: {name: web}\nspec: {replicas: 0, drainSeconds: 5}")
		w.pass(time.Second)
		fill()
		w.pass(100 * time.Millisecond)
		require.Contains(t, w.writes(), "stop container p-web-1", "all have room")
	})
}

func TestAStopWaitsForTheAcknowledgementOfTheWithdrawal(t *testing.T) {
	inWorld(t, func(w *world) {
		w.write(served, deployment("healthy:1"))
		w.converge()
		require.Len(t, w.published(), 2)
		w.pass(returnTime)
		index := w.ctl.State().Snapshot().EndpointsIndex()
		w.subscribed(index)
		w.writes()

		w.write(served, "kind: Deployment\nmetadata: {name: web}\nspec: {replicas: 1, drainSeconds: 5}")
		w.pass(time.Second)
		require.Len(t, w.published(), 1, "the endpoint is withdrawn at once")
		require.Empty(t, w.writes(), "and nothing is stopped before the gateway knows")
		require.True(t, w.heard("web Draining: p-web-2"), w.events)

		w.subscribed(w.ctl.State().Snapshot().EndpointsIndex())
		w.pass(100 * time.Millisecond)
		require.Contains(t, w.writes(), "stop container p-web-2")
		w.converge()
		require.Equal(t, []string{"p-web-1 running"}, w.containers())
	})
}

func TestADrainEndsWithoutAcknowledgement(t *testing.T) {
	inWorld(t, func(w *world) {
		w.write(served, deployment("healthy:1"))
		w.converge()
		w.subscribed(0)
		w.writes()
		w.write(served, "kind: Deployment\nmetadata: {name: web}\nspec: {replicas: 1, drainSeconds: 5}")
		w.pass(4900 * time.Millisecond)
		require.Empty(t, w.writes())
		w.pass(200 * time.Millisecond)
		require.Contains(t, w.writes(), "stop container p-web-2")
	})
}

// With its spec tend loses sight of a workload's probes, and the container's own
// health check may not have passed yet.
func TestWhatIsTakenOutOfTheProjectIsDrainedAsItWasProbed(t *testing.T) {
	inWorld(t, func(w *world) {
		w.engine.AddImage("slow:1", model.Behavior{
			HealthCheck: true, HealthAfter: time.Hour, Exec: func(engine.ExecSpec) (int, time.Duration) { return 0, 0 },
		})
		w.write(served, "kind: Deployment\nmetadata: {name: web}\nspec: {replicas: 1, readinessProbe: {exec: {command: [ask]}}, template: {image: 'slow:1'}}")
		w.converge()
		require.Len(t, w.published(), 1)
		w.subscribed(w.ctl.State().Snapshot().EndpointsIndex())
		w.writes()
		w.write("other: {image: 'healthy:1'}")
		w.pass(time.Second)
		require.True(t, w.heard("web Draining: p-web-1"), w.events)
		require.NotContains(t, w.writes(), "stop container p-web-1")
		w.converge()
		require.NotContains(t, w.containers(), "p-web-1 running")
	})
}

// A gateway that was killed is waited for no longer than it takes to come back.
func TestASubscriberWhoseConnectionBrokeIsWaitedForBriefly(t *testing.T) {
	const shrunk = "kind: Deployment\nmetadata: {name: web}\nspec: {replicas: 1, drainSeconds: 60}"
	const patient = served + "  stop_grace_period: 1m\n"
	inWorld(t, func(w *world) {
		w.write(patient, deployment("healthy:1"))
		w.converge()
		w.pass(returnTime)
		index := w.ctl.State().Snapshot().EndpointsIndex()
		first := w.subscribed(index)
		w.subscribed(index)
		first() // of an earlier query: it has asked again since
		w.pass(returnTime + time.Second)
		w.writes()
		w.write(patient, shrunk)
		w.pass(time.Second)
		require.Empty(t, w.writes(), "it is waited for")

		lost := w.subscribed(index)
		lost()
		w.pass(returnTime - time.Second)
		require.Empty(t, w.writes(), "it may come back")
		w.pass(time.Second + 100*time.Millisecond)
		require.Contains(t, w.writes(), "stop container p-web-2", "it has not")
	})
}

// An index that a subscriber acknowledged to an earlier tend says nothing about what
// this one has withdrawn.
func TestIndexesGoOnGrowingAfterARestart(t *testing.T) {
	inWorld(t, func(w *world) {
		w.write(served, deployment("healthy:1"))
		w.converge()
		for range 20 {
			w.engine.Kill(w.container("p-web-1").ID, 137)
			w.pass(time.Minute)
		}
		before := w.ctl.State().Snapshot().EndpointsIndex()
		w.restart()
		require.Greater(t, w.ctl.State().Snapshot().EndpointsIndex(), before)
	})
}

// A subscriber that followed the endpoints when tend was killed still sends requests to
// them, and has not asked again yet.
func TestAfterARestartAStopWaitsForSubscribersNotKnownYet(t *testing.T) {
	inWorld(t, func(w *world) {
		w.write(served, deployment("healthy:1"))
		w.converge()
		w.writes()
		w.restart()
		w.write(served, "kind: Deployment\nmetadata: {name: web}\nspec: {replicas: 1, drainSeconds: 5}")
		w.pass(4900 * time.Millisecond)
		require.Empty(t, w.writes())
		w.pass(200 * time.Millisecond)
		require.Contains(t, w.writes(), "stop container p-web-2")

		w.write(served, deployment("healthy:1"))
		w.converge()
		w.pass(returnTime)
		w.writes()
		w.write(served, "kind: Deployment\nmetadata: {name: web}\nspec: {replicas: 1, drainSeconds: 5}")
		w.pass(100 * time.Millisecond)
		require.Contains(t, w.writes(), "stop container p-web-2", "nobody has asked")
	})
}

func TestOnlyReadyReplicasArePublished(t *testing.T) {
	inWorld(t, func(w *world) {
		w.write(served, deployment("healthy:1"))
		w.converge()
		id := w.container("p-web-1").ID
		w.engine.SetHealth(id, engine.Unhealthy)
		w.pass(10 * time.Millisecond)
		require.NotContains(t, w.published(), id)
		w.converge()
		require.Len(t, w.published(), 2)
	})
}

// The engine runs the commands of probes. While it is away the probes have no result,
// and the replicas serve on.
func TestAnEngineThatIsAwayIsNoFailureOfAReplica(t *testing.T) {
	inWorld(t, func(w *world) {
		const probes = "{exec: {command: [ask]}, periodSeconds: 20, failureThreshold: 1}"
		w.write(served, "kind: Deployment\nmetadata: {name: web}\nspec: {replicas: 2, readinessProbe: "+probes+", livenessProbe: "+probes+"}")
		w.converge()
		w.writes()
		before := w.published()
		require.Len(t, before, 2)
		w.engine.Disconnect()
		w.pass(time.Minute)
		w.engine.Reconnect()
		w.pass(10 * time.Second)
		require.True(t, w.heard("EngineReachable"), w.events)
		require.Empty(t, w.writes())
		require.Equal(t, before, w.published())
		require.False(t, w.heard("web Unavailable"), w.events)
	})
}

// What died while the engine was away is withdrawn as soon as that is known, also
// where another replica has been started meanwhile and was not probed yet.
func TestADeadReplicaIsWithdrawnAsSoonAsTheEngineIsBack(t *testing.T) {
	inWorld(t, func(w *world) {
		w.write(served, "kind: Deployment\nmetadata: {name: web}\nspec: {replicas: 2, readinessProbe: {exec: {command: [ask]}, periodSeconds: 1, initialDelaySeconds: 60}}")
		w.converge()
		require.Len(t, w.published(), 2)
		one, two := w.container("p-web-1").ID, w.container("p-web-2").ID
		w.engine.UpdateBehind(one, "always")
		w.engine.Disconnect()
		w.engine.Exit(one, 1)
		w.engine.Exit(two, 1)
		w.pass(time.Second)
		w.engine.Reconnect()
		w.pass(6 * time.Second)
		require.True(t, w.heard("EngineReachable"), w.events)
		require.Empty(t, w.published())
	})
}

func TestAWedgedReplicaIsStoppedOnlyWhenItsReplacementIsReady(t *testing.T) {
	inWorld(t, func(w *world) {
		w.write(served, deployment("healthy:1"))
		w.converge()
		id := w.container("p-web-1").ID
		w.engine.SetHealth(id, engine.Unhealthy)
		w.pass(500 * time.Millisecond) // its replacement takes a second to become healthy
		c, err := w.engine.Container(context.Background(), id)
		require.NoError(t, err)
		require.Equal(t, engine.Running, c.State)
		w.converge()
		_, err = w.engine.Container(context.Background(), id)
		require.Equal(t, engine.NotFound, engine.ClassOf(err))
		require.Equal(t, 2, w.running())
	})
}

func TestARevisionThatIsReadyAndDiesIsRolledBack(t *testing.T) {
	inWorld(t, func(w *world) {
		w.engine.AddImage("dies:1", model.Behavior{Exits: true, After: 5 * time.Second, Code: 1})
		w.write(served, deployment("healthy:1"))
		w.converge()
		w.write(served, deployment("dies:1"))
		w.pass(5 * time.Minute)
		require.True(t, w.heard("web RolledBack"), w.events)
		require.Equal(t, map[string]int{healthy: 2}, w.images())
	})
}

func TestAnImageThatDoesNotExistIsRolledBack(t *testing.T) {
	inWorld(t, func(w *world) {
		w.write(served, deployment("healthy:1"))
		w.converge()
		before := w.containers()
		w.write(served, deployment("nowhere:1"))
		w.pass(5 * time.Minute)
		require.True(t, w.heard("web RolledBack: revision"), w.events)
		require.True(t, w.heard("image nowhere:1: "), w.events)
		require.Equal(t, before, w.containers())
	})
}

func TestWhoAskedForAChangeStandsInItsEvent(t *testing.T) {
	inWorld(t, func(w *world) {
		w.write(served, deployment("healthy:1"))
		w.converge()
		paused := true
		for range 2 { // the second one changes nothing
			asked := core.Event{Type: core.Normal, Workload: "web", Reason: "RolloutPaused", Message: "held", Actor: "uid 1000"}
			require.NoError(t, w.ctl.Intend(w.ctx, asked, func(i *core.Intent, _ *state.Snapshot) error {
				i.Paused = &paused
				return nil
			}))
		}
		w.ctl.Asked(core.Event{Type: core.Normal, Workload: "web", Reason: "Scaled", Message: "4", Actor: "admin token"})
		w.pass(time.Second)
		actors := map[string]int{}
		for _, e := range w.ctl.State().Snapshot().Events(0) {
			if e.Actor != "" {
				actors[e.Reason+" "+e.Actor] += e.Count
			}
		}
		require.Equal(t, map[string]int{"RolloutPaused uid 1000": 1, "Scaled admin token": 1}, actors)
	})
}

func TestUndoAndRestart(t *testing.T) {
	inWorld(t, func(w *world) {
		w.write(served, deployment("healthy:1"))
		w.converge()
		first := w.ctl.State().Snapshot().Revisions("web")[0].Revision
		w.write(served, deployment("healthy:2"))
		w.converge()
		require.NoError(t, w.ctl.Intend(w.ctx, core.Event{Workload: "web", Reason: "Asked"}, func(i *core.Intent, snap *state.Snapshot) error {
			row, _ := snap.Workload("web")
			i.Undo, i.UndoOf = first, row.Spec.Revision
			return nil
		}))
		w.pass(time.Minute)
		w.converge()
		require.Equal(t, map[string]int{healthy: 2}, w.images())

		before := map[string]bool{}
		for id := range w.published() {
			before[id] = true
		}
		require.NoError(t, w.ctl.Intend(w.ctx, core.Event{Workload: "web", Reason: "Asked"}, func(i *core.Intent, _ *state.Snapshot) error {
			i.RestartedAt = time.Now()
			return nil
		}))
		w.pass(time.Minute)
		w.converge()
		require.Len(t, w.published(), 2)
		for id := range w.published() {
			require.NotContains(t, before, id, "every replica is another one")
		}
		require.Equal(t, map[string]int{healthy: 2}, w.images(), "of the revision that was asked for")
	})
}

// An image that was pruned is pulled for the way back, and for nothing else.
func TestTheWayBackPullsAnImageThatWasPruned(t *testing.T) {
	inWorld(t, func(w *world) {
		pulls := func() (n int) {
			w.mu.Lock()
			defer w.mu.Unlock()
			for _, e := range w.events {
				if strings.Contains(e, " Pulled: ") {
					n++
				}
			}
			return n
		}
		w.engine.PublishImage("good:1", model.Behavior{})
		w.write(served, deployment("good:1"))
		w.converge()
		first := w.ctl.State().Snapshot().Revisions("web")[0].Revision
		w.write(served, deployment("healthy:2"))
		w.converge()
		w.engine.RemoveImage("good:1")
		w.pass(time.Minute)
		require.Equal(t, 1, pulls(), "nobody goes back")

		undo := func(revision string) {
			require.NoError(t, w.ctl.Intend(w.ctx, core.Event{Workload: "web", Reason: "Asked"}, func(i *core.Intent, snap *state.Snapshot) error {
				row, _ := snap.Workload("web")
				i.Undo, i.UndoOf = revision, row.Spec.Revision
				return nil
			}))
			w.pass(time.Minute)
			w.converge()
		}
		undo(first)
		require.Equal(t, map[string]int{"good:1": 2}, w.images())
		require.Equal(t, 2, pulls(), w.events)
		require.False(t, w.heard("CreateFailed"), w.events)

		undo("")
		require.Equal(t, map[string]int{"healthy:2": 2}, w.images())
		w.engine.RemoveImage("good:1")
		w.pass(time.Minute)
		require.Equal(t, 2, pulls(), "it is gone back to no more")
	})
}

func TestAnUndoIsOverOnceAnotherRevisionIsWritten(t *testing.T) {
	inWorld(t, func(w *world) {
		w.write(served, deployment("healthy:1"))
		w.converge()
		first := w.ctl.State().Snapshot().Revisions("web")[0].Revision
		w.write(served, deployment("healthy:2"))
		w.converge()
		require.NoError(t, w.ctl.Intend(w.ctx, core.Event{Workload: "web", Reason: "Asked"}, func(i *core.Intent, snap *state.Snapshot) error {
			row, _ := snap.Workload("web")
			i.Undo, i.UndoOf = first, row.Spec.Revision
			return nil
		}))
		w.pass(time.Minute)
		w.converge()
		w.write(served, deployment("healthy:1"))
		w.converge()
		w.write(served, deployment("healthy:2"))
		w.pass(time.Minute)
		w.converge()
		require.Equal(t, map[string]int{"healthy:2": 2}, w.images(), "what was undone once is what is written now")
	})
}

// Nothing goes back to a revision that the policy in force does not allow.
func TestARevisionThatThePolicyForbidsIsForgotten(t *testing.T) {
	inWorld(t, func(w *world) {
		w.write("web:\n  image: healthy:1\n  privileged: true\n")
		w.converge()
		w.write("web:\n  image: healthy:2\n")
		w.converge()
		require.Len(t, w.ctl.State().Snapshot().Revisions("web"), 2)

		p := w.load("web:\n  image: healthy:2\n")
		p.Policy = spec.Baseline
		w.ctl.SetProject(p)
		w.converge()
		history := w.ctl.State().Snapshot().Revisions("web")
		require.Len(t, history, 1)
		require.Equal(t, "healthy:2", history[0].Spec.Image)
	})
}

func TestPauseHoldsTheRolloutAndKeepsTheReplicas(t *testing.T) {
	inWorld(t, func(w *world) {
		w.write(served, deployment("healthy:1"))
		w.converge()
		paused := true
		require.NoError(t, w.ctl.Intend(w.ctx, core.Event{Workload: "web", Reason: "Asked"}, func(i *core.Intent, _ *state.Snapshot) error {
			i.Paused = &paused
			return nil
		}))
		w.write(served, deployment("healthy:2"))
		w.pass(time.Minute)
		require.Equal(t, map[string]int{healthy: 2}, w.images())
		w.engine.RemoveBehind(w.container("p-web-1").ID)
		w.pass(time.Minute)
		require.Equal(t, map[string]int{healthy: 2}, w.images(), "a lost replica comes back at the old revision")
		paused = false
		require.NoError(t, w.ctl.Intend(w.ctx, core.Event{Workload: "web", Reason: "Asked"}, func(i *core.Intent, _ *state.Snapshot) error {
			i.Paused = nil
			return nil
		}))
		w.converge()
		require.Equal(t, map[string]int{"healthy:2": 2}, w.images())
	})
}

const migrated = "kind: Deployment\nmetadata: {name: web}\nspec: {replicas: 2, preRollout: [{name: migrate, command: [migrate]}], template: {image: '"

// hookImage is an image whose hooks end with a code; its replicas run.
func (w *world) hookImage(ref string, code int) {
	w.engine.AddImage(ref, model.Behavior{Commands: map[string]model.Behavior{"migrate": {Exits: true, After: time.Second, Code: code, Output: []string{"applied 3"}}}})
}

func TestHooksRunOncePerRevision(t *testing.T) {
	inWorld(t, func(w *world) {
		w.hookImage("web:1", 0)
		w.write(served, migrated+"web:1'}}")
		w.pass(500 * time.Millisecond)
		require.Len(t, w.containers(), 1, "no replica is made before the hook has ended")
		w.converge()
		w.restart()
		w.write(served, migrated+"web:1'}}")
		w.converge()
		w.engine.RemoveBehind(w.container("p-web-1").ID)
		w.pass(time.Minute)
		hooks := 0
		for _, c := range w.engine.Calls() {
			if c.Op == model.OpCreate && c.Object != "p-web-1" && c.Object != "p-web-2" {
				hooks++
			}
		}
		require.Equal(t, 1, hooks)
	})
}

func TestAFailingHookHaltsTheRollout(t *testing.T) {
	inWorld(t, func(w *world) {
		w.hookImage("web:1", 0)
		w.hookImage("web:2", 7)
		w.write(served, migrated+"web:1'}}")
		w.converge()
		w.pass(time.Minute)
		w.write(served, migrated+"web:2'}}")
		w.pass(time.Minute)
		require.Equal(t, map[string]int{"web:1": 2}, w.images())
		require.True(t, w.heard("web RolledBack"), w.events)
		require.True(t, w.heard("hook migrate exited with code 7: applied 3"), w.events)
	})
}

func TestNothingIsStoppedForWhatCannotBeMade(t *testing.T) {
	const service = "web: {image: 'healthy:1', ports: ['127.0.0.1:8080:80'], volumes: ['./data:/var/lib/postgresql/data']}"
	for kind, specs := range map[string]string{
		"RollingUpdate without surge": "kind: Deployment\nmetadata: {name: web}\nspec: {onFailure: pause, template: {image: 'nowhere:1'}}",
		"Recreate":                    "kind: Deployment\nmetadata: {name: web}\nspec: {onFailure: pause, strategy: {type: Recreate}, template: {image: 'nowhere:1'}}",
		"Database":                    "kind: Database\nmetadata: {name: web}\nspec: {engine: postgres, onFailure: pause, template: {image: 'nowhere:1'}}",
	} {
		t.Run(kind, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.write(service)
				w.converge()
				id := w.container("p-web-1").ID
				w.write(service, specs)
				w.pass(time.Hour)
				require.Equal(t, id, w.container("p-web-1").ID)
				w.engine.Kill(id, 1)
				w.pass(time.Minute)
				require.Equal(t, 1, w.running(), "what is kept is kept running")
				require.Equal(t, id, w.container("p-web-1").ID)
			})
		})
	}
}

func TestARolloutMayTakeAwayMaxUnavailableReplicasAndNoMore(t *testing.T) {
	inWorld(t, func(w *world) {
		const policy = "kind: Deployment\nmetadata: {name: web}\nspec: {replicas: 3, strategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 1}}, template: {image: '"
		w.write(served, policy+"healthy:1'}}")
		w.converge()
		w.pass(time.Minute)
		w.write(served, policy+"healthy:2'}}")
		for range 100 {
			w.pass(100 * time.Millisecond)
			require.LessOrEqual(t, w.running(), 3)
			require.GreaterOrEqual(t, w.running(), 2)
		}
		w.converge()
		require.Equal(t, map[string]int{"healthy:2": 3}, w.images())
		require.False(t, w.heard("lacking"), w.events)
	})
}
