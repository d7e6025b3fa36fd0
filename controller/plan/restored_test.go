package plan

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"

	"github.com/tendhq/tend/controller/core"
)

func TestRestoredBelievesContainersMoreThanTheRecord(t *testing.T) {
	r := core.Rollout{
		Workload: "web", Revision: "v2", Stable: "v1", Failed: "v2", Failure: "no progress", Hooked: "v2", Prepared: "v2",
		ProgressAt: noon.Add(-time.Hour),
		Attempts:   map[int]core.Attempt{1: {Count: 3, At: noon}, 2: {Count: 3}, 3: {Count: 3, Error: "no space"}},
		Succeeded:  map[int]bool{1: true, 2: true},
	}
	before := cloneRollout(r)
	got := Restored(r, []core.Replica{{Number: 1}}, noon)
	assert.Equal(t, before, r, "its argument stays as it was")
	assert.Equal(t, core.Rollout{
		Workload: "web", Revision: "v2", Stable: "v1", Failed: "v2", Failure: "no progress",
		ProgressAt: noon, // nobody acted meanwhile
		Attempts:   map[int]core.Attempt{1: {Count: 3, At: noon}, 3: {Count: 3, Error: "no space"}},
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
		r := Restored(core.Rollout{
			StartedAt: at("started"), ProgressAt: at("progress"), RestartedAt: at("restarted"), HookTry: core.Try{At: at("hook")},
			Attempts: map[int]core.Attempt{1: {At: at("attempt"), Error: "x"}}, Tries: map[string]core.Try{"a": {At: at("try")}}, Drains: map[string]core.Drain{"a": {Since: at("drain")}},
			Complete: rapid.Bool().Draw(t, "complete"),
		}, nil, now)
		for _, at := range []time.Time{r.StartedAt, r.ProgressAt, r.RestartedAt, r.HookTry.At, r.Attempts[1].At, r.Tries["a"].At, r.Drains["a"].Since} {
			assert.False(t, at.After(now))
		}
	})
}

func TestOnlyWhatARestartFindsAnewIsForeseeable(t *testing.T) {
	record := func() core.Rollout {
		return core.Rollout{
			Workload: "web", Revision: "b", Stable: "a", Updated: 1, Old: 2, Available: 3,
			Drains:   map[string]core.Drain{"x": {Cause: "replaced"}, "y": {Cause: "replaced"}},
			Attempts: map[int]core.Attempt{1: {Count: 1}},
		}
	}
	for name, change := range map[string]func(*core.Rollout){
		"nothing":              func(*core.Rollout) {},
		"a count":              func(r *core.Rollout) { r.Updated, r.Old = 2, 1 },
		"the time of progress": func(r *core.Rollout) { r.ProgressAt = time.Unix(1, 0) },
		"the end of a drain":   func(r *core.Rollout) { delete(r.Drains, "x") },
	} {
		after := record()
		change(&after)
		assert.True(t, core.Foreseeable(record(), after), name)
	}
	for name, change := range map[string]func(*core.Rollout){
		"a drain":                  func(r *core.Rollout) { r.Drains["z"] = core.Drain{Cause: "replaced"} },
		"a drain that begins anew": func(r *core.Rollout) { r.Drains["x"] = core.Drain{Since: time.Unix(1, 0)} },
		"an attempt":               func(r *core.Rollout) { r.Attempts[2] = core.Attempt{Count: 1} },
		"how many are kept up":     func(r *core.Rollout) { r.Available = 2 },
		"the target":               func(r *core.Rollout) { r.Revision = "c" },
		"the end":                  func(r *core.Rollout) { r.Complete = true },
		"a rollback":               func(r *core.Rollout) { r.Failed, r.Failure = "b", "it crashes" },
	} {
		after := record()
		change(&after)
		assert.False(t, core.Foreseeable(record(), after), name)
	}
}
