package controller

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/engine/model"
	"github.com/tendhq/tend/state"
	"github.com/tendhq/tend/state/durable"
	"github.com/tendhq/tend/state/durable/durabletest"
)

// inLastingWorld is inWorld with a state that survives a restart.
func inLastingWorld(t *testing.T, f func(w *world, kept *durabletest.Memory)) {
	t.Helper()
	inWorld(t, func(w *world) {
		w.stop()
		w.engine.ForgetCalls()
		kept := &durabletest.Memory{}
		w.durable = kept
		w.start()
		f(w, kept)
	})
}

// read is what another process would restore.
func read(t *testing.T, kept *durabletest.Memory) *state.Snapshot {
	t.Helper()
	rows, err := kept.Load(context.Background())
	require.NoError(t, err)
	s := state.New(func([]state.Change) {})
	require.NoError(t, s.Restore(rows))
	return s.Snapshot()
}

func of(version string) string {
	return "web: {image: 'healthy:1', environment: {VERSION: '" + version + "'}, deploy: {replicas: 2}}"
}

func (w *world) undo(to string) {
	w.t.Helper()
	require.NoError(w.t, w.ctl.Intend(w.ctx, core.Event{Workload: "web", Reason: "Asked"}, func(i *core.Intent, snap *state.Snapshot) error {
		row, _ := snap.Workload("web")
		i.Undo, i.UndoOf = to, row.Spec.Revision
		return nil
	}))
}

func TestAnyRevisionCanBeGoneBackToAfterARestart(t *testing.T) {
	inLastingWorld(t, func(w *world, _ *durabletest.Memory) {
		for i := range 3 {
			w.write(of(fmt.Sprint(i)))
			w.converge()
		}
		before := w.ctl.State().Snapshot().Revisions("web")
		w.restart()
		w.write(of("2"))
		w.converge()
		after := w.ctl.State().Snapshot().Revisions("web")
		require.Len(t, after, 3)
		for i := range after {
			assert.Equal(t, before[i].Revision, after[i].Revision)
			assert.Equal(t, before[i].Number, after[i].Number)
			assert.True(t, before[i].At.Equal(after[i].At))
			assert.True(t, state.SameSpec(before[i].Spec, after[i].Spec))
		}
		w.writes()
		w.undo(after[0].Revision)
		w.converge()
		require.Equal(t, after[0].Revision, w.ctl.State().Snapshot().Statuses()[0].UpdateRevision)
		require.NotEmpty(t, w.writes())
	})
}

func TestWhatWasAskedAndWhatHappenedSurviveARestart(t *testing.T) {
	inLastingWorld(t, func(w *world, _ *durabletest.Memory) {
		w.write(of("1"))
		w.converge()
		paused := true
		require.NoError(t, w.ctl.Intend(w.ctx, core.Event{Workload: "web", Reason: "Asked"}, func(i *core.Intent, _ *state.Snapshot) error {
			i.Paused = &paused
			return nil
		}))
		last := w.ctl.State().Snapshot().LastEvent()
		require.NotZero(t, last)
		w.restart()
		w.write(of("2"))
		w.pass(time.Minute)
		intent, ok := w.ctl.State().Snapshot().Intent("web")
		require.True(t, ok)
		require.True(t, *intent.Paused)
		row, _ := w.ctl.State().Snapshot().Workload("web")
		require.EqualValues(t, 2, row.Generation, "it was changed once, while nobody looked")
		require.True(t, w.heard("web SpecChanged: generation 2: revision"))
		events := w.ctl.State().Snapshot().Events(0)
		require.EqualValues(t, 1, events[0].ID)
		require.Greater(t, events[len(events)-1].ID, last)
		require.Equal(t, 2, w.running())
	})
}

func TestWhatIsAsItWasKeptIsNotWrittenAgain(t *testing.T) {
	inLastingWorld(t, func(w *world, kept *durabletest.Memory) {
		w.write(of("1"))
		w.converge()
		w.stop()
		var written []string
		kept.Intercept(func(method string) error {
			if method != "Load" {
				written = append(written, method)
			}
			return nil
		}, nil)
		w.start()
		w.write(of("1"))
		w.converge()
		w.stop()
		kept.Intercept(nil, nil)
		require.Empty(t, written)
		w.start()
	})
}

func TestTheBackOffGoesOnAfterARestart(t *testing.T) {
	inLastingWorld(t, func(w *world, _ *durabletest.Memory) {
		w.write("web: {image: 'crashes:1'}")
		w.pass(3 * time.Minute)
		before, _ := w.ctl.State().Snapshot().Rollout("web")
		require.Greater(t, before.Attempts[1].Count, 4)
		w.restart()
		w.write("web: {image: 'crashes:1'}")
		w.writes()
		w.pass(time.Second)
		require.Empty(t, w.writes(), "it waits for as long as it would have waited")
		after, _ := w.ctl.State().Snapshot().Rollout("web")
		require.Equal(t, before.Attempts[1].Count, after.Attempts[1].Count)
	})
}

func TestARolloutThatWasUnderWayIsRolledBackAfterARestart(t *testing.T) {
	inLastingWorld(t, func(w *world, _ *durabletest.Memory) {
		w.write(served, deployment("healthy:1"))
		w.converge()
		w.pass(time.Minute)
		w.write(served, deployment("sick:1"))
		w.pass(10 * time.Second)
		w.stop()
		w.pass(time.Hour)
		w.start()
		w.write(served, deployment("sick:1"))
		w.pass(50 * time.Second)
		require.False(t, w.heard("RolledBack"), "nobody acted for an hour, which is not the rollout's fault")
		w.pass(20 * time.Second)
		require.True(t, w.heard("web RolledBack"), w.events)
		w.pass(time.Minute)
		require.Equal(t, map[string]int{"healthy:1": 2}, w.images())

		w.restart()
		w.write(served, deployment("sick:1"))
		w.writes()
		w.pass(10 * time.Minute)
		require.Empty(t, w.writes(), "what has failed is not tried again")
	})
}

// A project that was taken away with its data begins from nothing: a Job that
// had run runs again.
func TestAJobWhoseContainerIsGoneRunsAgainAfterARestart(t *testing.T) {
	inLastingWorld(t, func(w *world, _ *durabletest.Memory) {
		const migrate = "migrate: {image: 'task:1', restart: 'no'}"
		w.write(migrate)
		w.converge()
		w.restart()
		w.write(migrate)
		w.converge()
		w.writes()
		w.pass(time.Minute)
		require.Empty(t, w.writes(), "it has run")
		w.stop()
		w.engine.RemoveBehind(w.container("p-migrate-1").ID)
		w.start()
		w.write(migrate)
		w.converge()
		require.Contains(t, w.containers(), "p-migrate-1 exited")
	})
}

func TestWhatIsDecidedIsDurableBeforeItIsDone(t *testing.T) {
	inLastingWorld(t, func(w *world, kept *durabletest.Memory) {
		attempts := 0
		before := func(string) error {
			writes := 0
			for _, c := range w.engine.Writes() {
				if c.Op == model.OpCreate {
					writes++
				}
			}
			assert.LessOrEqual(t, writes, attempts, "more was done than was durable")
			return nil
		}
		after := func(string) error {
			row, ok := w.ctl.State().Snapshot().Rollout("web")
			if ok {
				attempts = max(attempts, len(row.Attempts))
			}
			return nil
		}
		kept.Intercept(before, after)
		for n := 1; n <= 6; n++ {
			w.write(of("1"), fmt.Sprintf("kind: Deployment\nmetadata: {name: web}\nspec: {replicas: %d}", n))
			w.converge()
		}
		kept.Intercept(nil, nil)
		require.Equal(t, 6, attempts)

		w.undo("") // what was asked is durable when the answer comes
		_, ok := read(t, kept).Intent("web")
		require.True(t, ok)
	})
}

func TestTheLoopGoesOnWhileNothingCanBeWritten(t *testing.T) {
	inLastingWorld(t, func(w *world, kept *durabletest.Memory) {
		w.write(of("1"))
		w.converge()
		full := errors.New("no space left on device")
		kept.Intercept(func(string) error { return full }, nil)
		w.write(of("2"))
		w.converge()
		require.True(t, w.heard("StateNotKept: what tend remembers cannot be written: no space left"), w.events)
		require.Equal(t, 2, w.running())
		tries := 0
		kept.Intercept(func(string) error { tries++; return full }, nil)
		for n := range 60 { // each commit is a decision's
			w.write(of("2"), fmt.Sprintf("kind: Deployment\nmetadata: {name: web}\nspec: {replicas: %d}", 2+n%2))
			w.pass(10 * time.Second)
		}
		kept.Intercept(nil, nil)
		require.LessOrEqual(t, tries, 16, "it is not hammered")
		require.NotZero(t, tries)

		w.pass(2 * time.Minute)
		require.True(t, w.heard("StateKept"), w.events)
		snap := read(t, kept)
		require.Len(t, snap.Revisions("web"), 2, "all of it was written")
		require.Equal(t, snap.LastEvent(), w.ctl.State().Snapshot().LastEvent(), "also that")
	})
}

func TestWhatIsDamagedIsSetAsideAndStopsNothing(t *testing.T) {
	inLastingWorld(t, func(w *world, kept *durabletest.Memory) {
		w.write(of("1"))
		w.converge()
		w.stop()
		require.NoError(t, kept.Commit(t.Context(), []durable.Row{{Table: state.Rollouts, Key: "web", Value: []byte("garbage")}}))
		w.start()
		w.write(of("1"))
		w.writes()
		w.converge()
		require.Empty(t, w.writes())
		require.Equal(t, []durable.Damage{durable.Corrupt}, kept.Aside())
		require.True(t, w.heard("StateSetAside: what tend remembered is corrupt"), w.events)
		w.pass(time.Minute)
		require.Len(t, read(t, kept).Revisions("web"), 1, "it is kept anew")

		// And while the controller runs.
		fail := true
		kept.Intercept(func(method string) error {
			if method == "Commit" && fail {
				fail = false
				return &durable.DamagedError{Damage: durable.Corrupt, Detail: "a page is gone"}
			}
			return nil
		}, nil)
		w.write(of("2"))
		w.converge()
		w.pass(time.Minute)
		require.True(t, w.heard("a page is gone"), w.events)
		require.Len(t, read(t, kept).Revisions("web"), 2)
	})
}

func TestWhatCannotBeReadIsNotWrittenOver(t *testing.T) {
	inLastingWorld(t, func(w *world, kept *durabletest.Memory) {
		w.write(of("1"))
		w.converge()
		w.stop()
		kept.Intercept(func(method string) error {
			if method != "Load" {
				t.Errorf("%s was called", method)
			}
			return errors.New("input/output error")
		}, nil)
		w.start()
		w.write(of("2"))
		w.converge()
		require.True(t, w.heard("StateUnreadable"), w.events)
		w.stop()
		kept.Intercept(nil, nil)
		require.Len(t, read(t, kept).Revisions("web"), 1)
		w.start()
	})
}

func TestWhatIsGoneIsForgotten(t *testing.T) {
	inLastingWorld(t, func(w *world, kept *durabletest.Memory) {
		w.write(of("1") + "\nother: {image: 'plain:1'}")
		w.converge()
		w.write("other: {image: 'plain:1'}")
		w.converge()
		w.pass(time.Minute)
		require.Equal(t, map[string]bool{"other": true}, read(t, kept).Remembered())

		// Also where it went while nobody looked.
		w.stop()
		w.engine.RemoveBehind(w.container("p-other-1").ID)
		w.start()
		w.write(of("1"))
		w.converge()
		w.pass(time.Minute)
		require.Equal(t, map[string]bool{"web": true}, read(t, kept).Remembered())
	})
}

func TestNothingRememberedOfWhatTendMadeIsReported(t *testing.T) {
	inLastingWorld(t, func(w *world, _ *durabletest.Memory) {
		w.write(of("1"))
		w.converge()
		require.False(t, w.heard("StateLost"), w.events)
		w.stop()
		w.durable = &durabletest.Memory{}
		w.start()
		w.write(of("1"))
		w.writes()
		w.converge()
		require.Empty(t, w.writes())
		require.True(t, w.heard("StateLost"), w.events)
	})
}
