package plan

import (
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/tendhq/tend/controller/spec"
)

// delay is how long to wait before the n-th start (n from 0) of a replica
// number at one revision: the first start and the first restart are immediate,
// then r.Delay doubles up to r.MaxDelay, as the kubelet does.
func delay(r spec.Restart, n int) time.Duration {
	if n < 2 {
		return 0
	}
	d := r.Delay
	for range n - 2 {
		if d *= 2; d >= r.MaxDelay {
			return r.MaxDelay
		}
	}
	return min(d, r.MaxDelay)
}

// attempts is how often number n was started at a revision without having
// stayed up for the restart window. r is its container, nil where it is gone.
func (p *planner) attempts(n int, revision string, r *replica) Attempt {
	a := p.plan.Rollout.Attempts[n]
	if a.Revision != revision {
		a = Attempt{Revision: revision}
	}
	up := p.Now.Sub(a.At)
	if r != nil {
		up = r.FinishedAt.Sub(r.StartedAt)
		a.Count = max(a.Count, 1) // it was started once, also when we do not remember
	}
	if a.Count > 0 && up >= p.Spec.Restart.Window && p.Spec.Kind != spec.Job {
		return Attempt{Revision: revision, Count: 1, At: a.At}
	}
	return a
}

// record notes one more start of number n.
func (p *planner) record(n int, a Attempt) {
	a.Count++
	a.At, a.Error = p.Now, ""
	p.plan.Rollout.Attempts[n] = a
}

// StartFailed returns the rollout record after an action of it failed.
func StartFailed(r Rollout, a Action, err string) Rollout {
	if a.Kind == CreateReplica || a.Kind == StartReplica {
		r.Attempts = maps.Clone(r.Attempts)
		t := r.Attempts[a.Number]
		t.Error = err
		r.Attempts[a.Number] = t
	}
	return r
}

// due says whether the time has come, and has the plan look again when it has not.
func (p *planner) due(at time.Time) bool {
	if at.After(p.Now) {
		p.plan.at(at)
		return false
	}
	return true
}

// restart starts an exited replica again when its turn has come. extra shifts
// the backoff: a Job waits before its first retry already.
func (p *planner) restart(r replica, extra int) {
	a := p.attempts(r.Number, r.revision, &r)
	wait := delay(p.Spec.Restart, a.Count+extra)
	if !p.due(later(r.FinishedAt, a.At).Add(wait)) {
		why := r.why()
		if a.Error != "" {
			why = "could not be started: " + a.Error
		}
		p.fail("CrashLoopBackOff", fmt.Sprintf("%s %s; back-off %s before start %d", r.Name, why, wait, a.Count+1))
		return
	}
	if p.add(StartReplica, r.Replica, "%s %s", r.Name, r.why()) {
		p.record(r.Number, a)
	}
}

// later is the later of two instants: a start that failed leaves the time of
// the exit before it as it was.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// mayEnd says whether a container's process may have ended as it did, by its
// restart policy.
func mayEnd(r Replica, s spec.Restart) bool {
	return s.Condition == spec.RestartNone || s.Condition == spec.RestartOnFailure && r.ExitCode == 0
}

// mayRestart says whether the restart policy allows an exited replica to run again.
func (p *planner) mayRestart(r replica) bool {
	s := p.Spec.Restart
	if mayEnd(r.Replica, s) {
		return false
	}
	if s.MaxAttempts > 0 && p.attempts(r.Number, r.revision, &r).Count > s.MaxAttempts {
		p.fail("RestartLimit", fmt.Sprintf("%s %s and was restarted %s, the most that deploy.restart_policy.max_attempts allows", r.Name, r.why(), plural(s.MaxAttempts, "time")))
		return false
	}
	return true
}

// exitCode is an exit code with what it usually means.
func exitCode(r Replica) string {
	s := strconv.Itoa(r.ExitCode)
	switch {
	case r.OOMKilled:
		return s + " (out of memory)"
	case r.ExitCode == 137:
		return s + " (SIGKILL)"
	case r.ExitCode == 143:
		return s + " (SIGTERM)"
	}
	return s
}
