package plan

import (
	"fmt"
	"maps"
	"slices"
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
		if d > r.MaxDelay/2 {
			return r.MaxDelay
		}
		d *= 2
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
		up = p.Now.Sub(a.At)
	}
	window := p.Spec.Restart.Window
	if a.Count > 0 && window > 0 && up > window && p.Spec.Kind != spec.Job {
		a.Count, a.Unstarted, a.Error = 1, 0, ""
	}
	return a
}

// record notes one more start of number n. One that follows what somebody did, or
// what nobody has seen, says nothing against the replica.
func (p *planner) record(n int, a Attempt, last ending) {
	switch last {
	case interrupted:
		a.Repair = a.Repair.again(p.Now)
	case ended:
		a.Count++
	}
	a.Count = max(a.Count, 1)
	a.At, a.Error, a.Ours = p.Now, "", false
	p.plan.Rollout.Attempts[n] = a
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
func (p *planner) endingOf(a Attempt, r *replica) ending {
	switch {
	case a.Count == 0 || a.Error != "" || a.Ours || p.Spec.Kind == spec.Job:
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
func (p *planner) turn(a Attempt, r *replica, last ending, extra int) (time.Time, time.Duration) {
	at := a.At
	if r != nil {
		at = later(r.FinishedAt, a.At)
	}
	wait := delay(p.Spec.Restart, a.Count+extra)
	switch last {
	case interrupted:
		return p.lastRepair().Add(repairPace), repairPace
	case unwatched:
		wait = max(wait, hintGrace)
	}
	return at.Add(wait), wait
}

// lastRepair is when a replica of the workload was repaired last. What was
// stopped together is repaired together.
func (p *planner) lastRepair() (last time.Time) {
	for _, a := range p.Rollout.Attempts {
		last = later(last, a.Repair.Last)
	}
	return last
}

// contest is how many repairs within a minute are more than a person's.
const contest = 5

// again returns what is remembered after one more repair.
func (r Repair) again(now time.Time) Repair {
	if r.quiet(now) || r.Count <= contest && now.Sub(r.First) >= time.Minute {
		r = Repair{First: now}
	}
	r.Count++
	r.Last = now
	return r
}

// quiet reports whether the last repair was more than a minute ago.
func (r Repair) quiet(now time.Time) bool { return now.Sub(r.Last) >= time.Minute }

// contested reports a number that somebody else stops or removes as often as it
// is repaired.
func (p *planner) contested() {
	for _, n := range slices.Sorted(maps.Keys(p.plan.Rollout.Attempts)) {
		r := p.plan.Rollout.Attempts[n].Repair
		if r.Count > contest && !p.due(r.Last.Add(time.Minute)) {
			p.fail("Contested", fmt.Sprintf("replica %d was stopped or removed more than %d times within a minute, and not by tend: something else decides over it too. "+
				"\"docker events --filter label=%s=%s\" shows what it does", n, contest, spec.LabelService, p.Workload),
				"find out what stops or removes it, and end that")
		}
	}
}

// isStart says whether an action starts a process: then an Attempt is made of
// it, otherwise a Try.
func isStart(kind ActionKind) bool { return kind == CreateReplica || kind == StartReplica }

// Stopped returns the rollout record after tend has told a replica to end.
func Stopped(r Rollout, a Action) Rollout {
	if a.Number < 1 || r.Attempts[a.Number].Ours {
		return r
	}
	r.Attempts = clone(r.Attempts)
	attempt := r.Attempts[a.Number]
	if attempt.Count == 0 {
		attempt = Attempt{Revision: a.Revision, Count: 1}
	}
	attempt.Ours = true
	r.Attempts[a.Number] = attempt
	return r
}

// StartFailed returns the rollout record after an action of it failed. A start for
// which something is missing now is not counted: that says nothing about the replica.
func StartFailed(in Input, a Action, err string) Rollout {
	r := in.Rollout
	switch {
	case isStart(a.Kind):
		r.Attempts = with(r.Attempts, a.Number, func(t *Attempt) {
			if in.misses(a.Kind, t.Revision) {
				t.Count, t.Error = max(t.Count-1, 0), err
			} else {
				t.failed(err)
			}
		})
	case a.Kind == RunHook:
		r.HookTry.Error = err
	default:
		r.Tries = with(r.Tries, a.ID, func(t *Try) { t.Error = err })
	}
	return r
}

// ran is how often a process was started.
func (a Attempt) ran() int { return a.Count - a.Unstarted }

// failed notes that the last start has failed, unless that is known.
func (a *Attempt) failed(why string) {
	if a.Error == "" {
		a.Unstarted++
		a.Error = why
	}
}

// noteStarted takes back that the last start of a replica has failed, where its container
// has been started since: only the engine's answer was lost.
func (p *planner) noteStarted(r replica) {
	a := p.plan.Rollout.Attempts[r.Number]
	if a.Error == "" || a.Revision != r.revision || r.StartedAt.IsZero() || r.StartedAt.Before(a.At) {
		return
	}
	a.Error, a.Unstarted = "", max(a.Unstarted-1, 0)
	p.plan.Rollout.Attempts[r.Number] = a
}

// misses reports whether something is missing that a start at a revision needs. Of a
// container that exists only its networks can go.
func (in Input) misses(kind ActionKind, revision string) bool {
	return in.Spec != nil && in.Spec.Revision == revision && slices.ContainsFunc(in.Missing, func(r Resource) bool {
		return kind == CreateReplica || r.Kind == NetworkResource
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

// tryBackoff paces what fails on containers that exist. It begins below the
// restarts' as an engine that was busy is soon free again.
var tryBackoff = spec.Restart{Delay: time.Second, MaxDelay: 300 * time.Second}

// openTries returns the tries that have not succeeded: what is under way or failed.
func (p *planner) openTries() map[string]Try {
	open := map[string]Try{}
	keep := func(r Replica) {
		if t, ok := p.Rollout.Tries[r.ID]; ok && (r.InFlight != "" || t.Error != "") {
			open[r.ID] = t
		}
	}
	for _, r := range p.Replicas {
		keep(r)
	}
	for _, run := range p.HookRuns {
		keep(run.Replica)
	}
	return open
}

// lastDone returns the runs that are done and were the last of their container.
func (p *planner) lastDone() map[string]time.Time {
	last := map[string]time.Time{}
	for _, r := range p.Replicas {
		if p.wasDone(r) {
			last[r.ID] = r.StartedAt
		}
	}
	return last
}

// wasDone says whether it is remembered that the last run of a container has ended
// as it may.
func (p *planner) wasDone(r Replica) bool {
	at, ok := p.Rollout.Done[r.ID]
	return ok && at.Equal(r.StartedAt)
}

// mayTry says whether the time has come for an action on a container, and
// notes that it is tried. Starts are paced by their attempts.
func (p *planner) mayTry(kind ActionKind, r Replica) bool {
	if isStart(kind) {
		return true
	}
	t := p.plan.Rollout.Tries[r.ID]
	if t.State != r.State {
		t = Try{State: r.State}
	}
	if !p.tryDue(r.Name, t) {
		return false
	}
	p.plan.Rollout.Tries[r.ID] = Try{State: r.State, Count: t.Count + 1, At: p.Now}
	return true
}

// tryDue says whether the time has come for another try on an object, and
// reports why the last one failed when it has not.
func (p *planner) tryDue(object string, t Try) bool {
	wait := delay(tryBackoff, t.Count+1)
	if t.Error == "" || p.due(t.At.Add(wait)) {
		return true
	}
	p.fail("BackOff", fmt.Sprintf("%s: %s; back-off %s before try %d", object, t.Error, wait, t.Count+1), correctTry)
	return false
}

// due says whether the time has come, and has the plan look again when it has not.
func (p *planner) due(at time.Time) bool {
	if at.After(p.Now) {
		p.plan.at(at)
		return false
	}
	return true
}

// startable is how many starts a container is given before one that the engine
// refuses counts as the last.
const startable = 5

// restart starts an exited replica again when its turn has come. extra shifts
// the backoff: a Job waits before its first retry already. A container that the
// engine goes on refusing to start is removed, for another one to be made: after
// the engine was killed in the middle of a start it may do so for ever ("task
// already exists").
func (p *planner) restart(r replica, extra int) {
	a := p.attempts(r.Number, r.revision, &r)
	last := p.endingOf(a, &r)
	at, wait := p.turn(a, &r, last, extra)
	if !p.due(at) {
		if last == interrupted || wait == hintGrace {
			return // in a moment
		}
		why := r.why()
		if a.Error != "" {
			why = "could not be started: " + a.Error
		}
		p.fail("CrashLoopBackOff", fmt.Sprintf("%s %s; back-off %s before start %d", r.Name, why, wait, a.Count+1),
			p.seeLogs("correct the spec: another revision is tried at once, and this one after the back-off"))
		return
	}
	if p.misses(StartReplica, r.revision) {
		p.lacks(r.revision) // which notes what it waits for
		return
	}
	if writer := p.otherWriter(r); writer != "" {
		p.waiting = fmt.Sprintf("waiting for %s to end: %s writes to the same volume", writer, r.Name)
		return
	}
	if a.Error != "" && a.Count >= startable && p.Spec.Kind != spec.Job {
		p.add(RemoveReplica, r.Replica, "%s cannot be started any more: %s", r.Name, a.Error)
		return
	}
	if p.add(StartReplica, r.Replica, "%s %s", r.Name, r.why()) {
		p.record(r.Number, a, last)
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

// mayEnd says whether a container's process may have ended as it did: then it is
// done, and is not started again. One that was told to end has not done what it
// was made for, whatever its exit code. Of an end that nobody has seen that cannot
// be told: a server ends with 0, too, when the machine goes down. Of what tend has
// not kept before, the exit code is all there is to go by.
func (p *planner) mayEnd(r Replica) bool {
	switch {
	case p.Spec == nil || p.Spec.Restart.Condition == spec.RestartAny || r.ExitCode != 0:
		return false
	case r.Interrupted || r.InFlight == StopReplica: // also where that is heard of late
		return false
	case p.wasDone(r):
		return true
	case r.Unwatched && (p.Rollout.Revision != "" || p.Rollout.Attempts[r.Number].Ours):
		return p.Spec.Kind == spec.Job
	default:
		return !p.Rollout.Attempts[r.Number].Ours
	}
}

// mayRestart says whether the restart policy allows an exited replica to run again.
func (p *planner) mayRestart(r replica) bool {
	s := p.Spec.Restart
	if p.mayEnd(r.Replica) {
		return false
	}
	if s.MaxAttempts > 0 && p.attempts(r.Number, r.revision, &r).Count > s.MaxAttempts {
		p.fail("RestartLimit", fmt.Sprintf("%s %s and was restarted %s, the most that deploy.restart_policy.max_attempts allows", r.Name, r.why(), plural(s.MaxAttempts, "time")),
			p.seeLogs("correct the spec: it is not started again as it is"))
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
