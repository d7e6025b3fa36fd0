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
	begun  time.Time   // the rollout, as the controller says
	failed map[ran]int // the number of the replica
}

// tried checks how a Job ends, as in batch/v1: nothing is tried again once more runs
// have failed than backoffLimit, nor once the Job is said to have failed.
func (v *invariants) tried(in plan.Input, p plan.Plan) {
	if in.Spec == nil || in.Spec.Kind != spec.Job {
		delete(v.tries, in.Workload)
		return
	}
	job, known := v.tries[in.Workload]
	if !known || !job.begun.Equal(p.Rollout.StartedAt) {
		job = tries{begun: p.Rollout.StartedAt, failed: map[ran]int{}}
	}
	for _, r := range in.Replicas {
		if in.ImageID != "" && r.ImageID != "" && r.ImageID != in.ImageID || r.Created.Before(in.Intent.RestartedAt) {
			continue // of another rollout to this revision
		}
		if r.State == core.Exited && r.ExitCode != 0 && revisionOf(r) == p.Rollout.Revision && r.InFlight == "" && !v.uncounted[ran{r.ID, r.StartedAt}] {
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
}
