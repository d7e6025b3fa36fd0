package plan

import "fmt"

// job runs each of its replicas to completion once per revision, and tries again until
// more runs have failed than the backoff limit, of all replicas together (batch/v1).
// What it does otherwise than Kubernetes stands in docs/adr/0027-jobs.md.
func (p *planner) job() {
	p.stopDrained()
	p.supervise()
	p.clean()
	taken := map[int]bool{}
	var failed []replica
	for _, r := range p.replicas {
		taken[r.Number] = true
		switch {
		case !r.live() || r.class == coming:
		case !r.current && p.paused():
		case !r.current:
			p.replace([]replica{r})
		case r.Number > p.Spec.Replicas:
			p.retire([]replica{r}, "%s wanted", plural(p.Spec.Replicas, "completion"))
		case p.plan.Rollout.Succeeded[r.Number]: // whatever someone does with it now
		case r.class != exited:
		case p.givenUp() || !p.mayEnd(r.Replica) || !p.inTime(r):
			failed = append(failed, r)
		default:
			p.plan.Rollout.Succeeded[r.Number] = true
		}
	}
	if n := p.failedRuns(); n > p.Spec.BackoffLimit {
		p.giveUp("BackoffLimitExceeded", fmt.Sprintf("%s; %s failed", lastOf(failed), plural(n, "run")))
	}
	if p.overdue() {
		p.giveUp("DeadlineExceeded", fmt.Sprintf("not complete after %s", p.Spec.ActiveDeadline))
	}
	switch {
	case p.givenUp():
		p.stopAll()
	case !p.paused():
		for _, r := range failed {
			p.restart(r, 1)
		}
		p.createMissing(taken)
	}
}

// createMissing creates the replicas that have neither run to completion nor exist.
func (p *planner) createMissing(taken map[int]bool) {
	var missing []int
	for n := 1; n <= p.Spec.Replicas; n++ {
		if !taken[n] && !p.plan.Rollout.Succeeded[n] {
			missing = append(missing, n)
		}
	}
	if n := min(len(missing), p.room(p.Spec.Replicas)); n > 0 {
		p.create(p.Spec.Revision, missing[:n], "revision %s has to run", short(p.Spec.Revision))
	}
}

// stopAll stops what still runs of a Job that was given up.
func (p *planner) stopAll() {
	for _, r := range p.replicas {
		if r.current && r.live() && r.class != coming && r.class != exited {
			p.add(StopReplica, r.Replica, "%s", p.plan.Rollout.GivenUp.Message)
		}
	}
}

// lastOf says how the replica ended that ended last.
func lastOf(failed []replica) string {
	if len(failed) == 0 {
		return "what it ran was removed"
	}
	last := failed[0]
	for _, r := range failed {
		if r.FinishedAt.After(last.FinishedAt) {
			last = r
		}
	}
	return last.Name + " " + last.why()
}

// failedRuns counts the runs at the spec's revision that have failed. A run that goes on
// has not, nor one whose container could not be made.
func (p *planner) failedRuns() int {
	runs := map[int]int{}
	for n := 1; n <= p.Spec.Replicas; n++ {
		runs[n] = p.attempts(n, p.Spec.Revision, nil).ran()
		if p.plan.Rollout.Succeeded[n] {
			runs[n] = max(runs[n]-1, 0)
		}
	}
	for _, r := range p.replicas {
		if !r.current || r.Number > p.Spec.Replicas || p.plan.Rollout.Succeeded[r.Number] {
			continue
		}
		runs[r.Number] = p.attempts(r.Number, r.revision, &r).ran()
		if ended := r.State == Exited || r.State == Dead || r.State == Removing; !ended || r.class == coming {
			runs[r.Number] = max(runs[r.Number]-1, 0)
		}
	}
	failed := 0
	for _, n := range runs {
		failed += n
	}
	return failed
}

// overdue reports whether a Job has had its activeDeadlineSeconds and is not complete.
// The time in which it is paused, or waits for others, does not count.
func (p *planner) overdue() bool {
	return p.Spec.ActiveDeadline > 0 && !p.blocked() && !p.jobDone() && p.due(p.plan.Rollout.StartedAt.Add(p.Spec.ActiveDeadline))
}

// inTime reports whether a container of a Job ended before the deadline. One that
// was stopped for the deadline may well exit with 0.
func (p *planner) inTime(r replica) bool {
	return p.Spec.ActiveDeadline == 0 || p.blocked() || !r.FinishedAt.After(p.plan.Rollout.StartedAt.Add(p.Spec.ActiveDeadline))
}

// blocked reports whether a Job is paused, or was blocked until now.
func (p *planner) blocked() bool { return p.paused() || p.Rollout.Blocked }

// giveUp notes that a Job has failed; the first reason stands.
func (p *planner) giveUp(reason, message string) {
	if !p.givenUp() {
		p.plan.Rollout.GivenUp = Failure{Reason: reason, Message: message}
	}
}

func (p *planner) givenUp() bool { return p.plan.Rollout.GivenUp.Reason != "" }

// jobDone reports whether every replica of a Job has run to completion.
func (p *planner) jobDone() bool {
	for n := 1; n <= p.Spec.Replicas; n++ {
		if !p.plan.Rollout.Succeeded[n] {
			return false
		}
	}
	return true
}
