package services

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
)

// account is the fourth stage: the steps and the plan that is made from them.
type account struct {
	steps
	plan Plan
}

// report completes the plan: it ends the rollout where all is as the spec asks for, and
// adds the status and the events.
func report(s steps) Plan {
	a := account{steps: s, plan: Plan{Actions: s.actions, Rollout: s.record, Events: slices.Clone(s.events)}}
	c, st := a.counts, &a.plan.Status
	*st = core.Status{
		Workload: a.Workload, ObservedGeneration: a.Generation,
		Replicas: c.live, Updated: c.updated, Ready: c.ready, Available: c.available,
	}
	if a.desired == nil {
		a.removal()
	} else {
		st.Desired, st.Paused = a.desired.Replicas, a.paused()
		st.Unavailable = max(0, st.Desired-st.Available)
		st.UpdateRevision, st.WantedRevision = a.desired.Revision, a.wanted
		a.giveUp()
		a.complete()
		a.plan.Rollout.Blocked = a.paused() || a.held || a.wait.message != "" && !a.wait.fault
		a.conditions()
		st.Converged = len(a.actions) == 0 && a.same && a.plan.Rollout.Complete && a.desired.Revision == a.wanted && !a.held && len(a.Hooks) == 0 && a.hasAll()
	}
	a.conclude()
	a.transitions()
	st.ReplicaStatuses = a.replicas()
	st.Next, a.plan.Next = a.next, a.next.At
	return a.plan
}

func (a *account) tell(kind core.EventType, reason, message string, args ...any) {
	a.plan.Events = append(a.plan.Events, a.event(kind, reason, message, args...))
}

// removal is the account of a workload that is taken away.
func (a *account) removal() {
	left := slices.ContainsFunc(a.tasks, func(k task) bool { return !Over(k.Task) })
	a.plan.Status.Converged = a.Service == nil && len(a.Hooks) == 0 && !left && !a.held
	a.moving("its service is being taken away")
}

// giveUp notes that a Job has failed for good: none of its tasks runs or is to run, some
// failed, and Swarm has had the time to make another.
func (a *account) giveUp() {
	r := &a.plan.Rollout
	if a.desired.Kind != spec.Job || !a.same || a.ran() || r.GivenUp.Reason != "" {
		return
	}
	var last time.Time
	for _, k := range a.tasks {
		if k.JobIteration != a.Service.JobIteration {
			continue
		}
		if k.live || k.leaving {
			return
		}
		if k.Since.After(last) {
			last = k.Since
		}
	}
	const settle = 2 * time.Second
	failure := a.failure(a.desired.Revision)
	switch at := last.Add(settle); {
	case failure == "":
	case at.After(a.Now):
		a.lookAgain(at, "the Job has failed")
	default:
		r.GivenUp = core.Failure{Reason: "BackoffLimitExceeded", Message: failure}
	}
}

// complete ends the rollout when all is as the spec asks for.
func (a *account) complete() {
	r := &a.plan.Rollout
	for _, k := range a.tasks {
		if k.ready && a.current(k) {
			a.lookAgain(a.availableAt(k), "%s is available", a.subject(k.Task))
		}
	}
	goesOn := a.Service != nil && (a.Service.Update.State == swarm.UpdateStateUpdating || a.updatePaused()) && !a.outlived()
	if !r.Complete && a.same && a.hasAll() && !goesOn {
		r.Complete = true
		if r.Stable != r.Revision {
			a.tell(core.Normal, "RolloutComplete", "revision %s: %s", short(r.Revision), a.summary())
		}
		r.Stable = r.Revision
		completed := slices.DeleteFunc(slices.Clone(r.Swarm.Completed), func(revision string) bool { return revision == r.Revision || !a.remembers(revision) })
		r.Swarm.Completed = append(completed, r.Revision)
		r.Swarm.Objects = used(a.desired, a.objects(""))
	}
	if a.desired.Kind == spec.Job && r.Complete && a.ran() && len(r.Succeeded) < a.desired.Replicas {
		r.Succeeded = map[int]bool{}
		for i := range a.desired.Replicas {
			r.Succeeded[i+1] = true
		}
	}
	a.plan.Status.CurrentRevision = r.Stable
}

// outlived reports whether all that the spec asks for has been available for as long as Swarm
// would have watched it: what it has paused the update for, or still waits for, as a task that
// was lost with its node, is over.
func (a *account) outlived() bool {
	since, monitor := a.record.AvailableSince, a.desired.MinReady
	if u := a.Service.Spec.UpdateConfig; u != nil {
		monitor = u.Monitor
	}
	if since.IsZero() {
		return false
	}
	a.lookAgain(since.Add(monitor), "all is available, whatever Swarm says of the update")
	return !since.Add(monitor).After(a.Now)
}

func (a *account) summary() string {
	if a.desired.Kind == spec.Job {
		return "ran to completion"
	}
	return fmt.Sprintf("%d of %s available", a.counts.available, plural(a.desired.Replicas, "replica"))
}

func (a *account) condition(t core.ConditionType, status bool, reason, message string) {
	c := core.Condition{Type: t, Status: status, Reason: reason, Message: message, Since: a.Now}
	if before := a.Status.Condition(t); before != nil && before.Status == status {
		c.Since = before.Since
	}
	a.plan.Status.Conditions = append(a.plan.Status.Conditions, c)
}

// conditions tell how the workload fares.
func (a *account) conditions() {
	if a.desired.Kind == spec.Job {
		a.job()
		return
	}
	if n := a.counts.available; n >= max(a.desired.Replicas-a.desired.Strategy.MaxUnavailable, 0) && (n > 0 || a.desired.Replicas == 0) && !a.nowhere() {
		a.condition(core.Available, true, "MinimumReplicasAvailable", a.summary())
	} else {
		a.condition(core.Available, false, "MinimumReplicasUnavailable", a.summary())
	}
	a.progressing()
	if why := cmp.Or(a.failure(a.desired.Revision), a.pending()); why != "" && !a.hasAll() {
		a.condition(core.ReplicaFailure, true, "TaskFailed", why)
	}
}

func (a *account) progressing() {
	r, c := a.plan.Rollout, a.counts
	state := fmt.Sprintf("revision %s: %d of %s updated, %d old left, %d available", short(r.Revision), c.updated, plural(a.desired.Replicas, "replica"), c.old, c.available)
	deadline, runs := a.target.deadline()
	runs = runs && !a.plan.Rollout.Blocked
	switch {
	case a.held:
		a.condition(core.Progressing, false, "NameTaken", a.wait.message)
		a.verdict(core.OutcomeStalled, a.wait.message, a.wait.remedy)
	case a.desired.Revision != a.wanted:
		why := fmt.Sprintf("revision %s was rolled back to %s: %s", short(r.Failed), short(a.desired.Revision), r.Failure)
		a.condition(core.Progressing, false, "RolledBack", why)
		a.verdict(core.OutcomeStalled, why, "correct what failed: another revision is tried as soon as it is written")
		if !r.Complete {
			a.plan.Status.Outcome = core.OutcomeMoving
			a.untilDeadline(deadline, runs)
		}
	case r.Complete:
		a.condition(core.Progressing, true, "NewReplicaSetAvailable", "revision "+short(r.Revision)+" is complete")
		a.moving(state)
	case a.paused():
		a.condition(core.Progressing, false, "Paused", state)
		a.verdict(core.OutcomePaused, "the rollout is paused: "+state, fmt.Sprintf("`tend rollout resume %s`", a.Workload))
	case a.updateFailed(), runs && !deadline.After(a.Now), a.wait.fault && a.Refused.Count == 0:
		why := cmp.Or(a.wait.message, a.failure(a.desired.Revision), a.pending(), state)
		if runs && !deadline.After(a.Now) {
			why = fmt.Sprintf("no progress for %s; %s", a.desired.ProgressDeadline, why)
		}
		a.condition(core.Progressing, false, "ProgressDeadlineExceeded", why)
		a.verdict(core.OutcomeStalled, why, fmt.Sprintf("see `tend logs %s`, and correct the spec", a.Workload))
	default:
		a.untilDeadline(deadline, runs)
		if a.wait.message != "" {
			a.condition(core.Progressing, true, "Waiting", a.wait.message)
		} else {
			a.condition(core.Progressing, true, "ReplicaSetUpdated", state)
		}
		a.moving(cmp.Or(a.pending(), state))
	}
}

func (a *account) untilDeadline(deadline time.Time, runs bool) {
	if runs {
		a.lookAgain(deadline, "progressDeadlineSeconds are over")
		a.plan.Status.Deadline = deadline
	}
}

// job tells how a Job fares.
func (a *account) job() {
	r := a.plan.Rollout
	switch {
	case a.held:
		a.condition(core.Complete, false, "NameTaken", a.wait.message)
		a.verdict(core.OutcomeStalled, a.wait.message, a.wait.remedy)
	case a.ran():
		a.condition(core.Complete, true, "CompletionsReached", "ran to completion")
		a.moving("it ran to completion, and its service is brought to what is written")
	case r.GivenUp.Reason != "":
		a.condition(core.Complete, false, r.GivenUp.Reason, r.GivenUp.Message)
		a.condition(core.Failed, true, r.GivenUp.Reason, r.GivenUp.Message)
		a.verdict(core.OutcomeStalled, r.GivenUp.Message, fmt.Sprintf("see `tend logs %s`, and correct the spec or the image", a.Workload))
	default:
		completed := uint64(0)
		if a.same {
			completed = a.Service.Completed
		}
		state := fmt.Sprintf("%d of %s succeeded", completed, plural(a.desired.Replicas, "completion"))
		a.condition(core.Complete, false, "Running", cmp.Or(a.wait.message, state))
		if a.paused() {
			a.verdict(core.OutcomePaused, "it is paused: "+state, fmt.Sprintf("`tend rollout resume %s`", a.Workload))
			return
		}
		a.moving(state)
	}
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
}

// conclude completes the verdict.
func (a *account) conclude() {
	s := &a.plan.Status
	switch {
	case s.Converged:
		a.verdict(core.OutcomeConverged, "", "")
		s.WaitsFor = nil
		if s.Completed() {
			s.Outcome = core.OutcomeComplete
		}
	case s.Remedy == "":
		s.Remedy = fmt.Sprintf("nothing: the controller is at work; `tend wait %s` returns when it is done", a.Workload)
	}
}

// transitions reports conditions that changed for the worse, and the recovery.
func (a *account) transitions() {
	for _, c := range a.plan.Status.Conditions {
		before := a.Status.Condition(c.Type)
		changed := before == nil || before.Status != c.Status || before.Reason != c.Reason || before.Message != c.Message
		switch {
		case !changed:
		case c.Type == core.ReplicaFailure || c.Type == core.Failed || c.Reason == "NameTaken":
			a.tell(core.Warning, c.Reason, "%s", c.Message)
		case c.Reason == "ProgressDeadlineExceeded" && (before == nil || before.Reason != c.Reason):
			a.tell(core.Warning, c.Reason, "%s", c.Message)
		case c.Reason == "Waiting" && !a.wait.quiet:
			a.tell(core.Normal, c.Reason, "%s", c.Message)
		case c.Type == core.Complete && c.Status:
			a.tell(core.Normal, "Complete", "%s", c.Message)
		case c.Type != core.Available || before == nil || before.Status == c.Status || a.Status.Desired != a.plan.Status.Desired:
		case c.Status:
			a.tell(core.Normal, "Available", "%s", c.Message)
		default:
			a.tell(core.Warning, "Unavailable", "%s", c.Message)
		}
	}
}

// replicas tells of each task that is shown how it is.
func (a *account) replicas() (all []core.ReplicaStatus) {
	for _, k := range a.tasks {
		if !Shown(k.Task, a.Input.Tasks, a.Service.Spec) {
			continue
		}
		r := core.ReplicaStatus{ID: k.ID, Ready: k.ready, Phase: phase(k), Node: a.nodes[k.NodeID].Hostname}
		for _, other := range a.tasks {
			if sameSlot(other.Task, k.Task, a.Service.Spec) && other.ID != k.ID && other.revision == k.revision && Over(other.Task) && other.State != swarm.TaskStateShutdown {
				r.Restarts++
			}
		}
		switch {
		case a.desired == nil || k.ready && a.current(k) || k.State == swarm.TaskStateComplete:
		case k.ready:
			r.Blocker = fmt.Sprintf("%s is at revision %s still", a.subject(k.Task), short(k.revision))
		default:
			r.Blocker = a.subject(k.Task) + " " + a.why(k.Task)
		}
		all = append(all, r)
	}
	return all
}

// phase is where a task is in its life, in the words of the API.
func phase(k task) core.Phase {
	switch {
	case k.leaving:
		return core.PhaseStopping
	case k.ready:
		return core.PhaseReady
	case k.State == swarm.TaskStateComplete:
		return core.PhaseDone
	case Over(k.Task):
		return core.PhaseExited
	case k.State == swarm.TaskStateRunning:
		return core.PhaseUnready // its node is not there
	case k.State == swarm.TaskStateStarting:
		return core.PhaseStarting
	default:
		return core.PhaseCreating
	}
}
