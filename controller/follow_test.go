package controller

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/model"
)

const followed = "web: {image: 'shop/web:1', pull_policy: every_1h, deploy: {replicas: 2}}"

// digests are what the running containers were made from.
func (w *world) digests() (all []string) {
	for _, c := range w.engine.Truth() {
		if c.State == engine.Running {
			all = append(all, c.Image)
		}
	}
	return all
}

func at(digest string) []string {
	return []string{"shop/web@" + digest, "shop/web@" + digest}
}

// count counts the calls of one kind since the last time.
func (w *world) count(op model.Op) (n int) {
	for _, c := range w.engine.Calls() {
		if c.Op == op {
			n++
		}
	}
	w.engine.ForgetCalls()
	return n
}

func TestAnotherDigestIsARevision(t *testing.T) {
	inWorld(t, func(w *world) {
		healthy := model.Behavior{HealthCheck: true, HealthAfter: time.Second}
		first := w.engine.PublishImage("shop/web:1", healthy)
		w.write(followed)
		w.converge()
		require.Equal(t, at(first), w.digests())
		w.pass(10 * time.Hour)
		assert.LessOrEqual(t, w.count(model.OpDigest), 11, "the registry is asked once an hour")

		second := w.engine.PublishImage("shop/web:1", healthy)
		w.pass(2 * time.Hour)
		require.Equal(t, at(second), w.digests())
		assert.True(t, w.heard("RolloutComplete"))

		// One that is never ready is taken back, and not tried again.
		sick := w.engine.PublishImage("shop/web:1", model.Behavior{HealthCheck: true, HealthAfter: time.Second, Sick: true})
		w.pass(3 * time.Hour)
		require.Equal(t, at(second), w.digests())
		assert.True(t, w.heard("RolledBack"))
		w.engine.ForgetCalls()
		w.pass(24 * time.Hour)
		assert.Zero(t, w.count(model.OpCreate), "%s is tried again", sick)

		third := w.engine.PublishImage("shop/web:1", healthy)
		w.pass(2 * time.Hour)
		require.Equal(t, at(third), w.digests())
	})
}

// It does not answer, or the tag is deleted there: nothing is asked of the engine but what it
// has, whether for an hour or for twelve.
func TestARegistryThatIsAwayChangesNothing(t *testing.T) {
	for name, goes := range map[string]func(*model.Engine){
		"it does not answer": func(e *model.Engine) {
			for range 1000 {
				e.FailNext(model.OpDigest, engine.Unknown, model.NoEffect)
			}
		},
		"the tag is deleted": func(e *model.Engine) { e.UnpublishImage("shop/web:1") },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				first := w.engine.PublishImage("shop/web:1", model.Behavior{})
				w.write(followed)
				w.converge()
				w.pass(50 * time.Minute)
				goes(w.engine)
				w.forget()
				w.pass(12 * time.Hour)
				require.Equal(t, at(first), w.digests())
				var asked int
				for _, c := range w.engine.Writes() {
					require.Equal(t, model.OpDigest, c.Op, "%s", c)
					asked++
				}
				assert.InDelta(t, 12*time.Hour/(5*time.Minute), asked, 10, "it is asked at the pace of the back-off, which ends at five minutes")
				w.mu.Lock()
				assert.Len(t, w.events, 1, "it is told once: %v", w.events)
				w.mu.Unlock()
				assert.True(t, w.heard("RegistryFailed"))

				// What crashes is started again all the same, and a new container is made.
				w.engine.Kill(w.container("p-web-1").ID, 1)
				w.pass(time.Minute)
				require.Equal(t, at(first), w.digests())
			})
		})
	}
}

// forget forgets the events and the engine's requests so far.
func (w *world) forget() {
	w.engine.ForgetCalls()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = nil
}

// The hooks of a new digest run before its first replica is made, once, and one that fails
// keeps it from being rolled out.
func TestTheHooksOfADigestRunBeforeIt(t *testing.T) {
	inWorld(t, func(w *world) {
		migrates := func(code int) model.Behavior {
			return model.Behavior{Commands: map[string]model.Behavior{"migrate": {Exits: true, After: time.Second, Code: code}}}
		}
		const hook = "kind: Deployment\nmetadata: {name: web}\nspec: {preRollout: [{name: migrate, command: [migrate]}]}"
		w.engine.PublishImage("shop/web:1", migrates(0))
		w.write(followed, hook)
		w.converge()
		second := w.engine.PublishImage("shop/web:1", migrates(0))
		w.pass(2 * time.Hour)
		require.Equal(t, at(second), w.digests())
		w.engine.PublishImage("shop/web:1", migrates(1))
		w.forget()
		w.pass(24 * time.Hour)
		require.Equal(t, at(second), w.digests())
		assert.True(t, w.heard("hook migrate exited with code 1"))
		assert.Equal(t, 1, w.count(model.OpCreate), "only the hook was made, once")
	})
}

// An image that is always pulled is pulled when tend starts, and what comes is rolled out.
func TestAnImageIsPulledWhenTendStarts(t *testing.T) {
	inWorld(t, func(w *world) {
		first := w.engine.PublishImage("shop/web:1", model.Behavior{})
		const always = "web: {image: 'shop/web:1', pull_policy: always, deploy: {replicas: 2}}"
		w.write(always)
		w.converge()
		require.Equal(t, at(first), w.digests())
		second := w.engine.PublishImage("shop/web:1", model.Behavior{})
		w.pass(48 * time.Hour)
		require.Equal(t, at(first), w.digests(), "nobody asked for another one")

		w.stop()
		w.start()
		w.write(always)
		w.converge()
		w.pass(time.Minute)
		require.Equal(t, at(second), w.digests(), fmt.Sprint(w.events))
	})
}

func TestOldImagesArePrunedWhereThatIsAskedFor(t *testing.T) {
	const limit = "kind: Deployment\nmetadata: {name: web}\nspec: {revisionHistoryLimit: 1}"
	for text, pruned := range map[string]bool{followed: false, followed[:len(followed)-1] + ", x-tend: {keepImages: 1}}": true} {
		inWorld(t, func(w *world) {
			var digests []string
			publish := func() {
				digests = append(digests, w.engine.PublishImage("shop/web:1", model.Behavior{}))
			}
			publish()
			w.write(text, limit)
			w.converge()
			for range 3 {
				publish()
				w.pass(2 * time.Hour)
				require.Equal(t, at(digests[len(digests)-1]), w.digests())
			}
			local, err := w.engine.Images(t.Context())
			require.NoError(t, err)
			var kept []string
			for _, digest := range digests {
				if slices.ContainsFunc(local, func(i engine.LocalImage) bool { return slices.Contains(i.Names, "shop/web@"+digest) }) {
					kept = append(kept, digest)
				}
			}
			if pruned {
				assert.Equal(t, digests[1:], kept, "the one in force, the one that worked before, and one more in the history")
			} else {
				assert.Equal(t, digests, kept)
			}
			assert.Equal(t, pruned, w.heard("ImageRemoved"))
		})
	}
}
