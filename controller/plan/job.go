package plan

import (
	"fmt"
)

// job runs each of its replicas to completion once per revision, and tries
// again up to the backoff limit (batch/v1).
func (p *planner) job() {
	p.adopt()
	p.clean()
	if p.overdue() {
		p.fail("DeadlineExceeded", fmt.Sprintf("not complete after %s", p.Spec.ActiveDeadline))
	}
	taken := map[int]bool{}
	for _, r := range p.replicas {
		taken[r.Number] = true
		switch {
		case !r.live() || r.class == coming:
		case !r.current && p.Spec.Paused:
		case !r.current:
			p.retire([]replica{r}, "replaced by revision %s", short(p.Spec.Revision))
		case r.Number > p.Spec.Replicas:
			p.retire([]replica{r}, "%s wanted", plural(p.Spec.Replicas, "completion"))
		case r.class == exited && r.ExitCode == 0:
			p.plan.Rollout.Succeeded[r.Number] = true
		case r.class == exited && !p.overdue():
			p.retry(r)
		case r.class != exited && p.overdue():
			p.add(StopReplica, r.Replica, "not complete after %s", p.Spec.ActiveDeadline)
		}
	}
	var missing []int
	for n := 1; n <= p.Spec.Replicas; n++ {
		if !taken[n] && !p.plan.Rollout.Succeeded[n] {
			missing = append(missing, n)
		}
	}
	if len(missing) > 0 && !p.overdue() && !p.Spec.Paused {
		p.create(missing, "revision %s has to run", short(p.Spec.Revision))
	}
}

// overdue says whether a Job has had its activeDeadlineSeconds and is not complete.
func (p *planner) overdue() bool {
	return p.Spec.ActiveDeadline > 0 && !p.jobDone() && p.due(p.plan.Rollout.StartedAt.Add(p.Spec.ActiveDeadline))
}

// retry starts a failed container of a Job again, within the backoff limit.
func (p *planner) retry(rep replica) {
	if a := p.attempts(rep.Number, rep.revision, &rep); a.Count > p.Spec.BackoffLimit {
		p.fail("BackoffLimitExceeded", fmt.Sprintf("%s %s, tried %s", rep.Name, rep.why(), plural(a.Count, "time")))
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
