package plan

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/tendhq/tend/controller/spec"
)

// tally counts the replicas into the status.
func (p *planner) tally() {
	s := &p.plan.Status
	*s = Status{Workload: p.Workload, ObservedGeneration: p.Generation}
	p.old = 0
	for _, r := range p.replicas {
		if !r.live() {
			continue
		}
		s.Replicas++
		if r.current {
			s.Updated++
		} else {
			p.old++
		}
		if r.class == ready {
			s.Ready++
		}
		if r.available {
			s.Available++
		}
	}
	if p.Spec != nil {
		s.Desired = p.Spec.Replicas
		s.Unavailable = max(0, s.Desired-s.Available)
	}
}

// progress notes whether the rollout came forward: with more updated replicas, more of
// them ready, more of them available, or fewer old ones, as in Kubernetes
// (DeploymentProgressing in pkg/controller/deployment/util). Each count is held against
// the best there was, so that a replica that comes and goes is no progress.
func (p *planner) progress() {
	r, s := &p.plan.Rollout, p.plan.Status
	ready := p.count(func(rep replica) bool { return rep.live() && rep.current && rep.class == ready })
	available := p.count(func(rep replica) bool { return rep.live() && rep.current && rep.available })
	switch all := p.Spec != nil && p.atSpec(); {
	case all && r.AvailableSince.IsZero():
		r.AvailableSince = p.Now
	case !all && !r.AvailableSince.IsZero():
		r.ProgressAt = r.ProgressAt.Add(p.Now.Sub(r.AvailableSince))
		r.AvailableSince = time.Time{}
	}
	wanted := min(s.Available, s.Desired) // what a surge adds is not to be kept
	updated := s.Updated > r.Updated || ready > r.UpdatedReady || available > r.UpdatedAvailable
	if updated || s.Ready > r.Ready || wanted > r.Available || p.old < r.Old || r.Blocked {
		r.ProgressAt = p.Now
	}
	r.Updated, r.UpdatedReady, r.UpdatedAvailable = max(r.Updated, s.Updated), max(r.UpdatedReady, ready), max(r.UpdatedAvailable, available)
	r.Ready, r.Available, r.Old = max(r.Ready, s.Ready), max(r.Available, wanted), min(r.Old, p.old)
}

// oldEnds reports whether an old replica is ending, or is told to by this plan.
func (p *planner) oldEnds(r replica) bool {
	ends := func(a Action) bool { return a.ID == r.ID && (a.Kind == StopReplica || a.Kind == RemoveReplica) }
	return !r.current && r.ID != "" && (r.class == leaving || slices.ContainsFunc(p.plan.Actions, ends))
}

// deadline is when the rollout has made no progress for as long as it may take. It is
// false while the deadline does not run: where every replica is available it has been
// met, and only a crash or the loss of readiness lets it run again.
func (p *planner) deadline() (time.Time, bool) {
	r := p.plan.Rollout
	return r.ProgressAt.Add(p.Spec.ProgressDeadline), !r.Blocked && r.AvailableSince.IsZero()
}

// timedOut reports whether the deadline is over, and has the plan look again when it is not.
func (p *planner) timedOut() bool {
	at, runs := p.deadline()
	return runs && p.due(at)
}

// finish adds to the plan what follows from it: the rollout's end, the status,
// the endpoints, and events for what changed.
func (p *planner) finish() Plan {
	s := &p.plan.Status
	busy := len(p.plan.Actions) > 0
	for _, r := range p.replicas {
		busy = busy || r.InFlight != "" || r.class == leaving
	}
	for _, run := range p.HookRuns {
		busy = busy || run.InFlight != "" || IsRunning(run.Replica)
	}
	if p.Spec == nil {
		s.Converged = !busy && !slices.ContainsFunc(p.Replicas, func(r Replica) bool { return !r.Orphan }) &&
			!slices.ContainsFunc(p.HookRuns, func(run HookRun) bool { return !run.Orphan })
		p.removalConditions()
		p.moving("its containers are being taken away")
	} else {
		p.complete()
		if p.plan.Rollout.Complete && p.followsImage() {
			p.plan.Rollout.StableImageID = p.ImageID
		}
		p.plan.Rollout.Blocked = p.paused() || p.waiting != "" && !p.fault || p.count(p.oldEnds) > 0
		if p.Rollout.Blocked && !p.plan.Rollout.Blocked && p.Spec.Kind == spec.Job {
			p.plan.Rollout.StartedAt = p.Now // activeDeadlineSeconds begins anew
		}
		s.UpdateRevision, s.CurrentRevision = p.Spec.Revision, p.plan.Rollout.Stable
		p.contested()
		p.conditions()
		p.blockers()
		s.Converged = !busy && p.atSpec() && p.plan.Rollout.Complete && p.Spec.Revision == p.wanted && p.held == ""
		p.forget()
	}
	p.conclude()
	p.publish()
	p.transitions()
	return p.plan
}

// atSpec says whether what exists is what the spec asks for.
func (p *planner) atSpec() bool {
	s := p.plan.Status
	if p.Spec.Kind == spec.Job {
		return p.jobDone() && p.old == 0
	}
	return p.old == 0 && s.Updated == s.Desired && s.Available == s.Desired
}

// complete ends the rollout when all is as the spec asks for.
func (p *planner) complete() {
	r := &p.plan.Rollout
	if r.Complete || !p.atSpec() || !p.settled() {
		return
	}
	r.Complete = true
	if r.Stable != r.Revision {
		p.event(Normal, "RolloutComplete", "revision %s: %s", short(r.Revision), p.summary())
	}
	r.Stable = r.Revision
}

// settled says whether the replicas have been up for as long as a crash loop
// would take to show. Until then the rollout can be taken back, where there is
// something to go back to.
func (p *planner) settled() bool {
	r := p.plan.Rollout
	if p.Spec.Kind == spec.Job || r.Stable == p.Spec.Revision || !p.known(r.Stable) {
		return true
	}
	for _, replica := range p.replicas {
		if replica.live() && replica.class == ready && !p.due(replica.ReadySince.Add(p.Spec.Restart.Delay)) {
			return false
		}
	}
	return true
}

// allEnded says whether every replica has done what it was asked to and ended, as
// those of a service that runs until it ends with 0.
func (p *planner) allEnded() bool {
	runs := func(r replica) bool { return r.live() && r.class != exited }
	return p.plan.Status.Desired > 0 && p.atSpec() && p.count(runs) == 0
}

// summary says in words how many replicas are there.
func (p *planner) summary() string {
	s := p.plan.Status
	if p.Spec.Kind == spec.Job || p.allEnded() {
		return "ran to completion"
	}
	return fmt.Sprintf("%d of %s available", s.Available, plural(s.Desired, "replica"))
}

// conditions says how the workload fares.
func (p *planner) conditions() {
	if p.Spec.Kind == spec.Job {
		p.jobConditions()
		return
	}
	minAvailable := max(p.Spec.Replicas-p.Spec.Strategy.MaxUnavailable, 0)
	if s := p.plan.Status; s.Available >= minAvailable && (s.Available > 0 || s.Desired == 0) {
		p.condition(Available, true, "MinimumReplicasAvailable", p.summary())
	} else {
		p.condition(Available, false, "MinimumReplicasUnavailable", p.summary())
	}
	p.progressing()
	if p.allEnded() {
		p.completed()
	}
	p.replicaFailure()
}

func (p *planner) completed() {
	p.condition(Complete, true, "CompletionsReached", "ran to completion")
}

// removalConditions says what keeps a workload from being taken away.
func (p *planner) removalConditions() {
	if p.waiting != "" {
		p.condition(Progressing, true, "Waiting", p.waiting)
	}
	p.replicaFailure()
}

func (p *planner) replicaFailure() {
	if p.failure != nil {
		p.condition(ReplicaFailure, true, p.failure.reason, p.failure.message)
	}
}

func (p *planner) progressing() {
	r, s := p.plan.Rollout, p.plan.Status
	state := fmt.Sprintf("revision %s: %d of %s updated, %d old left, %d available", short(r.Revision), s.Updated, plural(s.Desired, "replica"), p.old, s.Available) + p.unanswered()
	switch {
	case p.held != "":
		p.condition(Progressing, false, "ForeignContainer", p.held)
		p.verdict(OutcomeStalled, p.held, p.remedy)
	case p.Spec.Revision != p.wanted:
		why := fmt.Sprintf("revision %s was rolled back to %s: %s", short(r.Failed), short(p.Spec.Revision), r.Failure)
		p.condition(Progressing, false, "RolledBack", why)
		p.verdict(OutcomeStalled, why, p.seeLogs("correct what failed: another revision is tried as soon as it is written"))
	case r.Complete:
		p.condition(Progressing, true, "NewReplicaSetAvailable", "revision "+short(r.Revision)+" is complete")
		p.moving(state)
	case p.paused():
		p.condition(Progressing, false, "Paused", state)
		p.pausedAt(state)
	case p.waiting != "" && !(p.fault && p.timedOut()):
		p.condition(Progressing, true, "Waiting", p.waiting)
		p.moving(state)
	case p.timedOut():
		none := fmt.Sprintf("no progress for %s; ", p.Spec.ProgressDeadline)
		p.condition(Progressing, false, "ProgressDeadlineExceeded", none+cmp.Or(p.waiting, state)+p.imageBefore())
		why, remedy := cmp.Or(p.waiting, state), p.seeLogs(fmt.Sprintf("correct the spec, or go back with `tend rollout undo %s`", p.Workload))
		if p.failure != nil {
			why, remedy = p.failure.message, cmp.Or(p.failure.remedy, remedy)
		}
		p.verdict(OutcomeStalled, none+why+p.imageBefore(), remedy)
	default:
		p.condition(Progressing, true, "ReplicaSetUpdated", state)
		p.moving(state)
	}
}

// verdict notes how far the workload is, what is in its way, and what a person can do.
func (p *planner) verdict(o Outcome, obstacle, remedy string) {
	s := &p.plan.Status
	s.Outcome, s.Obstacle, s.Remedy = o, obstacle, remedy
}

// moving is the verdict on a workload that nobody holds: it waits, or comes forward.
func (p *planner) moving(state string) {
	if p.waiting == "" {
		p.verdict(OutcomeMoving, state, "")
		return
	}
	p.verdict(OutcomeWaiting, p.waiting, p.remedy)
	p.plan.Status.WaitsFor = p.waitsFor
	if len(p.waitsFor) > 0 {
		p.plan.Status.Remedy = fmt.Sprintf("see `tend explain %s`, which says what is in the way there", p.waitsFor[0])
	}
}

func (p *planner) pausedAt(state string) {
	p.verdict(OutcomePaused, "the rollout is paused: "+state, fmt.Sprintf("`tend rollout resume %s`", p.Workload))
}

// conclude completes the verdict: by the failure of a replica, unless something is
// decided that outlasts it, and by what holds where there is nothing to tell.
func (p *planner) conclude() {
	s := &p.plan.Status
	switch {
	case s.Converged:
		p.verdict(OutcomeConverged, "", "")
		if c := s.Condition(Complete); c != nil && c.Status {
			s.Outcome = OutcomeComplete
		}
		s.WaitsFor = nil
		if p.failure != nil {
			s.Obstacle, s.Remedy = p.failure.message, p.failure.remedy
		}
		return
	case s.Outcome.Halted():
	case p.failure != nil:
		p.verdict(OutcomeWaiting, p.failure.message, p.failure.remedy)
	}
	if s.Remedy == "" {
		s.Remedy = fmt.Sprintf("nothing: the controller is at work; `tend wait %s` returns when it is done", p.Workload)
	}
}

// blockers lists the replicas that are not ready or not at the spec's revision.
func (p *planner) blockers() {
	for _, r := range p.replicas {
		switch {
		case r.current && (r.class == ready || r.class == exited && r.available || p.plan.Rollout.Succeeded[r.Number]):
		case r.class == ready:
			p.blocker(r, "is at revision "+short(r.revision)+" still")
		case r.class == leaving:
			p.blocker(r, "is being stopped")
		case r.class == coming:
			p.blocker(r, "is being started")
		case r.class == leftover:
			p.blocker(r, "cannot run as it was made to, and is to be removed")
		default:
			p.blocker(r, r.why())
		}
	}
}

func (p *planner) blocker(r replica, why string) {
	if r.Name != "" {
		p.plan.Status.Blockers = append(p.plan.Status.Blockers, r.Name+" "+why)
	}
}

// imageBefore says how to go back to the image that worked, where the rollout leads
// to another one of the same name: nobody but a person can give a name back.
func (p *planner) imageBefore() string {
	r := p.plan.Rollout
	if !p.followsImage() || r.Stable != r.Revision || r.StableImageID == "" || r.StableImageID == r.ImageID {
		return ""
	}
	return fmt.Sprintf("; %s is another image now: build it again, or go back with docker tag %s %s", p.Spec.Image, shortImage(r.StableImageID), p.Spec.Image)
}

// unanswered says what the probes say of the first replica of the revision that
// is not ready, or nothing.
func (p *planner) unanswered() string {
	for _, r := range p.replicas {
		if r.current && (r.class == starting || r.class == unready) && r.HealthOutput != "" {
			return fmt.Sprintf("; %s is not ready: %s", r.Name, r.HealthOutput)
		}
	}
	return ""
}

func (p *planner) jobConditions() {
	failure := p.plan.Rollout.GivenUp
	switch {
	case failure.Reason != "":
		p.condition(Complete, false, failure.Reason, failure.Message)
		p.condition(Failed, true, failure.Reason, failure.Message)
		p.verdict(OutcomeStalled, failure.Message, p.seeLogs("correct the spec or the image: as it is, the Job is not tried again"))
	case p.jobDone() && p.held == "":
		p.completed()
		p.moving("it ran to completion, and containers of it are to be stopped or removed")
	case p.held != "":
		p.condition(Complete, false, "Waiting", p.waiting)
		p.verdict(OutcomeStalled, p.held, p.remedy)
	case p.waiting != "":
		p.condition(Complete, false, "Waiting", p.waiting)
		p.moving("")
	default:
		succeeded := 0
		for n := range p.plan.Rollout.Succeeded {
			if n <= p.Spec.Replicas {
				succeeded++
			}
		}
		state := fmt.Sprintf("%d of %s succeeded", succeeded, plural(p.Spec.Replicas, "completion"))
		p.condition(Complete, false, "Running", state)
		if p.paused() {
			p.pausedAt(state)
		} else {
			p.moving(state)
		}
	}
	p.replicaFailure()
}

func (p *planner) condition(t ConditionType, status bool, reason, message string) {
	c := Condition{Type: t, Status: status, Reason: reason, Message: message, Since: p.Now}
	if before := p.Input.Status.Condition(t); before != nil && before.Status == status {
		c.Since = before.Since
	}
	p.plan.Status.Conditions = append(p.plan.Status.Conditions, c)
}

// forget drops the attempts of numbers that are neither in use nor to be used
// next, so that a workload that was scaled down and up begins anew.
func (p *planner) forget() {
	most := p.Spec.Replicas + p.Spec.Strategy.MaxSurge
	used := map[int]bool{}
	for _, n := range p.free(most - p.plan.Status.Replicas) {
		used[n] = true
	}
	for _, r := range p.replicas {
		used[r.Number] = true
	}
	for n := range p.plan.Rollout.Attempts {
		if !used[n] && n > most {
			delete(p.plan.Rollout.Attempts, n)
		}
	}
}

// transitions reports conditions that changed for the worse, and the recovery.
func (p *planner) transitions() {
	for _, c := range p.plan.Status.Conditions {
		before := p.Input.Status.Condition(c.Type)
		changed := before == nil || before.Status != c.Status || before.Reason != c.Reason || before.Message != c.Message
		switch {
		case !changed:
		case c.Type == ReplicaFailure || c.Type == Failed:
			p.event(Warning, c.Reason, "%s", c.Message)
		case c.Reason == "ProgressDeadlineExceeded" && (before == nil || before.Reason != c.Reason):
			p.event(Warning, c.Reason, "%s", c.Message)
		case c.Reason == "Waiting" && p.quiet:
		case c.Reason == "Waiting":
			p.event(Normal, c.Reason, "%s", c.Message)
		case c.Type == Complete && c.Status:
			p.event(Normal, "Complete", "%s", c.Message)
		case c.Type != Available || before == nil || before.Status == c.Status || p.Input.Status.Desired != p.plan.Status.Desired:
			// A wish that has grown is no loss.
		case c.Status:
			p.event(Normal, "Available", "%s", c.Message)
		default:
			p.event(Warning, "Unavailable", "%s", c.Message)
		}
	}
}
