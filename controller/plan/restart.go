package plan

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/tendhq/tend/controller/core"
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
		if d > r.MaxDelay/2 {
			return r.MaxDelay
		}
		d *= 2
	}
	return min(d, r.MaxDelay)
}

// attempts is how often number n was started at a revision without having
// stayed up for the restart window, and since a restart was asked for. r is its
// container, nil where it is gone.
func (s *steps) attempts(n int, revision string, r *replica) core.Attempt {
	a := s.record.Attempts[n]
	if a.Revision != revision || r == nil && !a.At.After(s.Intent.RestartedAt) {
		a = core.Attempt{Revision: revision}
	}
	var up time.Duration
	switch {
	case r != nil:
		// A start that failed leaves the times of the run before it.
		up = r.FinishedAt.Sub(later(r.StartedAt, a.At))
		// It was started once, also when we do not remember, and then by the engine.
		a.Count = max(a.Count, 1)
		if !r.StartedAt.IsZero() {
			a.Count = max(a.Count, a.Unstarted+1)
		}
		a.Count += r.RestartCount
	case a.Error == "":
		up = s.Now.Sub(a.At)
	}
	window := s.desired.Restart.Window
	if a.Count > 0 && window > 0 && up > window && s.desired.Kind != spec.Job {
		a.Count, a.Unstarted, a.Error = 1, 0, ""
	}
	return a
}

// noteAttempt notes one more start of number n. One that follows what somebody did, or
// what nobody has seen, says nothing against the replica.
func (s *steps) noteAttempt(n int, a core.Attempt, last ending, commands []types.ServiceHook) {
	switch last {
	case interrupted:
		a.Repair = repairedAgain(a.Repair, s.Now)
	case ended:
		a.Count++
	}
	a.Count = max(a.Count, 1)
	a.At, a.Error, a.Ours, a.Unfinished = s.Now, "", false, len(commands) > 0
	s.record.Attempts[n] = a
}

// ending is how the last run of a replica number ended.
type ending int

const (
	// ended: by itself, by tend, or never begun.
	ended ending = iota
	// interrupted: somebody other than tend has stopped or removed it.
	interrupted
	// unwatched: nothing tells.
	unwatched
)

// endingOf tells how the last run of a number ended, by the record of its last
// start. r is its container, nil where it is gone. A Job's tries are counted
// however they end.
func (t *target) endingOf(a core.Attempt, r *replica) ending {
	switch {
	case a.Count == 0 || a.Error != "" || a.Ours || t.desired.Kind == spec.Job:
		return ended
	case r == nil || r.Interrupted:
		return interrupted
	case r.Unwatched:
		return unwatched
	}
	return ended
}

// repairPace is the least time between two repairs of one workload.
const repairPace = time.Second

// hintGrace is for how long the engine may owe the event that tells how a run
// ended, after its end was seen.
const hintGrace = time.Second

// turn is when a number may be started after its last run, and how long that is
// to wait. What somebody has stopped or removed is repaired at once.
func (t *target) turn(a core.Attempt, r *replica, last ending, extra int) (time.Time, time.Duration) {
	at := a.At
	if r != nil {
		at = later(r.FinishedAt, a.At)
	}
	wait := delay(t.desired.Restart, a.Count+extra)
	switch last {
	case interrupted:
		return t.lastRepair().Add(repairPace), repairPace
	case unwatched:
		wait = max(wait, hintGrace)
	}
	return at.Add(wait), wait
}

// lastRepair is when a replica of the workload was repaired last. What was
// stopped together is repaired together.
func (in Input) lastRepair() (last time.Time) {
	for _, a := range in.Rollout.Attempts {
		last = later(last, a.Repair.Last)
	}
	return last
}

// contest is how many repairs within a minute are more than a person's.
const contest = 5

// repairedAgain returns what is remembered after one more repair.
func repairedAgain(r core.Repair, now time.Time) core.Repair {
	if quiet(r, now) || r.Count <= contest && now.Sub(r.First) >= time.Minute {
		r = core.Repair{First: now}
	}
	r.Count++
	r.Last = now
	return r
}

// quiet reports whether the last repair was more than a minute ago.
func quiet(r core.Repair, now time.Time) bool { return now.Sub(r.Last) >= time.Minute }

// isStart reports whether an action starts a process: then an Attempt is made of
// it, otherwise a Try.
func isStart(kind core.ActionKind) bool {
	return kind == core.CreateReplica || kind == core.StartReplica
}

// isOfSuccessor reports whether the attempt that is remembered for an action's number belongs
// to the replica of the new revision, and the action ends one of an old revision.
func (s *steps) isOfSuccessor(a core.Action) bool {
	next := s.record.Attempts[a.Number].Revision
	return next != "" && next == s.record.Revision && a.Revision != "" && a.Revision != next
}

// noteStop returns the rollout record once tend is to tell a replica to end.
func noteStop(r core.Rollout, a core.Action) core.Rollout {
	if a.Number < 1 || r.Attempts[a.Number].Ours {
		return r
	}
	r.Attempts = clone(r.Attempts)
	attempt := r.Attempts[a.Number]
	if attempt.Count == 0 {
		attempt = core.Attempt{Revision: a.Revision} // it was forgotten as nothing was wrong with it
	}
	attempt.Ours = true
	r.Attempts[a.Number] = attempt
	return r
}

// ActionSucceeded returns the rollout record after an action of it was carried out.
func ActionSucceeded(r core.Rollout, a core.Action) core.Rollout {
	switch {
	case isStart(a.Kind):
		r.Attempts = with(r.Attempts, a.Number, func(t *core.Attempt) { t.Unfinished = false })
	case a.Kind == core.PrepareUpdate || a.Kind == core.CheckUpdate:
		return prepared(r, a)
	}
	return r
}

// ActionFailed returns the rollout record after an action of it failed. A failed start is
// not counted where a resource that it needs is missing, or where a container that it joins
// has ended since: then the replica is not at fault.
func ActionFailed(in Input, a core.Action, err string) core.Rollout {
	r := in.Rollout
	switch {
	case isStart(a.Kind):
		r.Attempts = with(r.Attempts, a.Number, func(t *core.Attempt) {
			if in.misses(a.Kind, t.Revision) || in.joinedEnded(a, t.At) {
				t.Count, t.Error = max(t.Count-1, 0), err
			} else {
				noteFailed(t, err)
			}
		})
	case a.Kind == core.RunHook:
		r.HookTry.Error = err
	default:
		r.Tries = with(r.Tries, a.ID, func(t *core.Try) { t.Error = err })
	}
	return r
}

// ran is how often a process was started.
func ran(a core.Attempt) int { return a.Count - a.Unstarted }

// noteFailed notes that the last start has failed, unless that is known.
func noteFailed(a *core.Attempt, why string) {
	if a.Error == "" {
		a.Unstarted++
		a.Error = why
	}
}

// misses reports whether something is missing that a start at a revision needs. Of a
// container that exists only its networks can go.
func (in Input) misses(kind core.ActionKind, revision string) bool {
	return in.Spec != nil && slices.ContainsFunc(in.missingFor(revision), func(r core.Resource) bool {
		return kind == core.CreateReplica || r.Kind == core.NetworkResource
	})
}

// with returns a copy of m in which the value at a key, if any, is changed.
func with[K comparable, V any](m map[K]V, key K, change func(*V)) map[K]V {
	v, ok := m[key]
	if !ok {
		return m
	}
	m = maps.Clone(m)
	change(&v)
	m[key] = v
	return m
}

// startable is how many starts a container is given before one that the engine
// refuses counts as the last.
const startable = 5

// restart starts an exited replica again when its turn has come. extra shifts
// the back-off: a Job waits before its first retry already. A container that the
// engine goes on refusing to start is removed, for another one to be made: after
// the engine was killed in the middle of a start it may do so for ever ("task
// already exists").
func (s *steps) restart(r replica, extra int) {
	a := s.attempts(r.Number, r.revision, &r)
	last := s.endingOf(a, &r)
	at, pause := s.turn(a, &r, last, extra)
	if at.After(s.Now) {
		s.lookAgain(at, "%s is started again", r.Name)
		if last == interrupted || pause == hintGrace {
			return // in a moment
		}
		why := r.why()
		if a.Error != "" {
			why = "could not be started: " + a.Error
		}
		s.fail("CrashLoopBackOff", fmt.Sprintf("%s %s; back-off %s before start %d", r.Name, why, pause, a.Count+1),
			s.seeLogs("correct the spec: another revision is tried at once, and this one after the back-off"))
		return
	}
	if s.misses(core.StartReplica, r.revision) {
		s.waitFor(*waitForMissing(s.missingFor(r.revision)))
		return
	}
	if awaited := s.awaitsJoined(r.Replica); awaited != "" {
		s.waitFor(wait{message: awaited})
		return
	}
	if writer := s.otherWriter(r); writer != "" {
		s.waitFor(wait{message: fmt.Sprintf("waiting for %s to end: %s writes to the same volume", writer, r.Name)})
		return
	}
	if a.Error != "" && a.Count >= startable && s.desired.Kind != spec.Job {
		s.add(core.RemoveReplica, r.Replica, "%s cannot be started any more: %s", r.Name, a.Error)
		return
	}
	if s.add(core.StartReplica, r.Replica, "%s %s", r.Name, r.why()) {
		s.noteAttempt(r.Number, a, last, s.actions[len(s.actions)-1].Lifecycle)
	}
}

// restartUnlessDone starts an exited replica again where its restart policy allows that.
func (s *steps) restartUnlessDone(r replica) {
	most := s.desired.Restart.MaxAttempts
	switch {
	case r.done:
	case most > 0 && s.attempts(r.Number, r.revision, &r).Count > most:
		s.report(problem{
			reason: "RestartLimit", final: true,
			message: fmt.Sprintf("%s %s and was restarted %s, the most that deploy.restart_policy.max_attempts allows", r.Name, r.why(), plural(most, "time")),
			remedy:  s.seeLogs("correct the spec: it is not started again as it is"),
		})
	default:
		s.restart(r, 0)
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

// exitCode is an exit code with what it usually means.
func exitCode(r core.Replica) string {
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
