package plan

import (
	"fmt"
	"time"

	"github.com/tendhq/tend/controller/core"
)

// job runs each of its replicas to completion once per revision, and tries again until
// more runs have failed than the back-off limit, of all replicas together (batch/v1).
// What it does otherwise than Kubernetes stands in docs/adr/0027-jobs.md.
func (s *steps) job() {
	s.stopDrained()
	s.superviseRestarts()
	s.forgetTold()
	s.rememberRuns()
	s.removeLeftovers()
	s.followJoined()
	taken := map[int]bool{}
	var failed []replica
	for _, r := range s.replicas {
		taken[r.Number] = true
		switch {
		case !r.live() || r.class == coming:
		case !r.current && s.paused():
		case !r.current:
			s.replace([]replica{r})
		case r.Number > s.desired.Replicas:
			s.retire([]replica{r}, "%s wanted", plural(s.desired.Replicas, "completion"))
		case s.record.Succeeded[r.Number]: // whatever someone does with it now
		case r.class != exited:
		case s.toldToEnd(r) && !s.givenUp():
			s.add(core.RemoveReplica, r.Replica, "%s is of an earlier rollout, or was told to end", r.Name)
		case s.givenUp() || !r.done || !s.inTime(r):
			failed = append(failed, r)
		default:
			s.record.Succeeded[r.Number] = true
		}
	}
	if n := s.failedRuns(); n > s.desired.BackoffLimit {
		s.giveUp("BackoffLimitExceeded", fmt.Sprintf("%s; %s failed", lastOf(failed), plural(n, "run")))
	}
	if at := s.activeUntil(); !at.IsZero() && s.succeeded(s.record) < s.desired.Replicas {
		s.lookAgain(at, "activeDeadlineSeconds are over")
		if !at.After(s.Now) {
			s.giveUp("DeadlineExceeded", fmt.Sprintf("not complete after %s", s.desired.ActiveDeadline))
		}
	}
	switch {
	case s.givenUp():
		s.stopAll()
	case !s.paused():
		for _, r := range failed {
			s.restart(r, 1)
		}
		s.createMissing(taken)
	}
}

// toldToEnd reports whether the last run of a replica is none of this rollout: it has not
// done its work, and tend has told it to end or has begun another rollout since.
func (t *target) toldToEnd(r replica) bool {
	told := toldBy(t.rollout.Attempts[r.Number], r) || r.InFlight == core.StopReplica
	return r.current && r.ended() && !r.done && told
}

// toldBy reports whether what is remembered of a number says that tend has told this replica to
// end. What Compose made has no revision.
func toldBy(a core.Attempt, r replica) bool {
	return a.Ours && (a.Revision == r.revision || a.Revision == r.Revision)
}

// forgetTold forgets the runs that tend has told to end.
func (s *steps) forgetTold() {
	for _, r := range s.replicas {
		if s.toldToEnd(r) {
			s.record.Attempts[r.Number] = core.Attempt{Revision: r.revision, Ours: true}
		}
	}
}

// rememberRuns notes that what can never run again has run, where the record does not say
// so, as of a tend that has lost its state: its run counts, and nothing will be left of it.
func (s *steps) rememberRuns() {
	for _, r := range s.replicas {
		if r.class == leftover && r.current && !r.StartedAt.IsZero() && s.record.Attempts[r.Number].Revision != r.revision {
			a := s.attempts(r.Number, r.revision, &r)
			a.At = r.StartedAt
			a.Count -= r.RestartCount // attempts adds them while the container exists
			s.record.Attempts[r.Number] = a
		}
	}
}

// createMissing creates the replicas that have neither run to completion nor exist.
func (s *steps) createMissing(taken map[int]bool) {
	var missing []int
	for n := 1; n <= s.desired.Replicas; n++ {
		if !taken[n] && !s.record.Succeeded[n] {
			missing = append(missing, n)
		}
	}
	if n := min(len(missing), s.room(s.desired.Replicas)); n > 0 {
		s.create(s.desired.Revision, missing[:n], "revision %s has to run", short(s.desired.Revision))
	}
}

// stopAll stops what still runs of a Job that was given up.
func (s *steps) stopAll() {
	for _, r := range s.replicas {
		if r.current && r.live() && r.class != coming && r.class != exited {
			s.add(core.StopReplica, r.Replica, "%s", s.record.GivenUp.Message)
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

// failedRuns counts the runs at the spec's revision that have failed. A run that goes on or
// has done its work has not, nor one that tend has told to end, or whose container could not
// be made.
func (s *steps) failedRuns() int {
	runs := map[int]int{}
	for n := 1; n <= s.desired.Replicas; n++ {
		runs[n] = ran(s.attempts(n, s.desired.Revision, nil))
		if s.record.Succeeded[n] {
			runs[n] = max(runs[n]-1, 0)
		}
	}
	for _, r := range s.replicas {
		if r.InFlight == core.CreateReplica { // its outcome is not known; r may be the old container of that number
			runs[r.Number] = max(runs[r.Number]-1, 0)
			continue
		}
		if !r.current || r.Number > s.desired.Replicas || s.record.Succeeded[r.Number] {
			continue
		}
		a := s.attempts(r.Number, r.revision, &r)
		if r.StartedAt.IsZero() { // this container has never run, and a start that has not failed is still its own
			if a.Error == "" {
				runs[r.Number] = max(runs[r.Number]-1, 0)
			}
			continue
		}
		runs[r.Number] = ran(a)
		switch {
		case s.toldToEnd(r):
			runs[r.Number] = 0
		case (!r.ended() || r.done || r.class == coming) && (a.Error == "" || r.StartedAt.Before(a.At)): // a start that failed after that is another one
			runs[r.Number] = max(runs[r.Number]-1, 0)
		}
	}
	failed := 0
	for _, n := range runs {
		failed += n
	}
	return failed
}

// activeUntil is when a Job has had its activeDeadlineSeconds; zero where it has none.
// The time in which it is paused, or waits for others, does not count.
func (t *target) activeUntil() time.Time {
	if t.desired.ActiveDeadline == 0 || t.paused() || t.Rollout.Blocked {
		return time.Time{}
	}
	return t.rollout.StartedAt.Add(t.desired.ActiveDeadline)
}

// inTime reports whether a container of a Job ended before the deadline. One that
// was stopped for the deadline may well exit with 0.
func (t *target) inTime(r replica) bool {
	until := t.activeUntil()
	return until.IsZero() || !r.FinishedAt.After(until)
}

// giveUp notes that a Job has failed; the first reason stands.
func (s *steps) giveUp(reason, message string) {
	if !s.givenUp() {
		s.record.GivenUp = core.Failure{Reason: reason, Message: message}
	}
}

func (s *steps) givenUp() bool { return s.record.GivenUp.Reason != "" }
