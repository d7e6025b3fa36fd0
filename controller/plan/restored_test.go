package plan

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"
)

func TestRestoredBelievesContainersMoreThanTheRecord(t *testing.T) {
	r := Rollout{
		Workload: "web", Revision: "v2", Stable: "v1", Failed: "v2", Failure: "no progress", Hooked: "v2", Prepared: "v2",
		ProgressAt: noon.Add(-time.Hour),
		Attempts:   map[int]Attempt{1: {Count: 3, At: noon}, 2: {Count: 3}, 3: {Count: 3, Error: "no space"}},
		Succeeded:  map[int]bool{1: true, 2: true},
	}
	before := cloneRollout(r)
	got := Restored(r, []Replica{{Number: 1}}, noon)
	assert.Equal(t, before, r, "its argument stays as it was")
	assert.Equal(t, Rollout{
		Workload: "web", Revision: "v2", Stable: "v1", Failed: "v2", Failure: "no progress",
		ProgressAt: noon, // nobody acted meanwhile
		Attempts:   map[int]Attempt{1: {Count: 3, At: noon}, 3: {Count: 3, Error: "no space"}},
		Succeeded:  map[int]bool{1: true},
	}, got)

	r.Complete = true
	assert.Equal(t, noon.Add(-time.Hour), Restored(r, nil, noon).ProgressAt)
}

func TestRestoredKnowsNoFuture(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := noon.Add(time.Duration(rapid.IntRange(-100, 100).Draw(t, "hours")) * time.Hour)
		at := func(name string) time.Time {
			return noon.Add(time.Duration(rapid.IntRange(-1000, 1000).Draw(t, name)) * time.Hour)
		}
		r := Restored(Rollout{
			StartedAt: at("started"), ProgressAt: at("progress"), RestartedAt: at("restarted"), HookTry: Try{At: at("hook")},
			Attempts: map[int]Attempt{1: {At: at("attempt"), Error: "x"}}, Tries: map[string]Try{"a": {At: at("try")}}, Drains: map[string]Drain{"a": {Since: at("drain")}},
			Complete: rapid.Bool().Draw(t, "complete"),
		}, nil, now)
		for _, at := range []time.Time{r.StartedAt, r.ProgressAt, r.RestartedAt, r.HookTry.At, r.Attempts[1].At, r.Tries["a"].At, r.Drains["a"].Since} {
			assert.False(t, at.After(now))
		}
	})
}

func TestOnlyWhatARestartFindsAnewIsForeseeable(t *testing.T) {
	record := func() Rollout {
		return Rollout{
			Workload: "web", Revision: "b", Stable: "a", Updated: 1, Old: 2, Available: 3,
			Drains:   map[string]Drain{"x": {Cause: "replaced"}, "y": {Cause: "replaced"}},
			Attempts: map[int]Attempt{1: {Count: 1}},
		}
	}
	for name, change := range map[string]func(*Rollout){
		"nothing":              func(*Rollout) {},
		"a count":              func(r *Rollout) { r.Updated, r.Old = 2, 1 },
		"the time of progress": func(r *Rollout) { r.ProgressAt = time.Unix(1, 0) },
		"the end of a drain":   func(r *Rollout) { delete(r.Drains, "x") },
	} {
		after := record()
		change(&after)
		assert.True(t, Foreseeable(record(), after), name)
	}
	for name, change := range map[string]func(*Rollout){
		"a drain":                  func(r *Rollout) { r.Drains["z"] = Drain{Cause: "replaced"} },
		"a drain that begins anew": func(r *Rollout) { r.Drains["x"] = Drain{Since: time.Unix(1, 0)} },
		"an attempt":               func(r *Rollout) { r.Attempts[2] = Attempt{Count: 1} },
		"how many are kept up":     func(r *Rollout) { r.Available = 2 },
		"the target":               func(r *Rollout) { r.Revision = "c" },
		"the end":                  func(r *Rollout) { r.Complete = true },
		"a rollback":               func(r *Rollout) { r.Failed, r.Failure = "b", "it crashes" },
	} {
		after := record()
		change(&after)
		assert.False(t, Foreseeable(record(), after), name)
	}
}
