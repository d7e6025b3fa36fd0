package plan

import (
	"time"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
)

// begins reports whether a rollout to the desired spec begins.
func (t *target) begins() bool {
	r := t.rollout
	return t.desired != nil && (r.Revision != t.desired.Revision || r.RestartedAt.Before(t.Intent.RestartedAt) || t.imageChanged())
}

// begin starts the record of a rollout to the desired spec's revision.
func (t *target) begin() {
	r := &t.rollout
	first := r.Revision == ""
	rebuilt := r.Revision == t.desired.Revision && t.imageChanged()
	switch {
	case r.RestartedAt.Before(t.Intent.RestartedAt):
		r.Hooked = "" // a restart repeats them
	case rebuilt:
		r.Hooked = "" // another image may have other migrations
		clear(r.Attempts)
	case r.Stable == t.desired.Revision:
		r.Hooked = r.Stable // they ran when it was rolled out
	}
	if !first && r.Revision != t.desired.Revision && t.desired.Kind == spec.Job {
		t.forgetRuns()
	}
	old := t.counts.old
	if r.Revision != t.desired.Revision {
		r.ImageID = "" // it was the image of the revision before
	}
	r.Revision, r.RestartedAt = t.desired.Revision, t.Intent.RestartedAt
	r.StartedAt, r.ProgressAt = t.Now, t.Now
	r.Updated, r.UpdatedReady, r.UpdatedAvailable, r.Ready, r.Available, r.Old = 0, 0, 0, 0, 0, old
	r.AvailableSince, r.GivenUp = time.Time{}, core.Failure{}
	r.Prepared, r.Refused, r.HookTry = "", "", core.Try{}
	clear(r.Succeeded)
	for _, replica := range t.replicas {
		if first && replica.Revision == "" && replica.InFlight == "" {
			t.tell(core.Normal, "Adopted", "%s was made by docker compose; from now on tend keeps it", replica.Name)
		}
	}
	switch {
	case rebuilt && old > 0:
		t.tell(core.Normal, "RolloutStarted", "rolling %s to what %s is now, %s", plural(old, "replica"), t.desired.Image, shortImage(t.ImageID))
	case old > 0:
		t.tell(core.Normal, "RolloutStarted", "rolling %s to revision %s", plural(old, "replica"), short(r.Revision))
	case first && t.desired.Kind != spec.Job && t.atSpec(*r):
		r.Complete, r.Stable = true, r.Revision // it is all there: we only did not know
	case !first:
		t.tell(core.Normal, "RolloutStarted", "revision %s", short(r.Revision))
	}
}

// forgetRuns forgets the runs of a Job that were of an earlier rollout: none of them counts
// in the one that begins, nor does one that has been told to end, and may go on until then.
func (t *target) forgetRuns() {
	before := t.rollout.Attempts
	t.rollout.Attempts = map[int]core.Attempt{}
	for _, r := range t.replicas {
		if toldBy(before[r.Number], r) || r.current && r.ended() && !r.done {
			t.rollout.Attempts[r.Number] = core.Attempt{Revision: r.revision, Ours: true}
		}
	}
}

func (t *target) tell(kind core.EventType, reason, message string, args ...any) {
	t.events = append(t.events, t.event(kind, reason, message, args...))
}

// noteStarted takes back that the last start of a replica has failed, where its container
// has been started since: only the engine's answer was lost. A start whose post_start
// commands have not ended well stays one that has failed.
func (t *target) noteStarted(r replica) {
	a := t.rollout.Attempts[r.Number]
	if a.Error == "" || a.Unfinished || a.Revision != r.revision || r.StartedAt.IsZero() || r.StartedAt.Before(a.At) {
		return
	}
	a.Error, a.Unstarted = "", max(a.Unstarted-1, 0)
	t.rollout.Attempts[r.Number] = a
}

// noteProgress notes whether the rollout came forward: with more updated replicas, more
// of them ready, more of them available, or fewer old ones, as in Kubernetes
// (DeploymentProgressing in pkg/controller/deployment/util). Each count is held against
// the best there was, so that a replica that comes and goes is no progress.
func (t *target) noteProgress() {
	r, c := &t.rollout, t.counts
	switch all := t.desired != nil && t.hasAll(*r); {
	case all && r.AvailableSince.IsZero():
		r.AvailableSince = t.Now
	case !all && !r.AvailableSince.IsZero():
		r.ProgressAt = r.ProgressAt.Add(t.Now.Sub(r.AvailableSince))
		r.AvailableSince = time.Time{}
	}
	wanted := 0
	if t.desired != nil {
		wanted = min(c.available, t.desired.Replicas) // what a surge adds is not to be kept
	}
	updated := c.updated > r.Updated || c.updatedReady > r.UpdatedReady || c.updatedAvailable > r.UpdatedAvailable
	if updated || c.ready > r.Ready || wanted > r.Available || c.old < r.Old || r.Blocked {
		r.ProgressAt = t.Now
	}
	r.Updated, r.UpdatedReady, r.UpdatedAvailable = max(r.Updated, c.updated), max(r.UpdatedReady, c.updatedReady), max(r.UpdatedAvailable, c.updatedAvailable)
	r.Ready, r.Available, r.Old = max(r.Ready, c.ready), max(r.Available, wanted), min(r.Old, c.old)
}

// deadline is when the rollout has made no progress for as long as it may take. It is
// false while the deadline does not run: where every replica is available it has been
// met, and only a crash or the loss of readiness lets it run again.
func (t *target) deadline(record core.Rollout) (time.Time, bool) {
	return record.ProgressAt.Add(t.desired.ProgressDeadline), !record.Blocked && record.AvailableSince.IsZero()
}

// begun reports whether a replica of the spec's revision has ever been made. A new
// workload that is paused is not begun, as in Kubernetes.
func (t *target) begun() bool {
	r := t.rollout
	return r.Updated > 0 || r.Stable == t.desired.Revision
}

// earlier reports whether another revision worked before and can be made again.
func (t *target) earlier() bool {
	stable := t.rollout.Stable
	return stable != t.desired.Revision && t.remembers(stable)
}
