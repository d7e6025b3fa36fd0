package plan

import (
	"fmt"
)

// job runs each of its replicas to completion once per revision, and tries
// again up to the backoff limit (batch/v1).
func (p *planner) job() {
	p.stopDrained()
	p.supervise()
	p.clean()
	taken := map[int]bool{}
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
		case r.class == exited && p.mayEnd(r.Replica) && p.inTime(r):
			p.plan.Rollout.Succeeded[r.Number] = true
		case r.class == exited && !p.overdue():
			p.retry(r)
		case r.class != exited && p.overdue():
			p.add(StopReplica, r.Replica, "not complete after %s", p.Spec.ActiveDeadline)
		}
	}
	var missing []int
	for n := 1; n <= p.Spec.Replicas; n++ {
		if taken[n] || p.plan.Rollout.Succeeded[n] {
			continue
		}
		if a := p.attempts(n, p.Spec.Revision, nil); a.Count > p.Spec.BackoffLimit && a.Error == "" {
			p.giveUp("BackoffLimitExceeded", fmt.Sprintf("replica %d was removed, tried %s", n, plural(a.Count, "time")))
			continue
		}
		missing = append(missing, n)
	}
	if p.overdue() {
		p.giveUp("DeadlineExceeded", fmt.Sprintf("not complete after %s", p.Spec.ActiveDeadline))
	} else if n := min(len(missing), p.room(p.Spec.Replicas)); n > 0 && !p.paused() {
		p.create(p.Spec.Revision, missing[:n], "revision %s has to run", short(p.Spec.Revision))
	}
}

// overdue says whether a Job has had its activeDeadlineSeconds and is not complete.
func (p *planner) overdue() bool {
	return p.Spec.ActiveDeadline > 0 && !p.jobDone() && p.due(p.plan.Rollout.StartedAt.Add(p.Spec.ActiveDeadline))
}

// inTime says whether a container of a Job ended before the deadline. One that
// was stopped for the deadline may well exit with 0.
func (p *planner) inTime(r replica) bool {
	return p.Spec.ActiveDeadline == 0 || !r.FinishedAt.After(p.plan.Rollout.StartedAt.Add(p.Spec.ActiveDeadline))
}

// giveUp reports that a Job has failed; the first reason stands.
func (p *planner) giveUp(reason, message string) {
	if p.failed == nil {
		p.failed = &Condition{Type: Failed, Status: true, Reason: reason, Message: message}
	}
}

// retry starts a failed container of a Job again, within the backoff limit.
func (p *planner) retry(rep replica) {
	if a := p.attempts(rep.Number, rep.revision, &rep); a.Count > p.Spec.BackoffLimit {
		p.giveUp("BackoffLimitExceeded", fmt.Sprintf("%s %s, tried %s", rep.Name, rep.why(), plural(a.Count, "time")))
		return
	}
	p.restart(rep, 1)
}

// jobDone says whether every replica of a Job has run to completion.
func (p *planner) jobDone() bool {
	for n := 1; n <= p.Spec.Replicas; n++ {
		if !p.plan.Rollout.Succeeded[n] {
			return false
		}
	}
	return true
}
