package simulate

import (
	"maps"
	"slices"
	"time"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/plan"
	"github.com/tendhq/tend/controller/spec"
)

// ran is a run of a container.
type ran struct {
	id string
	at time.Time
}

// runOf is the run that a container is in, or was in last.
func runOf(truth []engine.Container, id string) ran {
	i := slices.IndexFunc(truth, func(c engine.Container) bool { return c.ID == id })
	if i < 0 {
		return ran{id: id}
	}
	return ran{id: id, at: truth[i].StartedAt}
}

// tries holds the failed runs of a Job's revision that this run of the controller was
// told of.
type tries struct {
	begun   time.Time   // the rollout, as the controller says
	since   time.Time   // likewise, at first: after a pause its clock begins anew
	follows bool        // another one
	failed  map[ran]int // the number of the replica
}

// tried checks how a Job ends, as in batch/v1: nothing is tried again once more runs
// have failed than backoffLimit, nor once the Job is said to have failed.
func (v *invariants) tried(in plan.Input, p plan.Plan) {
	if in.Spec == nil || in.Spec.Kind != spec.Job {
		delete(v.tries, in.Workload)
		return
	}
	job, known := v.tries[in.Workload]
	former, followed := in.Rollout.Revision, v.followed[in.Workload]
	resumed := in.Rollout.Blocked && !slices.ContainsFunc(p.Events, func(e core.Event) bool { return e.Reason == "RolloutStarted" })
	if resumed && followed.Equal(in.Rollout.StartedAt) {
		v.followed[in.Workload] = p.Rollout.StartedAt
	}
	switch {
	case known && job.begun.Equal(p.Rollout.StartedAt):
	case known && job.begun.Equal(in.Rollout.StartedAt) && resumed:
		job.begun = p.Rollout.StartedAt
	default:
		if at, ok := v.followed[in.Workload]; former != "" && (former != p.Rollout.Revision || ok && at.IsZero()) {
			v.followed[in.Workload] = p.Rollout.StartedAt
		}
		job = tries{begun: p.Rollout.StartedAt, since: p.Rollout.StartedAt, follows: v.followed[in.Workload].Equal(p.Rollout.StartedAt), failed: map[ran]int{}}
	}
	for _, r := range in.Replicas {
		if in.ImageID != "" && r.ImageID != "" && r.ImageID != in.ImageID || r.Created.Before(in.Intent.RestartedAt) || job.follows && r.FinishedAt.Before(job.since) {
			continue // of another rollout to this revision
		}
		if r.State == core.Exited && r.ExitCode != 0 && revisionOf(r) == p.Rollout.Revision && r.InFlight == "" && !v.noTries[ran{r.ID, r.StartedAt}] && !v.toldToEnd[ran{r.ID, r.StartedAt}] {
			job.failed[ran{r.ID, r.StartedAt}] = r.Number
		}
	}
	maps.DeleteFunc(job.failed, func(_ ran, number int) bool { return number > in.Spec.Replicas })
	v.tries[in.Workload] = job
	starts := slices.ContainsFunc(p.Actions, func(a core.Action) bool { return a.Kind == core.CreateReplica || a.Kind == core.StartReplica })
	before := in.Status.Condition(core.Failed)
	switch {
	case !starts:
	case len(job.failed) > in.Spec.BackoffLimit:
		v.blame("%s is tried again, and %d of its runs have failed, which may %d times", in.Workload, len(job.failed), in.Spec.BackoffLimit)
	case before != nil && before.Status && in.Rollout.StartedAt.Equal(p.Rollout.StartedAt) && in.Status.ObservedGeneration == in.Generation:
		v.blame("%s is said to have failed, and is tried again", in.Workload)
	}
	now := p.Status.Condition(core.Failed)
	if now == nil || !now.Status || now.Reason != "BackoffLimitExceeded" || in.Rollout.GivenUp.Reason != "" {
		return
	}
	if n := v.mayHaveFailed(p.Rollout.Revision); n <= in.Spec.BackoffLimit && !v.lies[in.Workload] {
		v.blame("%s is given up, and at most %d of its runs have failed, which may %d times", in.Workload, n, in.Spec.BackoffLimit)
	}
}

// begins notes the runs of the Job.
func (v *invariants) begins(truth []engine.Container) {
	for i := range truth {
		if c := &truth[i]; !c.StartedAt.IsZero() && workloadOf(*c) == "job" {
			v.begun[ran{c.ID, c.StartedAt}] = *c
		}
	}
}

// mayHaveFailed counts the runs of the Job at a revision that have ended, and that tend has
// not told to end, or more. A tend whose disk has failed may not remember that it has.
func (v *invariants) mayHaveFailed(revision string) (n int) {
	v.begins(v.planned)
	n = v.cutOff
	goesOn := map[ran]bool{}
	for _, c := range v.planned {
		goesOn[ran{c.ID, c.StartedAt}] = alive(c)
	}
	for run, c := range v.begun {
		made := c.Labels[spec.LabelRevision]
		if made != revision && made != "" {
			continue
		}
		n += c.RestartCount // the engine has started it again, and some of these runs nobody has seen
		if !goesOn[run] && (!v.toldToEnd[run] || v.w.moods.disk) {
			n++
		}
	}
	return n
}
