package services

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
)

// target is the second stage: what is to be kept, and how far the rollout to it is.
type target struct {
	view
	// desired is the spec to keep: what is written, in the revision that people asked for,
	// or in one that worked where that has failed; nil where the workload is to be taken
	// away.
	desired *spec.Workload
	// eligible are the IDs of the nodes that are to have a replica each: there are as many
	// replicas as those. It is nil where the number is written.
	eligible map[string]bool
	// wanted is the revision that people want.
	wanted string
	counts counts
	// record is the rollout record, in which the rollout to desired has begun, and its
	// progress is noted.
	record core.Rollout
	events []core.Event
}

// counts are those of the tasks that run or are to run.
type counts struct {
	live, ready, available                  int
	updated, updatedReady, updatedAvailable int
	old                                     int
}

// chooseTarget chooses what to keep: where the rollout under way has failed, the last
// revision that worked and is not known to be bad is to run again.
func chooseTarget(v view) target {
	t := v.toward(v.Rollout)
	for range len(v.Rollout.Swarm.Completed) + 1 { // each of them can fail once
		why := t.failed()
		if why == "" {
			return t
		}
		record := t.record
		record.Swarm.Bad = slices.Clone(record.Swarm.Bad)
		if t.desired.Revision == t.wanted {
			record.Failed, record.Failure = t.wanted, why
		} else {
			record.Swarm.Bad = append(record.Swarm.Bad, t.desired.Revision)
		}
		failed, events := t.desired.Revision, t.events
		t = v.toward(record)
		back := v.event(core.Warning, "RolledBack", "revision %s is rolled back to %s: %s", short(failed), short(t.desired.Revision), why)
		t.events = slices.Concat(events, []core.Event{back}, t.events)
	}
	return t
}

// toward returns the target that follows from a record.
func (v view) toward(record core.Rollout) target {
	t := target{view: v, record: record}
	t.record.Workload, t.record.Tries, t.record.Swarm.Images = v.Workload, maps.Clone(record.Tries), maps.Clone(record.Swarm.Images)
	t.desired = t.choose()
	t.spread()
	t.count()
	if t.begins() {
		t.begin()
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
	r := &t.record
	if r.Failed != revision {
		delete(r.Swarm.Images, r.Failed)               // its name may stand for one that works when it is written again
		r.Failed, r.Failure, r.Swarm.Bad = "", "", nil // another revision is another chance
	} else if back := t.back(); back != "" {
		revision = back
	} else if len(r.Swarm.Bad) > 0 && t.remembers(r.Revision) {
		revision = r.Revision // none is left to go back to: it stands where it is
	}
	if revision == t.Spec.Revision || !t.remembers(revision) {
		return t.Spec
	}
	return t.Spec.WithTemplateOf(t.History[revision])
}

// back is the last revision that completed, can be gone back to and is not known to be bad;
// empty where there is none.
func (t *target) back() string {
	r := t.record
	for _, revision := range slices.Backward(r.Swarm.Completed) {
		if revision != r.Failed && t.remembers(revision) && !slices.Contains(r.Swarm.Bad, revision) {
			return revision
		}
	}
	return ""
}

func (t *target) paused() bool { return t.Intent.Pauses(t.desired) }

// failed says why the rollout has to be taken back; empty where it has not to be, or
// cannot be.
func (t *target) failed() string {
	switch {
	case t.desired == nil || t.desired.Kind == spec.Job || t.desired.OnFailure == spec.Pause || t.paused():
		return ""
	case t.record.Complete || t.Foreign != "":
		return ""
	}
	next := *t
	next.record.Failed = t.wanted
	if t.desired.Revision != t.wanted {
		next.record.Swarm.Bad = append(slices.Clone(t.record.Swarm.Bad), t.desired.Revision)
	}
	if next.back() == "" {
		return ""
	}
	if hook := t.hooks(); hook.failed != "" {
		return hook.failed
	}
	if t.updateFailed() {
		return cmp.Or(t.failure(t.desired.Revision), t.Service.Update.Message, "Swarm has paused the update")
	}
	if at, runs := t.deadline(); !runs || t.Now.Before(at) {
		return ""
	}
	why := fmt.Sprintf("no progress for %s", t.desired.ProgressDeadline)
	if more := cmp.Or(t.failure(t.desired.Revision), t.pending()); more != "" {
		why += "; " + more
	}
	return why
}

// updateFailed reports whether Swarm has paused the update to the desired revision, as a
// task of it has ended by itself.
func (t *target) updateFailed() bool {
	bySelf := []swarm.TaskState{swarm.TaskStateFailed, swarm.TaskStateRejected, swarm.TaskStateComplete}
	return t.updatePaused() && slices.ContainsFunc(t.tasks, func(k task) bool {
		return k.revision == t.desired.Revision && t.counted(k) && slices.Contains(bySelf, k.State)
	})
}

// updatePaused reports whether Swarm has paused the update to the desired revision. It does so
// also for a task that ends as its node is drained or lost.
func (t *target) updatePaused() bool {
	s := t.Service
	return s != nil && s.Update.State == swarm.UpdateStatePaused && s.Spec.Labels[spec.LabelRevision] == t.desired.Revision
}

// forceUpdate is the counter by which tasks are replaced though nothing else has changed.
func (t *target) forceUpdate() uint64 {
	force := uint64(0)
	if at := t.Intent.RestartedAt; !at.IsZero() {
		force = uint64(max(0, at.Unix()))
	}
	if t.Service != nil { // docker service update --force counts up
		force = max(force, t.Service.Spec.TaskTemplate.ForceUpdate)
	}
	return force
}

// current reports whether a task is as the desired spec asks for.
func (t *target) current(k task) bool {
	return t.desired != nil && k.revision == t.desired.Revision && k.Spec.ForceUpdate >= t.forceUpdate()
}

// availableAt is when a ready task counts as available.
func (t *target) availableAt(k task) time.Time { return k.Since.Add(t.desired.MinReady) }

func (t *target) available(k task) bool {
	if !k.ready || t.desired == nil {
		return k.ready
	}
	return !t.availableAt(k).After(t.Now)
}

func (t *target) count() {
	c := &t.counts
	for _, k := range t.tasks {
		if !k.live || !t.counted(k) {
			continue
		}
		c.live++
		current, available := t.current(k), t.available(k)
		for n, is := range map[*int]bool{
			&c.ready: k.ready, &c.available: available, &c.updated: current, &c.updatedReady: current && k.ready,
			&c.updatedAvailable: current && available, &c.old: !current,
		} {
			if is {
				*n++
			}
		}
	}
}

// begins reports whether a rollout to the desired spec begins.
func (t *target) begins() bool {
	r := t.record
	return t.desired != nil && (r.Revision != t.desired.Revision || r.RestartedAt.Before(t.Intent.RestartedAt))
}

// begin starts the record of a rollout to the desired spec's revision.
func (t *target) begin() {
	r := &t.record
	first := r.Revision == ""
	switch {
	case r.Revision == t.desired.Revision:
		r.Hooked = "" // a restart repeats them
	case slices.Contains(r.Swarm.Completed, t.desired.Revision):
		r.Hooked = t.desired.Revision // they ran when it was rolled out
	}
	r.Revision, r.RestartedAt = t.desired.Revision, t.Intent.RestartedAt
	r.StartedAt, r.ProgressAt, r.AvailableSince = t.Now, t.Now, time.Time{}
	r.Updated, r.UpdatedReady, r.UpdatedAvailable, r.Ready, r.Available, r.Old = 0, 0, 0, 0, 0, t.counts.old
	r.Complete, r.GivenUp, r.Prepared, r.Succeeded = false, core.Failure{}, "", nil
	switch {
	case t.counts.old > 0:
		t.tell(core.Normal, "RolloutStarted", "rolling %s to revision %s", plural(t.counts.old, "replica"), short(r.Revision))
	case !first:
		t.tell(core.Normal, "RolloutStarted", "revision %s", short(r.Revision))
	}
}

func (t *target) tell(kind core.EventType, reason, message string, args ...any) {
	t.events = append(t.events, t.event(kind, reason, message, args...))
}

// hasAll reports whether all that the spec asks for is available, and nothing is left of
// another revision.
func (t *target) hasAll() bool {
	if t.desired.Kind == spec.Job {
		return t.ran()
	}
	s := t.Service
	return s != nil && s.Spec.Labels[spec.LabelRevision] == t.desired.Revision && !t.nowhere() &&
		t.counts.old == 0 && t.counts.updatedAvailable >= t.desired.Replicas
}

// ran reports whether a Job has run to completion at its revision. One that has stays so,
// whatever somebody does with its service.
func (t *target) ran() bool {
	s := t.Service
	if s == nil {
		return t.desired.Replicas > 0 && len(t.record.Succeeded) >= t.desired.Replicas
	}
	return s.Spec.Labels[spec.LabelRevision] == t.desired.Revision && s.Spec.Mode.ReplicatedJob != nil &&
		s.Spec.TaskTemplate.ForceUpdate >= t.forceUpdate() && s.Completed >= uint64(t.desired.Replicas)
}

// noteProgress notes whether the rollout came forward, as on one machine: each count is held
// against the best there was.
func (t *target) noteProgress() {
	if t.desired == nil {
		return
	}
	r, c := &t.record, t.counts
	switch all := t.hasAll(); {
	case all && r.AvailableSince.IsZero():
		r.AvailableSince = t.Now
	case !all && !r.AvailableSince.IsZero():
		r.ProgressAt = r.ProgressAt.Add(t.Now.Sub(r.AvailableSince))
		r.AvailableSince = time.Time{}
	}
	t.noteNodes()
	wanted := min(c.available, t.desired.Replicas)
	if c.updated > r.Updated || c.updatedReady > r.UpdatedReady || c.updatedAvailable > r.UpdatedAvailable || c.ready > r.Ready ||
		wanted > r.Available || c.old < r.Old || r.Blocked {
		r.ProgressAt = t.Now
	}
	r.Updated, r.UpdatedReady, r.UpdatedAvailable = max(r.Updated, c.updated), max(r.UpdatedReady, c.updatedReady), max(r.UpdatedAvailable, c.updatedAvailable)
	r.Ready, r.Available, r.Old = max(r.Ready, c.ready), max(r.Available, wanted), min(r.Old, c.old)
}

// deadline is when the rollout has made no progress for as long as it may take; false while
// it does not run.
func (t *target) deadline() (time.Time, bool) {
	r := t.record
	return t.watched(r.ProgressAt).Add(t.desired.ProgressDeadline), !r.Blocked && r.AvailableSince.IsZero()
}
