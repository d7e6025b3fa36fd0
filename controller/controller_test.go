package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/model"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/state/durable/durabletest"
)

const twoWebs = `
web:
  image: healthy:1
  deploy: {replicas: 2}
`

func TestConvergesAndThenWritesNothing(t *testing.T) {
	inWorld(t, func(w *world) {
		w.write(twoWebs)
		w.converge()
		require.Equal(t, []string{"p-web-1 running", "p-web-2 running"}, w.containers())

		w.engine.ForgetCalls()
		w.pass(4 * time.Minute)
		looks := []model.Op{model.OpNetworks, model.OpVolumes, model.OpImage}
		require.Empty(t, slices.DeleteFunc(w.engine.Calls(), func(c model.Call) bool { return slices.Contains(looks, c.Op) }),
			"between two relists the engine is left in peace, but for what an image's name stands for")
		w.pass(time.Hour)
		require.Empty(t, w.writes())
	})
}

func TestScales(t *testing.T) {
	inWorld(t, func(w *world) {
		w.write(twoWebs)
		w.converge()
		w.write(twoWebs, "kind: Deployment\nmetadata: {name: web}\nspec: {replicas: 4}")
		w.converge()
		require.Equal(t, []string{"p-web-1 running", "p-web-2 running", "p-web-3 running", "p-web-4 running"}, w.containers())
		w.write(twoWebs, "kind: Deployment\nmetadata: {name: web}\nspec: {replicas: 1}")
		w.converge()
		require.Equal(t, []string{"p-web-1 running"}, w.containers())
		require.True(t, w.heard("web SpecChanged: generation 3: replicas 4 → 1"), w.events)
	})
}

func TestRepairsWhatPeopleDo(t *testing.T) {
	for name, meddle := range map[string]func(w *world, id string){
		"kill":  func(w *world, id string) { w.engine.Kill(id, 137) },
		"stop":  func(w *world, id string) { w.engine.StopBehind(id, time.Second) },
		"rm -f": func(w *world, id string) { w.engine.RemoveBehind(id) },
		"pause": func(w *world, id string) { w.engine.Pause(id) },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.write(twoWebs)
				w.converge()
				meddle(w, w.container("p-web-2").ID)
				w.pass(2 * time.Second)
				w.converge()
				require.Equal(t, 2, w.running())
			})
		})
	}
}

// What people do is repaired at once, each time, and is never called a crash; so is
// what ended while nobody watched.
func TestWhatPeopleDoIsNoCrash(t *testing.T) {
	people := map[string]func(w *world, id string){
		"stop":  func(w *world, id string) { w.engine.StopBehind(id, 10*time.Second) },
		"kill":  func(w *world, id string) { w.engine.Kill(id, 137) },
		"rm -f": func(w *world, id string) { w.engine.RemoveBehind(id) },
		"stop while tend is away": func(w *world, id string) {
			w.stop()
			w.engine.StopBehind(id, 10*time.Second)
			w.pass(time.Second)
			w.start()
			w.write("web: {image: 'plain:1'}")
		},
		"the engine is killed": func(w *world, id string) {
			w.engine.Disconnect()
			w.engine.Exit(id, 255)
			w.pass(time.Second)
			w.engine.Reconnect()
			w.pass(2 * time.Second) // until tend tries again
		},
	}
	for name, do := range people {
		t.Run(name, func(t *testing.T) {
			inLastingWorld(t, func(w *world, _ *durabletest.Memory) {
				w.write("web: {image: 'plain:1'}")
				w.converge()
				for range 5 {
					w.pass(20 * time.Second)
					do(w, w.container("p-web-1").ID)
					w.pass(1500 * time.Millisecond)
					require.Equal(t, []string{"p-web-1 running"}, w.containers())
				}
				require.False(t, w.heard("BackOff"), w.events)
				require.False(t, w.heard("Contested"), w.events)
			})
		})
	}
	t.Run("again and again", func(t *testing.T) {
		inWorld(t, func(w *world) {
			w.write("web: {image: 'plain:1'}")
			w.converge()
			for range 20 {
				w.pass(100 * time.Millisecond)
				w.engine.RemoveBehind(w.engine.Truth()[0].ID)
				w.pass(1200 * time.Millisecond)
				require.Equal(t, []string{"p-web-1 running"}, w.containers())
			}
			require.True(t, w.heard("web Contested: replica 1 was stopped or removed more than 5 times"), w.events)
			require.False(t, w.heard("BackOff"), w.events)
			w.pass(2 * time.Minute)
			status, _ := w.ctl.State().Snapshot().Status("web")
			require.Nil(t, status.Condition(core.ReplicaFailure))
		})
	})
}

func TestCrashLoopIsSlowedDown(t *testing.T) {
	inWorld(t, func(w *world) {
		w.write("web: {image: 'crashes:1'}")
		w.pass(30 * time.Minute)
		var starts []time.Time
		for _, c := range w.engine.Calls() {
			if c.Op == model.OpStart {
				starts = append(starts, c.At)
			}
		}
		var waits []time.Duration
		for i := 1; i < 9; i++ {
			run := time.Second + 50*time.Millisecond // until the process exits
			waits = append(waits, starts[i].Sub(starts[i-1]).Round(100*time.Millisecond)-run.Round(100*time.Millisecond))
		}
		s := time.Second
		require.Equal(t, []time.Duration{0, 10 * s, 20 * s, 40 * s, 80 * s, 160 * s, 300 * s, 300 * s}, waits)
		require.True(t, w.heard("web CrashLoopBackOff: p-web-1 exited with code 3; back-off 20s"), w.events)
	})
}

func TestRollingUpdateKeepsEnoughAvailable(t *testing.T) {
	inWorld(t, func(w *world) {
		const rolling = "\nspec: {replicas: 3, strategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}, template: {image: 'healthy:"
		w.write(twoWebs, "kind: Deployment\nmetadata: {name: web}"+rolling+"1'}}")
		w.converge()
		w.write(twoWebs, "kind: Deployment\nmetadata: {name: web}"+rolling+"2'}}")
		for range 200 {
			w.pass(100 * time.Millisecond)
			all, err := w.engine.Containers(context.Background(), "p")
			require.NoError(t, err)
			running, ready := 0, 0
			for _, c := range all {
				if c.State == engine.Running {
					running++
				}
				if c.Health == engine.Healthy {
					ready++
				}
			}
			require.LessOrEqual(t, running, 4)
			require.GreaterOrEqual(t, ready, 3)
		}
		w.converge()
		all, err := w.engine.Containers(context.Background(), "p")
		require.NoError(t, err)
		require.Len(t, all, 3)
		for _, c := range all {
			require.Equal(t, "healthy:2", c.Image)
		}
	})
}

func TestUpdateThatNeverBecomesHealthyLeavesTheOldRevisionServing(t *testing.T) {
	inWorld(t, func(w *world) {
		w.write(twoWebs)
		w.converge()
		w.write(twoWebs, "kind: Deployment\nmetadata: {name: web}\nspec: {replicas: 2, progressDeadlineSeconds: 60, template: {image: 'sick:1'}}")
		ctx, cancel := context.WithTimeout(w.ctx, time.Hour)
		defer cancel()
		err := w.ctl.Wait(ctx)
		require.ErrorContains(t, err, "was rolled back")
		require.NoError(t, ctx.Err(), "waiting ends when it cannot help any more")
		require.True(t, w.heard("web RolledBack"), w.events)
		w.pass(time.Hour)
		require.Equal(t, []string{"p-web-1 running", "p-web-2 running"}, w.containers(), "it is not tried again")
		require.Equal(t, engine.Healthy, w.container("p-web-1").Health)
		require.Equal(t, engine.Healthy, w.container("p-web-2").Health)
		w.write(twoWebs, "kind: Deployment\nmetadata: {name: web}\nspec: {replicas: 2, template: {image: 'healthy:2'}}")
		w.converge()
	})
}

func TestEngineAway(t *testing.T) {
	inWorld(t, func(w *world) {
		w.write(twoWebs)
		w.converge()
		id := w.container("p-web-1").ID
		w.engine.Disconnect()
		w.pass(time.Second)
		require.True(t, w.heard("EngineUnavailable"), w.events)
		w.engine.ForgetCalls()
		w.engine.Kill(id, 255)
		w.pass(time.Minute)
		require.Empty(t, w.writes(), "nothing is decided while the engine is away")
		w.engine.Reconnect()
		w.pass(10 * time.Second)
		w.converge()
		require.True(t, w.heard("EngineReachable"), w.events)
		require.Equal(t, []string{"p-web-1 running", "p-web-2 running"}, w.containers())
	})
}

// A server ends with 0 when it is told to. With restart: on-failure that would be the end of
// its work, had it ended by itself, and it may be written again before it is removed.
func TestItIsRememberedThatTendHasStoppedWhatIsNotWrittenAnyMore(t *testing.T) {
	inWorld(t, func(w *world) {
		const web = "web: {image: 'plain:1', restart: on-failure}\n"
		const other = "other: {image: 'plain:1'}\n"
		w.write(web + other)
		w.converge()
		w.restart() // with nothing kept
		w.engine.SetLatency(model.OpImage, time.Second)
		w.write(web + other)
		w.pass(100 * time.Millisecond) // web is not planned yet, as its image is not known
		w.write(other)
		for w.running() == 2 {
			w.pass(10 * time.Millisecond)
		}
		w.engine.Disconnect()
		w.pass(time.Second)
		row, ok := w.ctl.State().Snapshot().Rollout("web")
		require.True(t, ok)
		require.True(t, row.Attempts[1].Ours, "%+v", row.Attempts)
	})
}

func TestEngineThatTakesCallsAndDoesNotAnswer(t *testing.T) {
	inWorld(t, func(w *world) {
		w.engine.SetLatency(model.OpEvents, 24*time.Hour)
		w.restart()
		w.write(twoWebs)
		w.pass(31 * time.Second)
		require.True(t, w.heard("EngineUnavailable: nothing is changed until the engine answers: the engine has not answered for 30s"), w.events)
		w.engine.SetLatency(model.OpEvents, 0)
		w.converge()
		require.True(t, w.heard("EngineReachable"), w.events)
	})
}

// What a new revision needs is looked at before it is rolled out, and that may
// take long. What runs is kept meanwhile.
func TestReplicaIsKeptWhileTheNextImageIsLookedAt(t *testing.T) {
	inWorld(t, func(w *world) {
		w.write(twoWebs)
		w.converge()
		w.engine.SetLatency(model.OpImage, 12*time.Second) // each of the two images
		w.write("web: {image: 'healthy:2', deploy: {replicas: 2}}")
		w.engine.Kill(w.container("p-web-1").ID, 137)
		w.pass(10 * time.Second)
		require.Equal(t, []string{"p-web-1 running", "p-web-2 running"}, w.containers())
		w.converge()
	})
}

func TestLostReplyMakesNoSecondContainer(t *testing.T) {
	for _, effect := range []model.Effect{model.NoEffect, model.FullEffect} {
		inWorld(t, func(w *world) {
			w.engine.FailNext(model.OpCreate, engine.Unknown, effect)
			w.write(twoWebs)
			w.pass(2 * time.Minute)
			w.converge()
			require.Len(t, w.containers(), 2)
			require.True(t, w.heard("web CreateFailed"), w.events)
		})
	}
}

func TestRestartedControllerGoesOn(t *testing.T) {
	inWorld(t, func(w *world) {
		w.write(twoWebs)
		w.pass(60 * time.Millisecond) // in the middle of the creates
		w.restart()
		w.write(twoWebs)
		w.pass(time.Minute)
		w.converge()
		require.Equal(t, []string{"p-web-1 running", "p-web-2 running"}, w.containers())
		w.restart()
		w.writes()
		w.write(twoWebs)
		w.converge()
		require.Empty(t, w.writes(), "what runs is as it is written")
	})
}

func TestMissingImage(t *testing.T) {
	inWorld(t, func(w *world) {
		w.write(twoWebs)
		w.converge()
		w.write(twoWebs, "kind: Deployment\nmetadata: {name: web}\nspec: {replicas: 2, template: {image: 'nowhere:1'}}")
		w.pass(time.Minute)
		require.True(t, w.heard("PullFailed: nowhere:1"), w.events)
		require.Equal(t, []string{"p-web-1 running", "p-web-2 running"}, w.containers())
		w.engine.AddImage("nowhere:1", model.Behavior{})
		w.pass(20 * time.Second)
		w.converge()
		all, err := w.engine.Containers(context.Background(), "p")
		require.NoError(t, err)
		for _, c := range all {
			require.Equal(t, "nowhere:1", c.Image)
		}
	})
}

func TestTakenHostPort(t *testing.T) {
	inWorld(t, func(w *world) {
		release := w.engine.HoldPort("127.0.0.1", 8080, "tcp")
		w.write("web: {image: 'plain:1', ports: ['127.0.0.1:8080:80']}")
		w.pass(time.Minute)
		require.True(t, w.heard("web CreateFailed: p-web-1"), w.events)
		require.True(t, w.heard("web BackOff"), w.events)
		release()
		w.pass(5 * time.Minute)
		w.converge()
		require.Equal(t, []string{"p-web-1 running"}, w.containers())
	})
}

func TestServiceTakenOutIsRemoved(t *testing.T) {
	inWorld(t, func(w *world) {
		w.write(twoWebs + "old: {image: 'plain:1'}")
		w.converge()
		w.write(twoWebs)
		w.converge()
		require.Equal(t, []string{"p-web-1 running", "p-web-2 running"}, w.containers())
	})
}

// Nothing that is written leads from one to the other any more.
func TestServicesTakenOutTogetherAreRemovedDependentsFirst(t *testing.T) {
	inWorld(t, func(w *world) {
		w.write(twoWebs + `
db: {image: 'healthy:1'}
app: {image: 'plain:1', depends_on: {db: {condition: service_healthy}}}
`)
		w.converge()
		w.writes()
		w.write(twoWebs)
		w.pass(time.Minute)
		require.Equal(t, []string{"stop container p-app-1", "remove container p-app-1", "stop container p-db-1", "remove container p-db-1"}, w.writes())
	})
}

func TestEverythingIsTakenAwayDependentsFirst(t *testing.T) {
	inWorld(t, func(w *world) {
		w.write(`
db: {image: 'healthy:1'}
app: {image: 'plain:1', depends_on: {db: {condition: service_healthy}}}
`)
		w.converge()
		w.writes()
		w.ctl.RemoveAll()
		w.converge()
		require.Empty(t, w.containers())
		require.Equal(t, []string{"stop container p-app-1", "remove container p-app-1", "stop container p-db-1", "remove container p-db-1"}, w.writes())
	})
}

func TestDependsOn(t *testing.T) {
	inWorld(t, func(w *world) {
		w.write(`
db: {image: 'healthy:1'}
seed: {image: 'task:1', restart: "no", depends_on: {db: {condition: service_healthy}}}
app: {image: 'plain:1', depends_on: {seed: {condition: service_completed_successfully}}}
`)
		w.converge()
		var started []string
		for _, c := range w.engine.Writes() {
			if c.Op == model.OpStart {
				started = append(started, c.Object)
			}
		}
		require.Equal(t, []string{"p-db-1", "p-seed-1", "p-app-1"}, started)
		require.Equal(t, []string{"p-app-1 running", "p-db-1 running", "p-seed-1 exited"}, w.containers())
	})
}

// A Job that has failed was started all the same, as with docker compose.
func TestAJobThatHasFailedWasStarted(t *testing.T) {
	inWorld(t, func(w *world) {
		const compose = "seed: {image: 'crashes:1', restart: 'no'}\napp: {image: 'plain:1', scale: %d, depends_on: [seed]}"
		w.write(fmt.Sprintf(compose, 0), "kind: Job\nmetadata: {name: seed}\nspec: {backoffLimit: 0}")
		w.pass(time.Minute)
		require.Equal(t, []string{"p-seed-1 exited"}, w.containers())
		w.write(fmt.Sprintf(compose, 1), "kind: Job\nmetadata: {name: seed}\nspec: {backoffLimit: 0}")
		w.pass(time.Minute)
		require.Equal(t, []string{"p-app-1 running", "p-seed-1 exited"}, w.containers())
	})
}

func TestJobThatFails(t *testing.T) {
	inWorld(t, func(w *world) {
		w.write("seed: {image: 'crashes:1', restart: 'no'}", "kind: Job\nmetadata: {name: seed}\nspec: {backoffLimit: 2}")
		ctx, cancel := context.WithTimeout(w.ctx, time.Hour)
		defer cancel()
		require.ErrorContains(t, w.ctl.Wait(ctx), "3 runs failed")
		require.True(t, w.heard("seed BackoffLimitExceeded"), w.events)
	})
}

func TestDatabaseNeverHasTwoContainers(t *testing.T) {
	inWorld(t, func(w *world) {
		const (
			db     = "db: {image: 'healthy:1', volumes: ['./data:/var/lib/postgresql/data'], environment: {SETTING: %s}}"
			policy = "kind: Database\nmetadata: {name: db}\nspec: {engine: postgres, backup: {beforeUpdate: false}}"
		)
		w.write(fmt.Sprintf(db, "before"), policy)
		w.converge()
		before := w.container("p-db-1").ID
		w.writes()
		w.write(fmt.Sprintf(db, "after"), policy)
		w.converge()
		require.Equal(t, []string{"stop container p-db-1", "remove container p-db-1", "create container p-db-1", "start container p-db-1"}, w.writes())
		require.NotEqual(t, before, w.container("p-db-1").ID)
		require.True(t, w.heard("db Prepared"), w.events)
	})
}

// A tend that starts while the specs are away knows the service by compose.yaml
// alone, which makes it a Deployment, and those may be two at once.
func TestDatabaseWithoutItsSpecIsLeftAlone(t *testing.T) {
	inWorld(t, func(w *world) {
		const (
			db     = "db: {image: 'healthy:1', volumes: ['./data:/var/lib/postgresql/data'], environment: {SETTING: %s}}"
			policy = "kind: Database\nmetadata: {name: db}\nspec: {engine: postgres, backup: {beforeUpdate: false}}"
		)
		w.write(fmt.Sprintf(db, "before"), policy)
		w.converge()
		w.writes()
		w.restart()
		w.write(fmt.Sprintf(db, "after"))
		w.pass(time.Hour)
		require.Empty(t, w.writes())
		require.True(t, w.heard("db Waiting"), w.events)

		w.write(fmt.Sprintf(db, "after"), policy)
		w.converge()
		require.Equal(t, []string{"stop container p-db-1", "remove container p-db-1", "create container p-db-1", "start container p-db-1"}, w.writes())
	})
}

// The engine tells of no event of the container when it loses a port or a network.
func TestReplicaThatDoesNotAnswerIsLookedAtAgain(t *testing.T) {
	inWorld(t, func(w *world) {
		var silent atomic.Bool
		w.engine.AddImage("asked:1", model.Behavior{Exec: func(engine.ExecSpec) (int, time.Duration) {
			if silent.Load() {
				return 1, 0
			}
			return 0, 0
		}})
		w.write("web: {image: 'asked:1', ports: ['8080:80']}",
			"kind: Deployment\nmetadata: {name: web}\nspec: {readinessProbe: {exec: {command: [ask]}, periodSeconds: 1}}")
		w.converge()
		before := w.container("p-web-1")
		w.engine.LosePorts(before.ID)
		silent.Store(true)
		w.pass(20 * time.Second)
		require.Contains(t, w.writes(), "stop container p-web-1")
	})
}

// Only a server of the image that had the data last can be asked what it made of
// them.
func TestDatabaseThatIsGoneRunsItsOldImageBeforeAnotherOne(t *testing.T) {
	inWorld(t, func(w *world) {
		const (
			db     = "db: {image: '%s', volumes: ['./data:/var/lib/postgresql/data']}"
			policy = "kind: Database\nmetadata: {name: db}\nspec: {engine: postgres, backup: {beforeUpdate: false}}"
		)
		w.write(fmt.Sprintf(db, healthy), policy)
		w.converge()
		w.write(fmt.Sprintf(db, "healthy:2"), policy)
		w.engine.RemoveBehind(w.container("p-db-1").ID)
		w.pass(3 * time.Second)
		require.Equal(t, healthy, w.container("p-db-1").Image)
		require.True(t, w.heard("db PrepareFailed"), "this one cannot tell: %s", w.events)
	})
}

// An empty volume in the place of a database's data would look as if all were
// well. Who takes the service away, and with that says that it is over, gets one.
func TestAVolumeThatHeldADatabasesDataIsNotMadeAnew(t *testing.T) {
	inWorld(t, func(w *world) {
		project := w.load("db: {image: 'healthy:1', volumes: ['./data:/var/lib/postgresql/data']}",
			"kind: Database\nmetadata: {name: db}\nspec: {engine: postgres, backup: {beforeUpdate: false}}")
		project.Volumes = map[string]spec.Volume{"p_data": {Name: "p_data", Key: "data"}}
		project.Workloads["db"].Volumes = []string{"p_data"}
		project.Workloads["db"].Template.Volumes[0] = types.ServiceVolumeConfig{Type: types.VolumeTypeVolume, Source: "data", Target: "/var/lib/postgresql/data"}
		lose := func() {
			w.engine.RemoveBehind(w.container("p-db-1").ID)
			require.NoError(t, w.engine.RemoveVolume(t.Context(), "p_data"))
			w.writes()
		}
		w.ctl.SetProject(project)
		w.converge()
		require.Contains(t, w.writes(), "create volume p_data")

		lose()
		w.pass(time.Hour)
		require.NotContains(t, w.writes(), "create volume p_data")
		require.Empty(t, w.containers())
		require.True(t, w.heard("db VolumeMissing: volume p_data held the data of db and is gone"), w.events)
		require.NoError(t, w.engine.CreateVolume(t.Context(), engine.VolumeSpec{Name: "p_data"}))
		w.pass(2 * time.Minute) // it is Stalled until somebody looks again
		w.converge()
		require.Equal(t, []string{"p-db-1 running"}, w.containers())

		w.write("web: {image: 'plain:1'}")
		w.converge()
		require.NoError(t, w.engine.RemoveVolume(t.Context(), "p_data"))
		w.ctl.SetProject(project)
		w.converge()
		require.Contains(t, w.writes(), "create volume p_data")
	})
}

// Nobody reaches a dependency that has left its network.
func TestADatabaseThatHasLeftItsNetworkIsMadeAnew(t *testing.T) {
	inWorld(t, func(w *world) {
		w.write("db: {image: 'healthy:1', volumes: ['/data:/var/lib/postgresql/data']}",
			"kind: Database\nmetadata: {name: db}\nspec: {engine: postgres, backup: {beforeUpdate: false}}")
		w.converge()
		before := w.container("p-db-1").ID
		w.engine.LeaveNetwork(before, "p_default")
		w.pass(10 * time.Minute) // no event of the container tells of it
		require.Equal(t, []string{"p-db-1 running"}, w.containers())
		require.NotEqual(t, before, w.container("p-db-1").ID)
	})
}

func TestStuckWorkloadDoesNotBlockAnother(t *testing.T) {
	inWorld(t, func(w *world) {
		const both = "slow: {image: 'stuck:1', stop_grace_period: 10m}\n"
		w.write(both + "web: {image: 'plain:1'}")
		w.converge()
		w.write("slow: {image: 'stuck:1', stop_grace_period: 10m, environment: {A: b}}\nweb: {image: 'plain:2'}",
			"kind: Deployment\nmetadata: {name: slow}\nspec: {strategy: {type: Recreate}}")
		w.pass(time.Minute)
		ctx, cancel := context.WithTimeout(w.ctx, time.Minute)
		defer cancel()
		require.ErrorIs(t, w.ctl.Wait(ctx, "slow"), context.DeadlineExceeded)
		all, err := w.engine.Containers(context.Background(), "p")
		require.NoError(t, err)
		images := map[string]bool{}
		for _, c := range all {
			images[c.Image] = true
		}
		require.Equal(t, map[string]bool{"stuck:1": true, "plain:2": true}, images)
	})
}

func TestAdoptsWhatComposeRuns(t *testing.T) {
	inWorld(t, func(w *world) {
		p := w.load(twoWebs)
		labels := map[string]string{
			"com.docker.compose.project": "p", "com.docker.compose.service": "web",
			"com.docker.compose.container-number": "1", "com.docker.compose.oneoff": "False",
			"com.docker.compose.config-hash": p.Workloads["web"].ConfigHash,
		}
		id := w.engine.Put(engine.Container{
			Name: "p-web-1", Image: healthy, Labels: labels, State: engine.Running, RestartPolicy: "always",
			StartedAt: time.Now(), Health: engine.Healthy, Networks: map[string]string{"p_default": "172.20.0.2"},
		}, model.Behavior{HealthCheck: true})
		w.restart()
		w.ctl.SetProject(p)
		w.converge()
		c := w.container("p-web-1")
		require.Equal(t, id, c.ID)
		require.Equal(t, "no", c.RestartPolicy)
		require.NotContains(t, w.writes(), "stop container p-web-1")
		require.True(t, w.heard("web Adopted: p-web-1"), w.events)
		require.Equal(t, []string{"p-web-1 running", "p-web-2 running"}, w.containers())
	})
}

func TestRejectedSpecChangesNothing(t *testing.T) {
	inWorld(t, func(w *world) {
		w.write(twoWebs)
		w.converge()
		w.writes()
		w.ctl.RejectProject(errors.New("specs/web.yaml:3:1: unknown field"))
		w.pass(time.Minute)
		require.Empty(t, w.writes())
		require.True(t, w.heard("InvalidSpec: specs/web.yaml:3:1"), w.events)
		w.write(twoWebs)
		w.pass(time.Second)
		require.True(t, w.heard("SpecInForce"), w.events)
	})
}

func TestSaysWhatItAdoptsAlsoWhereTheEngineDoesNotRestartIt(t *testing.T) {
	inWorld(t, func(w *world) {
		p := w.load("web: {image: 'plain:1'}")
		w.engine.Put(engine.Container{
			Name: "p-web-1", Image: plain, State: engine.Running, StartedAt: time.Now(), Networks: map[string]string{"p_default": "172.20.0.2"},
			Labels: map[string]string{
				"com.docker.compose.project": "p", "com.docker.compose.service": "web",
				"com.docker.compose.container-number": "1", "com.docker.compose.config-hash": p.Workloads["web"].ConfigHash,
			},
		}, model.Behavior{})
		w.restart()
		w.ctl.SetProject(p)
		w.converge()
		require.True(t, w.heard("web Adopted: p-web-1"), w.events)
		require.Equal(t, []string{"p-web-1 running"}, w.containers())
	})
}

func TestAnImageThatWasBuiltAnewIsRolledOut(t *testing.T) {
	inWorld(t, func(w *world) {
		made := func() (ids []string) {
			all, err := w.engine.Containers(context.Background(), "p")
			require.NoError(t, err)
			for _, c := range all {
				ids = append(ids, c.ImageID)
			}
			return ids
		}
		w.write(twoWebs)
		w.converge()
		first := made()
		require.Len(t, first, 2)

		w.engine.RemoveImage("healthy:1")
		w.engine.ForgetCalls()
		w.pass(10 * time.Minute)
		require.Equal(t, first, made(), "a name that stands for nothing changes nothing")

		second := w.engine.AddImage("healthy:1", model.Behavior{HealthCheck: true, HealthAfter: time.Second})
		w.pass(time.Minute + 30*time.Second)
		require.Equal(t, []string{second, second}, made())
		require.True(t, w.heard("web RolloutStarted: rolling 2 replicas to what healthy:1 is now"), w.events)

		w.engine.ForgetCalls()
		w.restart()
		w.write(twoWebs)
		w.converge()
		w.pass(time.Hour)
		require.Empty(t, w.writes(), "it is rolled out once")

		// Nobody was there to see it.
		w.stop()
		third := w.engine.AddImage("healthy:1", model.Behavior{HealthCheck: true, HealthAfter: time.Second})
		w.start()
		w.write(twoWebs)
		w.converge()
		require.Equal(t, []string{third, third}, made())
	})
}

// What is not there yet is pulled, and what it is then is no change.
func TestAnImageThatIsPulledIsNoOtherImage(t *testing.T) {
	inWorld(t, func(w *world) {
		w.engine.PublishImage("far:1", model.Behavior{})
		w.write("web: {image: \"far:1\"}\n")
		w.converge()
		w.engine.ForgetCalls()
		w.pass(time.Hour)
		require.Empty(t, w.writes())
		require.False(t, w.heard("RolloutStarted"), w.events)
	})
}

// What is kept elsewhere is taken away here though others depend on it, and they do not wait
// for it.
func TestWhatIsKeptElsewhereIsWaitedForByNobody(t *testing.T) {
	const both = "web: {image: plain:1, depends_on: {db: {condition: service_healthy}}}\ndb: {image: healthy:1}\n"
	inWorld(t, func(w *world) {
		p := w.load(both)
		w.ctl.SetProject(p)
		w.converge()
		part := *p
		part.Workloads, part.Elsewhere = map[string]*spec.Workload{"web": p.Workloads["web"]}, []string{"db"}
		w.ctl.SetProject(&part)
		w.converge()
		require.Equal(t, []string{"p-web-1 running"}, w.containers())
		all, err := w.engine.Containers(t.Context(), "p")
		require.NoError(t, err)
		require.NoError(t, w.engine.Stop(t.Context(), all[0].ID, time.Second))
		w.converge()
		require.Equal(t, []string{"p-web-1 running"}, w.containers())
	})
}
