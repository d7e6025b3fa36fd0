package plan

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
)

// A rollout begins with nothing of the one before but what worked.
func TestARolloutBeginsAnew(t *testing.T) {
	s := defaults(spec.Deployment)
	s.Revision, s.Strategy = "v2", spec.Strategy{Type: spec.RollingUpdate, MaxUnavailable: 1}
	before := core.Rollout{
		Workload: "web", Revision: "v1", Stable: "v1", ImageID: "sha256:1", StableImageID: "sha256:1", StartedAt: noon, ProgressAt: noon,
		AvailableSince: noon, Complete: true, Prepared: "x", Refused: "y", Hooked: "v1", HookTry: core.Try{Count: 1},
		Updated: 7, UpdatedReady: 7, UpdatedAvailable: 7, Ready: 7, Available: 7, Old: 0,
		Succeeded: map[int]bool{1: true}, GivenUp: core.Failure{Reason: "BackoffLimitExceeded"},
	}
	now := noon.Add(time.Hour)
	r := Compute(Input{Now: now, Workload: "web", Spec: s, Replicas: []core.Replica{served(1), served(2)}, History: map[string]*spec.Workload{"v1": defaults(spec.Deployment)}, Rollout: before}).Rollout
	assert.Equal(t, core.Rollout{
		Workload: "web", Revision: "v2", Stable: "v1", StableImageID: "sha256:1", StartedAt: now, ProgressAt: now, Hooked: "v1",
		// Two old ones were there, of which one is wanted.
		Ready: 2, Available: 1, Old: 2, Blocked: r.Blocked,
		Attempts: r.Attempts, Tries: r.Tries, Drains: map[string]core.Drain{}, Succeeded: map[int]bool{}, Done: map[string]time.Time{}, Anonymous: r.Anonymous,
	}, r)
}

// What an image's name stands for is rolled out like a revision, where there is something
// to roll.
func TestAnImageThatWasBuiltAnewIsRolledOut(t *testing.T) {
	s := defaults(spec.Deployment)
	s.Image = "web:1"
	r := served(1)
	r.ImageID = "sha256:1111111111111111"
	in := Input{
		Now: noon, Workload: "web", Spec: s, ImageID: "sha256:2222222222222222", Replicas: []core.Replica{r},
		Rollout: core.Rollout{Workload: "web", Revision: "v1", Stable: "v1", ImageID: r.ImageID, StableImageID: r.ImageID, Complete: true, Hooked: "v1"},
	}
	told := func() (all []string) {
		for _, e := range Compute(in).Events {
			if e.Reason == "RolloutStarted" {
				all = append(all, e.Message)
			}
		}
		return all
	}
	assert.Equal(t, []string{"rolling 1 replica to what web:1 is now, 222222222222"}, told())
	assert.Empty(t, Compute(in).Rollout.Hooked, "its hooks run again")
	in.Replicas = nil
	assert.Equal(t, []string{"revision v1"}, told())
}

// The engine's answer to a start was lost, and the container runs.
func TestAStartThatWasMadeHasNotFailed(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(a *core.Attempt, r *core.Replica)
		want   core.Attempt
	}{
		{"it was started since", func(*core.Attempt, *core.Replica) {}, core.Attempt{Revision: "v1", Count: 3, At: noon, Unstarted: 1}},
		{"at that very instant", func(_ *core.Attempt, r *core.Replica) { r.StartedAt = noon }, core.Attempt{Revision: "v1", Count: 3, At: noon, Unstarted: 1}},
		{"before", func(_ *core.Attempt, r *core.Replica) { r.StartedAt = noon.Add(-time.Second) }, core.Attempt{Revision: "v1", Count: 3, At: noon, Unstarted: 2, Error: "no answer"}},
		{"never", func(_ *core.Attempt, r *core.Replica) { r.StartedAt = time.Time{} }, core.Attempt{Revision: "v1", Count: 3, At: noon, Unstarted: 2, Error: "no answer"}},
		{"its commands have not ended", func(a *core.Attempt, _ *core.Replica) { a.Unfinished = true }, core.Attempt{Revision: "v1", Count: 3, At: noon, Unstarted: 2, Error: "no answer", Unfinished: true}},
		{"it was of another revision", func(a *core.Attempt, _ *core.Replica) { a.Revision = "v0" }, core.Attempt{Revision: "v0", Count: 3, At: noon, Unstarted: 2, Error: "no answer"}},
		{"none had failed before", func(a *core.Attempt, _ *core.Replica) { a.Unstarted = 0 }, core.Attempt{Revision: "v1", Count: 3, At: noon}},
	} {
		a, r := core.Attempt{Revision: "v1", Count: 3, At: noon, Unstarted: 2, Error: "no answer"}, served(1)
		r.StartedAt = noon.Add(time.Second)
		c.change(&a, &r)
		target := &target{rollout: core.Rollout{Attempts: map[int]core.Attempt{1: a}}}
		target.noteStarted(replica{Replica: r, revision: "v1"})
		assert.Equal(t, c.want, target.rollout.Attempts[1], c.name)
	}
}

func TestTheSoonerOfTwoInstants(t *testing.T) {
	never, later := time.Time{}, noon.Add(time.Second)
	assert.Equal(t, noon, soonest(noon, later))
	assert.Equal(t, noon, soonest(later, noon))
	assert.Equal(t, noon, soonest(noon, never))
	assert.Equal(t, noon, soonest(never, noon))
	assert.Equal(t, never, soonest(never, never))
	assert.Equal(t, "12345678", short("123456789"))
	assert.Equal(t, "1234", short("1234"))
}
