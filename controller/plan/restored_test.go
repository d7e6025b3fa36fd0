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
