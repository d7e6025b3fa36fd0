package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
)

// account is the fourth stage: the steps and the plan that is made from them.
type account struct {
	steps
	plan Plan
}

// report completes the plan: it ends the rollout where all is as the spec asks for, and
// adds the status, the endpoints, and an event for each condition that changed.
func report(s steps) Plan {
	a := account{steps: s, plan: Plan{Actions: s.actions, Rollout: s.record, Events: slices.Clone(s.events), Endpoints: s.endpoints()}}
	a.plan.Rollout.Attempts = clone(s.record.Attempts)
	for _, r := range s.replicas {
		a.lookAgain(r.changesAt, "%s counts as left over", r.Name)
		a.lookAgain(r.availableAt, "%s is available", r.Name)
	}
	a.count()
	busy := a.busy()
	if s.desired == nil {
		a.removal(busy)
	} else {
		a.complete()
		a.block()
		a.contested()
		a.conditions()
		st := &a.plan.Status
		st.Converged = !busy && a.atSpec(a.plan.Rollout) && a.plan.Rollout.Complete && s.desired.Revision == s.wanted && !s.held
		a.forgetAttempts()
	}
	a.conclude()
	a.transitions()
	a.plan.Status.ReplicaStatuses = a.replicaStatuses()
	a.plan.Status.Next, a.plan.Next = a.next, a.next.At
	return a.plan
}

func (a *account) tell(kind core.EventType, reason, message string, args ...any) {
	a.plan.Events = append(a.plan.Events, a.event(kind, reason, message, args...))
}

// count begins the status with the counts of the replicas.
func (a *account) count() {
	c := a.counts
	a.plan.Status = core.Status{
		Workload: a.Workload, ObservedGeneration: a.Generation,
		Replicas: c.live, Updated: c.updated, Ready: c.ready, Available: c.available,
	}
	if s := &a.plan.Status; a.desired != nil {
		s.Desired, s.Paused = a.desired.Replicas, a.paused()
		s.Unavailable = max(0, s.Desired-s.Available)
		s.UpdateRevision, s.WantedRevision = a.desired.Revision, a.wanted
	}
}

// busy reports whether an action is under way, or planned.
func (s *steps) busy() bool {
	return len(s.actions) > 0 ||
		slices.ContainsFunc(s.replicas, func(r replica) bool { return r.InFlight != "" || r.class == leaving }) ||
		slices.ContainsFunc(s.HookRuns, func(run core.HookRun) bool { return run.InFlight != "" || IsRunning(run.Replica) })
}

// removal is the account of a workload that is taken away.
func (a *account) removal(busy bool) {
	a.plan.Status.Converged = !busy && a.gone()
	if a.wait.message != "" {
		a.condition(core.Progressing, true, "Waiting", a.wait.message)
	}
	a.replicaFailure()
	a.moving("its containers are being taken away")
}

// gone reports whether nothing of the workload's own is left.
func (in Input) gone() bool {
	return !slices.ContainsFunc(in.Replicas, func(r core.Replica) bool { return !r.Orphan }) &&
		!slices.ContainsFunc(in.HookRuns, func(run core.HookRun) bool { return !run.Orphan })
}

// complete ends the rollout when all is as the spec asks for.
func (a *account) complete() {
	r := &a.plan.Rollout
	if !r.Complete && a.atSpec(*r) && a.settled() {
		r.Complete = true
		if r.Stable != r.Revision {
			a.tell(core.Normal, "RolloutComplete", "revision %s: %s", short(r.Revision), a.summary())
		}
		r.Stable = r.Revision
	}
	if r.Complete && a.followsImage() {
		r.StableImageID = a.ImageID
	}
	a.plan.Status.CurrentRevision = r.Stable
}

// settled reports whether the replicas have been up for as long as a crash loop
// would take to show. Until then the rollout can be taken back, where there is
// something to go back to.
func (a *account) settled() bool {
	r := a.plan.Rollout
	if a.desired.Kind == spec.Job || r.Stable == a.desired.Revision || !a.remembers(r.Stable) {
		return true
	}
	for _, replica := range a.replicas {
		if !replica.live() || replica.class != ready {
			continue
		}
		if at := replica.ReadySince.Add(a.desired.Restart.Delay); at.After(a.Now) {
			a.lookAgain(at, "%s has been up for as long as a crash loop takes to show", replica.Name)
			return false
		}
	}
	return true
}

// block notes whether the time that passes does not count against the rollout.
func (a *account) block() {
	before, r := a.Rollout, &a.plan.Rollout
	r.Blocked = a.paused() || a.wait.message != "" && !a.wait.fault || slices.ContainsFunc(a.replicas, a.oldEnds)
	if before.Blocked && !r.Blocked && a.desired.Kind == spec.Job {
		r.StartedAt = a.Now // activeDeadlineSeconds begins anew
	}
}

// oldEnds reports whether an old replica is ending, or is told to by this plan.
func (s *steps) oldEnds(r replica) bool {
	ends := func(a core.Action) bool {
		return a.ID == r.ID && (a.Kind == core.StopReplica || a.Kind == core.RemoveReplica)
	}
	return !r.current && r.ID != "" && (r.class == leaving || slices.ContainsFunc(s.actions, ends))
}

// contested reports a number that somebody else stops or removes as often as it
// is repaired.
func (a *account) contested() {
	for _, n := range slices.Sorted(maps.Keys(a.plan.Rollout.Attempts)) {
		r := a.plan.Rollout.Attempts[n].Repair
		until := r.Last.Add(time.Minute)
		if r.Count <= contest || !until.After(a.Now) {
			continue
		}
		a.lookAgain(until, "replica %d has been left alone for a minute", n)
		a.fail("Contested", fmt.Sprintf("replica %d was stopped or removed more than %d times within a minute, and not by tend: something else decides over it too. "+
			"\"docker events --filter label=%s=%s\" shows what it does", n, contest, spec.LabelService, a.Workload),
			"find out what stops or removes it, and end that")
	}
}

// allEnded reports whether every replica has done what it was asked to and ended, as
// those of a service that runs until it ends with 0.
func (a *account) allEnded() bool {
	runs := func(r replica) bool { return r.live() && r.class != exited }
	return a.desired.Replicas > 0 && a.atSpec(a.plan.Rollout) && !slices.ContainsFunc(a.replicas, runs)
}

// summary says in words how many replicas are there.
func (a *account) summary() string {
	if a.desired.Kind == spec.Job || a.allEnded() {
		return "ran to completion"
	}
	return fmt.Sprintf("%d of %s available", a.counts.available, plural(a.desired.Replicas, "replica"))
}

// conditions tell how the workload fares.
func (a *account) conditions() {
	if a.desired.Kind == spec.Job {
		a.jobConditions()
		return
	}
	minAvailable := max(a.desired.Replicas-a.desired.Strategy.MaxUnavailable, 0)
	if n := a.counts.available; n >= minAvailable && (n > 0 || a.desired.Replicas == 0) {
		a.condition(core.Available, true, "MinimumReplicasAvailable", a.summary())
	} else {
		a.condition(core.Available, false, "MinimumReplicasUnavailable", a.summary())
	}
	a.progressing()
	if a.allEnded() {
		a.completed()
	}
	a.replicaFailure()
}

func (a *account) completed() {
	a.condition(core.Complete, true, "CompletionsReached", "ran to completion")
}

func (a *account) replicaFailure() {
	if a.failure != nil {
		a.condition(core.ReplicaFailure, true, a.failure.reason, a.failure.message)
	}
}

func (a *account) progressing() {
	r, c := a.plan.Rollout, a.counts
	state := fmt.Sprintf("revision %s: %d of %s updated, %d old left, %d available", short(r.Revision), c.updated, plural(a.desired.Replicas, "replica"), c.old, c.available) + a.unanswered()
	deadline, runs := a.deadline(r)
	waits := a.wait.message != "" && !a.wait.fault
	switch {
	case a.held:
		a.condition(core.Progressing, false, a.failure.reason, a.wait.message)
		a.verdict(core.OutcomeStalled, a.wait.message, a.wait.remedy)
	case a.desired.Revision != a.wanted:
		why := fmt.Sprintf("revision %s was rolled back to %s: %s", short(r.Failed), short(a.desired.Revision), r.Failure)
		a.condition(core.Progressing, false, "RolledBack", why)
		a.verdict(core.OutcomeStalled, why, a.seeLogs("correct what failed: another revision is tried as soon as it is written"))
	case r.Complete:
		a.condition(core.Progressing, true, "NewReplicaSetAvailable", "revision "+short(r.Revision)+" is complete")
		a.moving(state)
	case a.paused():
		a.condition(core.Progressing, false, "Paused", state)
		a.pausedAt(state)
	case !waits && runs && !deadline.After(a.Now):
		a.timedOut(state)
	default:
		if !waits && runs {
			a.lookAgain(deadline, "progressDeadlineSeconds are over")
			a.plan.Status.Deadline = deadline
		}
		if a.wait.message != "" {
			a.condition(core.Progressing, true, "Waiting", a.wait.message)
		} else {
			a.condition(core.Progressing, true, "ReplicaSetUpdated", state)
		}
		a.moving(state)
	}
}

// timedOut is the account of a rollout that has made no progress for too long.
func (a *account) timedOut(state string) {
	none := fmt.Sprintf("no progress for %s; ", a.desired.ProgressDeadline)
	why, remedy := cmp.Or(a.wait.message, state), a.seeLogs(fmt.Sprintf("correct the spec, or go back with `tend rollout undo %s`", a.Workload))
	a.condition(core.Progressing, false, "ProgressDeadlineExceeded", none+why+a.imageBefore())
	if a.failure != nil {
		why, remedy = a.failure.message, cmp.Or(a.failure.remedy, remedy)
	}
	a.verdict(core.OutcomeStalled, none+why+a.imageBefore(), remedy)
}

// verdict notes how far the workload is, what is in its way, and what a person can do.
func (a *account) verdict(o core.Outcome, obstacle, remedy string) {
	s := &a.plan.Status
	s.Outcome, s.Obstacle, s.Remedy = o, obstacle, remedy
}

// moving is the verdict on a workload that nobody holds: it waits, or comes forward.
func (a *account) moving(state string) {
	if a.wait.message == "" {
		a.verdict(core.OutcomeMoving, state, "")
		return
	}
	a.verdict(core.OutcomeWaiting, a.wait.message, a.wait.remedy)
	a.plan.Status.WaitsFor = a.wait.dependencies
	if len(a.wait.dependencies) > 0 {
		a.plan.Status.Remedy = fmt.Sprintf("see `tend explain %s`, which says what is in the way there", a.wait.dependencies[0])
	}
}

func (a *account) pausedAt(state string) {
	a.verdict(core.OutcomePaused, "the rollout is paused: "+state, fmt.Sprintf("`tend rollout resume %s`", a.Workload))
}

// conclude completes the verdict: by the failure of a replica, unless something is
// decided that outlasts it, and by what holds where there is nothing to tell.
func (a *account) conclude() {
	s := &a.plan.Status
	switch {
	case s.Converged:
		a.verdict(core.OutcomeConverged, "", "")
		if c := s.Condition(core.Complete); c != nil && c.Status {
			s.Outcome = core.OutcomeComplete
		}
		s.WaitsFor = nil
		s.Obstacle, s.Remedy = a.portHeld()
		if a.failure != nil {
			s.Obstacle, s.Remedy = a.failure.message, a.failure.remedy
		}
		return
	case s.Outcome.Halted():
	case a.failure != nil && a.failure.final:
		a.verdict(core.OutcomeStalled, a.failure.message, a.failure.remedy)
	case a.failure != nil:
		a.verdict(core.OutcomeWaiting, a.failure.message, a.failure.remedy)
	}
	if s.Remedy == "" {
		s.Remedy = fmt.Sprintf("nothing: the controller is at work; `tend wait %s` returns when it is done", a.Workload)
	}
}

// replicaStatuses tells of each replica how it is, and what is the matter with it.
func (a *account) replicaStatuses() []core.ReplicaStatus {
	var all []core.ReplicaStatus
	for _, r := range a.replicas {
		so := core.ReplicaStatus{ID: r.ID, Health: r.Health, Ready: r.class == ready, Phase: a.phase(r)}
		// A container that tend did not make has no revision, but attempts.
		if attempt := a.plan.Rollout.Attempts[r.Number]; r.Revision == "" || r.Revision == attempt.Revision {
			so.Restarts = max(0, attempt.Count-1)
		}
		if why := a.blocker(r); why != "" && r.Name != "" && a.desired != nil {
			so.Blocker = r.Name + " " + why
		}
		all = append(all, so)
	}
	return all
}

// phase tells where a replica is in its life, with what is decided now.
func (a *account) phase(r replica) core.Phase {
	_, drains := a.plan.Rollout.Drains[r.ID]
	switch doing := cmp.Or(r.InFlight, a.plannedOn(r.ID)); {
	case doing == core.StopReplica || doing == core.RemoveReplica:
		return core.PhaseStopping
	case doing == core.StartReplica:
		return core.PhaseCreating
	case drains && IsRunning(r.Replica):
		return core.PhaseDraining
	case r.class == exited && (r.done || a.plan.Rollout.Succeeded[r.Number]):
		return core.PhaseDone
	default:
		return phases[r.class]
	}
}

// phases are the classes in the words of the API.
var phases = map[class]core.Phase{
	leaving: core.PhaseStopping, coming: core.PhaseCreating, leftover: core.PhaseLeftover, exited: core.PhaseExited,
	unhealthy: core.PhaseUnhealthy, starting: core.PhaseStarting, unready: core.PhaseUnready, ready: core.PhaseReady,
}

// blocker says why a replica is not ready, or not as the spec asks for; empty where it
// is both.
func (a *account) blocker(r replica) string {
	switch {
	case r.current && (r.class == ready || r.class == exited && r.available || a.plan.Rollout.Succeeded[r.Number]):
		return ""
	case r.class == ready:
		return "is at revision " + short(r.revision) + " still"
	case r.class == leaving:
		return "is being stopped"
	case r.class == coming:
		return "is being started"
	case r.class == leftover:
		return "cannot run as it was made to, and is to be removed"
	default:
		return r.why()
	}
}

// imageBefore says how to go back to the image that worked, where the rollout leads
// to another one of the same name: nobody but a person can give a name back.
func (a *account) imageBefore() string {
	r := a.plan.Rollout
	if !a.followsImage() || r.Stable != r.Revision || r.StableImageID == "" || r.StableImageID == r.ImageID {
		return ""
	}
	return fmt.Sprintf("; %s is another image now: build it again, or go back with docker tag %s %s", a.desired.Image, shortImage(r.StableImageID), a.desired.Image)
}

func (a *account) jobConditions() {
	failure := a.plan.Rollout.GivenUp
	succeeded := a.succeeded(a.plan.Rollout)
	switch {
	case failure.Reason != "":
		a.condition(core.Complete, false, failure.Reason, failure.Message)
		a.condition(core.Failed, true, failure.Reason, failure.Message)
		a.verdict(core.OutcomeStalled, failure.Message, a.seeLogs("correct the spec or the image: as it is, the Job is not tried again"))
	case a.held:
		a.condition(core.Complete, false, "Waiting", a.wait.message)
		a.verdict(core.OutcomeStalled, a.wait.message, a.wait.remedy)
	case succeeded == a.desired.Replicas:
		a.completed()
		a.moving("it ran to completion, and containers of it are to be stopped or removed")
	case a.wait.message != "":
		a.condition(core.Complete, false, "Waiting", a.wait.message)
		a.moving("")
	default:
		state := fmt.Sprintf("%d of %s succeeded", succeeded, plural(a.desired.Replicas, "completion"))
		a.condition(core.Complete, false, "Running", state)
		if a.paused() {
			a.pausedAt(state)
		} else {
			a.moving(state)
		}
	}
	a.replicaFailure()
}

func (a *account) condition(t core.ConditionType, status bool, reason, message string) {
	c := core.Condition{Type: t, Status: status, Reason: reason, Message: message, Since: a.Now}
	if before := a.Status.Condition(t); before != nil && before.Status == status {
		c.Since = before.Since
	}
	a.plan.Status.Conditions = append(a.plan.Status.Conditions, c)
}

// forgetAttempts drops the attempts of numbers that are neither in use nor to be used
// next, so that a workload that was scaled down and up begins anew.
func (a *account) forgetAttempts() {
	most := a.desired.Replicas + a.desired.Strategy.MaxSurge
	used := map[int]bool{}
	for _, n := range a.free(a.desired.Revision, most-a.counts.live) {
		used[n] = true
	}
	for _, r := range a.replicas {
		used[r.Number] = true
	}
	for n, attempt := range a.plan.Rollout.Attempts {
		if !used[n] && n > most && !(a.rolls() && a.waits(attempt)) {
			delete(a.plan.Rollout.Attempts, n)
		}
	}
}

// rolls reports whether replicas of two revisions may be made.
func (t *target) rolls() bool { return !t.rollout.Complete && t.earlier() }

// transitions reports conditions that changed for the worse, and the recovery. An event
// also tells the remedy where waiting does not help.
func (a *account) transitions() {
	for _, c := range a.plan.Status.Conditions {
		before := a.Status.Condition(c.Type)
		changed := before == nil || before.Status != c.Status || before.Reason != c.Reason || before.Message != c.Message
		switch {
		case !changed:
		case c.Type == core.ReplicaFailure && a.failure.final:
			a.tell(core.Warning, c.Reason, "%s", advised(c.Message, a.failure.remedy))
		case c.Type == core.ReplicaFailure || c.Type == core.Failed:
			a.tell(core.Warning, c.Reason, "%s", c.Message)
		case c.Reason == "ProgressDeadlineExceeded" && (before == nil || before.Reason != c.Reason):
			a.tell(core.Warning, c.Reason, "%s", c.Message)
		case c.Reason == "Waiting" && a.wait.quiet:
		case c.Reason == "Waiting":
			a.tell(core.Normal, c.Reason, "%s", advised(c.Message, a.wait.remedy))
		case c.Type == core.Complete && c.Status:
			a.tell(core.Normal, "Complete", "%s", c.Message)
		case c.Type != core.Available || before == nil || before.Status == c.Status || a.Status.Desired != a.plan.Status.Desired:
			// A wish that has grown is no loss.
		case c.Status:
			a.tell(core.Normal, "Available", "%s", c.Message)
		default:
			a.tell(core.Warning, "Unavailable", "%s", c.Message)
		}
	}
}
