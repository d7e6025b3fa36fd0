package plan

import (
	"cmp"
	"fmt"

	"github.com/tendhq/tend/controller/spec"
)

// target is the spec to keep: what is written, in the revision that people
// asked for, or in the last one that worked where the one wanted has failed.
func (p *planner) target() *spec.Workload {
	if p.written == nil {
		return nil
	}
	r := &p.plan.Rollout
	want := p.written.Revision
	if undo := p.Intent.After(want).Undo; undo != "" && p.known(undo) {
		want = undo
	}
	p.wanted = want
	if r.Failed != want {
		r.Failed, r.Failure = "", "" // another revision is another chance
	} else if p.known(r.Stable) {
		want = r.Stable
	}
	if want == p.written.Revision || !p.known(want) {
		return p.written
	}
	return p.written.WithTemplateOf(p.History[want])
}

// After returns what still holds of an intent once a revision has been written: an
// undo lasts until another one is.
func (i Intent) After(written string) Intent {
	if i.UndoOf != written {
		i.Undo, i.UndoOf = "", ""
	}
	return i
}

// known says whether a revision can be gone back to.
func (p *planner) known(revision string) bool {
	return p.History[revision] != nil
}

// paused says whether the rollout is held where it is.
func (p *planner) paused() bool {
	if p.Intent.Paused != nil {
		return *p.Intent.Paused
	}
	return p.Spec.Paused
}

// rollBack decides that the rollout under way has failed and the last revision
// that worked is to run again. The rollback itself is not rolled back: between
// two revisions of which neither works, tend stands still and says so.
func (p *planner) rollBack() bool {
	r := &p.plan.Rollout
	switch {
	case p.Spec == nil || p.Spec.Kind == spec.Job || p.Spec.OnFailure == spec.Pause:
		return false
	case p.paused() || r.Failed != "":
		return false
	case r.Stable == "" || r.Stable == p.Spec.Revision || !p.known(r.Stable):
		return false
	}
	why := cmp.Or(p.hooksFailed(), r.Refused)
	if why == "" {
		if at, runs := p.deadline(); !runs || p.Now.Before(at) {
			return false
		}
		why = fmt.Sprintf("no progress for %s", p.Spec.ProgressDeadline)
		if c := p.Input.Status.Condition(ReplicaFailure); c != nil && c.Status {
			why += "; " + c.Message
		} else if c := p.Input.Status.Condition(Progressing); c != nil && c.Reason == "Waiting" {
			why += "; " + c.Message
		} else {
			why += p.unanswered()
		}
	}
	r.Failed, r.Failure = p.Spec.Revision, why
	p.event(Warning, "RolledBack", "revision %s is rolled back to %s: %s", short(r.Failed), short(r.Stable), why)
	return true
}
