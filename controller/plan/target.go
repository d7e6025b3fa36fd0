package plan

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
)

// target is the second stage: what is to be kept, and how far the rollout to it is.
type target struct {
	view
	// desired is the spec to keep: what is written, in the revision that people asked
	// for, or in the last one that worked where that has failed; nil where the workload
	// is to be taken away. It never lets two containers write to one volume.
	desired *spec.Workload
	// wanted is the revision that people want.
	wanted string
	// replicas are the containers, held against desired.
	replicas []replica
	counts   counts
	// rollout is the record, in which the rollout to desired has begun, and its progress
	// is noted.
	rollout core.Rollout
	events  []core.Event
}

// chooseTarget chooses what to keep: where the rollout under way has failed, the last
// revision that worked is to run again. The rollback itself is not rolled back: between
// two revisions of which neither works, tend stands still and says so.
func chooseTarget(v view) target {
	t := v.toward(v.known)
	why := t.failed()
	if why == "" {
		return t
	}
	record := t.rollout
	record.Failed, record.Failure = t.desired.Revision, why
	back := v.toward(record)
	rolledBack := v.event(core.Warning, "RolledBack", "revision %s is rolled back to %s: %s", short(record.Failed), short(record.Stable), why)
	back.events = slices.Concat(t.events, []core.Event{rolledBack}, back.events)
	return back
}

// toward returns the target that follows from a record.
func (v view) toward(record core.Rollout) target {
	t := target{view: v, replicas: make([]replica, 0, len(v.containers)), rollout: record}
	r := &t.rollout
	r.Attempts, r.Succeeded = clone(record.Attempts), clone(record.Succeeded)
	t.desired = v.afterHolders(oneAtATime(t.choose(), v.Replicas, r.Anonymous))
	begins := t.begins()
	r.Complete = r.Complete && !begins
	for _, c := range v.containers {
		c = t.compare(c)
		t.noteStarted(c)
		t.assess(&c)
		t.replicas = append(t.replicas, c)
	}
	if t.desired != nil && t.desired.Kind != spec.Database {
		t.settleNumbers() // of a Database's containers none is touched while it is not clear whose the volume is
	}
	t.counts = count(t.replicas)
	if begins {
		t.begin()
	}
	if t.followsImage() {
		r.ImageID = t.ImageID
	}
	t.noteProgress()
	return t
}

// choose returns the spec to keep, and notes which revision people want.
func (t *target) choose() *spec.Workload {
	if t.Spec == nil {
		return nil
	}
	revision := t.Spec.Revision
	if undo := t.Intent.After(revision).Undo; undo != "" && t.remembers(undo) {
		revision = undo
	}
	t.wanted = revision
	r := &t.rollout
	if r.Failed != revision {
		r.Failed, r.Failure = "", "" // another revision is another chance
	} else if t.remembers(r.Stable) {
		revision = r.Stable
	}
	if revision == t.Spec.Revision || !t.remembers(revision) {
		return t.Spec
	}
	return t.Spec.WithTemplateOf(t.History[revision])
}

func (t *target) paused() bool { return t.Intent.Pauses(t.desired) }

// failed says why the rollout has to be taken back; empty where it has not to be, or
// cannot be.
func (t *target) failed() string {
	r := t.rollout
	switch {
	case t.desired == nil || t.desired.Kind == spec.Job || t.desired.OnFailure == spec.Pause:
		return ""
	case t.paused() || r.Failed != "":
		return ""
	case r.Stable == "" || r.Stable == t.desired.Revision || !t.remembers(r.Stable):
		return ""
	}
	if why := cmp.Or(t.hooks().failed, r.Refused); why != "" {
		return why
	}
	if at, runs := t.deadline(r); !runs || t.Now.Before(at) {
		return ""
	}
	why := fmt.Sprintf("no progress for %s", t.desired.ProgressDeadline)
	if c := t.Status.Condition(core.ReplicaFailure); c != nil && c.Status {
		return why + "; " + c.Message
	}
	if c := t.Status.Condition(core.Progressing); c != nil && c.Reason == "Waiting" {
		return why + "; " + c.Message
	}
	return why + t.unanswered()
}

// unanswered says what the probes say of the first replica of the revision that
// is not ready, or nothing.
func (t *target) unanswered() string {
	for _, r := range t.replicas {
		if r.current && (r.class == starting || r.class == unready) && r.HealthOutput != "" {
			return fmt.Sprintf("; %s is not ready: %s", r.Name, r.HealthOutput)
		}
	}
	return ""
}

// compare holds a container against the spec to keep.
func (t *target) compare(r replica) replica {
	r.revision, r.current = revisionOf(r.Replica, t.desired)
	r.rebuilt = r.current && t.madeFromAnother(r.Replica)
	asked := r.InFlight != core.CreateReplica && r.Created.Before(t.Intent.RestartedAt)
	r.current = r.current && !r.rebuilt && !asked && !r.TakenOver
	r.WasReady = r.WasReady || t.completedWith(r)
	return r
}

// IsCurrent reports whether a container was made from a spec's template.
func IsCurrent(r core.Replica, s *spec.Workload) bool {
	_, current := revisionOf(r, s)
	return current
}

// revisionOf tells what a container was made from, and whether that is the
// spec's template. One that tend did not make is judged by Compose's own hash.
func revisionOf(r core.Replica, s *spec.Workload) (revision string, current bool) {
	switch {
	case s == nil:
		return r.Revision, false
	case r.Revision != "":
		return r.Revision, r.Revision == s.Revision
	case r.ConfigHash == s.ConfigHashJoined(r.JoinedFor(s)):
		return s.Revision, true
	default:
		return "compose:" + r.ConfigHash, false
	}
}

// completedWith reports whether a replica has run since before its rollout was
// complete: each was available then. So much is known of it also where nobody
// remembers its health.
func (t *target) completedWith(r replica) bool {
	before := t.Input.Rollout
	return IsRunning(r.Replica) && before.Complete && before.Revision == r.revision && !r.StartedAt.After(before.ProgressAt)
}

// followsImage reports whether replicas are held against what the image's name
// stands for now: only at the revision that is written, as a rollback to another
// must not bring along the image that failed, and only while the image is there. An
// ingress is given another program while it runs.
func (t *target) followsImage() bool {
	return t.desired != nil && t.desired.Kind != spec.Ingress && t.desired.Revision == t.Spec.Revision && t.ImageID != ""
}

// madeFromAnother reports whether a container was made from another image than the
// name in the spec stands for now.
func (t *target) madeFromAnother(r core.Replica) bool {
	return t.followsImage() && r.ImageID != "" && r.ImageID != t.ImageID
}

// imageChanged reports whether the image's name stands for another image than the
// rollout leads to. A record that knows of no image is judged by the containers.
func (t *target) imageChanged() bool {
	known := t.rollout.ImageID
	if !t.followsImage() || known == t.ImageID {
		return false
	}
	return known != "" || slices.ContainsFunc(t.Replicas, func(r core.Replica) bool { return IsCurrent(r, t.desired) && t.madeFromAnother(r) })
}

// assess tells whether a replica has been ready for long enough: for the spec's
// MinReady and, if it crashed in the course of the rollout, for as long as its next
// restart would have to wait. So a revision that is ready for a moment and dies does
// not get any further.
func (t *target) assess(r *replica) {
	switch {
	case r.class == exited && r.done:
		r.available = true // it did what it was asked to
		return
	case r.class != ready:
		return
	case t.desired == nil:
		r.available = true
		return
	}
	wait := t.desired.MinReady
	if a := t.rollout.Attempts[r.Number]; r.current && !t.rollout.Complete && a.Revision == r.revision {
		wait = max(wait, delay(t.desired.Restart, ran(a)+r.RestartCount))
	}
	at := r.ReadySince.Add(wait)
	if r.available = wait == 0 || !at.After(t.Now); !r.available {
		r.availableAt = at
	}
}

// settleNumbers sees to it that each number has one replica: of several that
// carry it the most useful one does. The others are removed where they have
// exited, and replaced as if they were old where they have not.
func (t *target) settleNumbers() {
	holders := map[int]*replica{}
	for i := range t.replicas {
		r := &t.replicas[i]
		if !r.live() {
			continue
		}
		holder := holders[r.Number]
		if holder == nil || useful(*r) > useful(*holder) || useful(*r) == useful(*holder) && r.current && !holder.current {
			holders[r.Number] = r
		}
	}
	for i := range t.replicas {
		r := &t.replicas[i]
		switch {
		case !r.live() || holders[r.Number] == r:
		case r.class == exited && !r.available:
			r.class = leftover
		default:
			r.current = false
		}
	}
}

// counts are those of the replicas that are live, ready and available, of all
// revisions and of the one to keep, and of those that are to be replaced.
type counts struct {
	live, ready, available                  int
	updated, updatedReady, updatedAvailable int
	old                                     int
}

func count(replicas []replica) counts {
	var c counts
	for _, r := range replicas {
		if !r.live() {
			continue
		}
		is := func(b bool) int {
			if b {
				return 1
			}
			return 0
		}
		c.live++
		c.ready += is(r.class == ready)
		c.available += is(r.available)
		c.updated += is(r.current)
		c.updatedReady += is(r.current && r.class == ready)
		c.updatedAvailable += is(r.current && r.available)
		c.old += is(!r.current)
	}
	return c
}

// number counts the replicas that match.
func (t *target) number(match func(replica) bool) int {
	n := 0
	for _, r := range t.replicas {
		if match(r) {
			n++
		}
	}
	return n
}

// atSpec reports whether what exists is what the spec asks for, by a record.
func (t *target) atSpec(record core.Rollout) bool {
	return t.hasAll(record) && (t.desired.Kind == spec.Job || t.counts.updated == t.desired.Replicas)
}

// hasAll reports whether all that the spec asks for is available, and nothing is left of
// another revision, by a record. What there is beyond that has only to be stopped.
func (t *target) hasAll(record core.Rollout) bool {
	if t.desired.Kind == spec.Job {
		return t.succeeded(record) == t.desired.Replicas && t.counts.old == 0
	}
	apart := func(r replica) bool { return t.desired.Kind == spec.Ingress && len(unjoined(r.Replica, t.desired)) > 0 }
	return t.counts.old == 0 && t.counts.available >= t.desired.Replicas && !slices.ContainsFunc(t.replicas, apart)
}

// succeeded counts the wanted numbers of a Job that have run to completion, by a record.
func (t *target) succeeded(record core.Rollout) int {
	n := 0
	for number := range record.Succeeded {
		if record.Succeeded[number] && number >= 1 && number <= t.desired.Replicas {
			n++
		}
	}
	return n
}
