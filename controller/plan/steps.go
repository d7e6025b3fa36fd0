package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
)

// steps is the third stage: what is done now, and what stands in the way of more.
type steps struct {
	target
	// record is the target's rollout record, updated by the steps.
	record  core.Rollout
	actions []core.Action
	events  []core.Event
	// failure is what is wrong with a replica, when there is something to report.
	failure *problem
	// wait is what creations wait for.
	wait wait
	// held is true where nothing is done at all.
	held bool
	// next is what time alone will change first; zero for nothing.
	next core.Change
}

// nextSteps decides what to do about a target now.
func nextSteps(t target) steps {
	s := newSteps(t)
	for _, r := range t.corrupt {
		s.fail("CorruptLabels", fmt.Sprintf("container %s carries no valid replica number and is left alone: remove it, or correct its label", r.Name),
			fmt.Sprintf("remove %s, or correct its label", r.Name))
	}
	switch {
	case t.desired == nil:
		s.remove()
	case len(t.Foreigners) > 0:
		s.leaveTo(t.Foreigners[0])
	case t.desired.Kind == spec.Database:
		s.database()
	case t.formerDatabase() != nil:
		s.waitFor(*t.formerDatabase())
	case t.desired.Kind == spec.Job:
		s.job()
	default:
		s.deployment()
	}
	return s
}

func newSteps(t target) steps {
	s := steps{target: t, record: t.rollout, events: slices.Clone(t.events)}
	r := &s.record
	r.Attempts, r.Succeeded, r.Tries, r.Drains = clone(r.Attempts), clone(r.Succeeded), clone(r.Tries), clone(r.Drains)
	return s
}

// leaveTo has nothing done while a container of another folder is in the workload's
// way: whatever was taken, a name, a number or a volume, might be that one's.
func (s *steps) leaveTo(f core.Foreigner) {
	s.held = true
	p := problem{reason: "ForeignContainer", message: foreignProblem(f), remedy: foreignRemedy(f), final: true}
	s.waitFor(wait{message: p.message, remedy: p.remedy, problem: &p})
}

// add plans an action on a replica, unless one is under way or planned already (of
// each object at most one action is under way at a time), or it failed just before.
// It reports whether it did.
func (s *steps) add(kind core.ActionKind, r core.Replica, cause string, args ...any) bool {
	if r.InFlight != "" || s.planned(r.ID) || !isStart(kind) && !s.try(r) {
		return false
	}
	a := core.Action{
		Kind: kind, Workload: s.Workload, Object: r.Name, ID: r.ID, Number: r.Number, Revision: r.Revision,
		Cause: fmt.Sprintf(cause, args...),
	}
	switch kind {
	case core.StopReplica:
		a.Grace = s.grace(r)
		if made := s.madeFrom(r); made != nil && r.Number > 0 { // a hook's container has no number
			a.Lifecycle = made.Template.PreStop
		}
	case core.StartReplica:
		s.afterStart(&a, s.madeFrom(r))
	case core.CreateReplica:
		a.Spec = s.made(r.Revision)
		s.afterStart(&a, a.Spec)
		a.Object = spec.ContainerName(s.Project, a.Spec, r.Number)
		a.Anonymous = maps.Clone(s.record.Anonymous[r.Number])
		a.Joins, _ = s.joins(a.Spec)
	case core.PrepareUpdate, core.CheckUpdate:
		a.Spec, a.ImageID = s.desired, s.record.ImageID
		a.Check, a.Backup = s.changesServer(r), kind == core.PrepareUpdate && s.desired.Backup.BeforeUpdate
	case core.UpdateReplica:
		a.RestartPolicy = restartPolicy(s.desired.RestartPolicy)
	case core.ConnectReplica:
		a.Connect, a.Disconnect = s.moves(r)
	}
	switch {
	case s.isOfSuccessor(a): // its attempt did not end
	case kind == core.StopReplica: // also where tend is killed before the replica has ended
		s.record = noteStop(s.record, a)
	case kind == core.RemoveReplica && r.Kind != spec.Job:
		s.record.Attempts = with(s.record.Attempts, r.Number, func(a *core.Attempt) { a.Ours = true })
	}
	s.actions = append(s.actions, a)
	return true
}

// afterStart adds the post_start commands of what a container is made from to an action
// that starts it.
func (s *steps) afterStart(a *core.Action, made *spec.Workload) {
	if made != nil && len(made.Template.PostStart) > 0 {
		a.Lifecycle, a.StartTimeout, a.Grace = made.Template.PostStart, made.ProgressDeadline, s.desired.StopGrace
	}
}

// made returns the spec that a replica of a revision is made from: the one to keep, or the
// last one that worked.
func (t *target) made(revision string) *spec.Workload {
	if former := t.History[revision]; former != nil && revision != t.desired.Revision {
		return t.Spec.WithTemplateOf(former)
	}
	return t.desired
}

// planned reports whether there is an action on a container already.
func (s *steps) planned(id string) bool {
	return s.plannedOn(id) != ""
}

// plannedOn returns the kind of the action that is planned on a container; empty for none.
func (s *steps) plannedOn(id string) core.ActionKind {
	if i := slices.IndexFunc(s.actions, func(a core.Action) bool { return a.ID == id }); id != "" && i >= 0 {
		return s.actions[i].Kind
	}
	return ""
}

// defaultGrace is the engine's and Compose's.
const defaultGrace = 10 * time.Second

// grace is the time between a replica's stop signal and SIGKILL: what is
// written, or where nothing is any more, what the container was created with.
func (t *target) grace(r core.Replica) time.Duration {
	if t.desired == nil {
		return cmp.Or(r.StopTimeout, defaultGrace)
	}
	return t.desired.StopGrace
}

func (s *steps) tell(kind core.EventType, reason, message string, args ...any) {
	s.events = append(s.events, s.event(kind, reason, message, args...))
}

// fail reports what is wrong with a replica; the first problem stands.
func (s *steps) fail(reason, message, remedy string) {
	s.report(problem{reason: reason, message: message, remedy: remedy})
}

func (s *steps) report(p problem) {
	if s.failure == nil {
		s.failure = &p
	}
}

// lookAgain has the plan made again at an instant, at which time alone changes what is
// said.
func (s *steps) lookAgain(at time.Time, what string, args ...any) {
	if at.After(s.Now) && (s.next.At.IsZero() || at.Before(s.next.At)) {
		s.next = core.Change{At: at, What: fmt.Sprintf(what, args...)}
	}
}

// try notes a try of an action on a container other than a start, and reports whether
// it is due: after a failure only when the back-off is over. Starts are paced by their
// attempts.
func (s *steps) try(r core.Replica) bool {
	before := s.record.Tries[r.ID]
	if before.State != r.State {
		before = core.Try{State: r.State}
	}
	if !s.retry(r.Name, before) {
		return false
	}
	s.record.Tries[r.ID] = core.Try{State: r.State, Count: before.Count + 1, At: s.Now}
	return true
}

// tryBackoff paces what fails on containers that exist. It begins below the
// restarts' as an engine that was busy is soon free again.
var tryBackoff = spec.Restart{Delay: time.Second, MaxDelay: 300 * time.Second}

// retry reports whether something may be tried again, and where it may not yet, why
// the last try has failed.
func (s *steps) retry(object string, last core.Try) bool {
	pause := delay(tryBackoff, last.Count+1)
	if at := last.At.Add(pause); last.Error != "" && at.After(s.Now) {
		s.lookAgain(at, "%s is tried again", object)
		s.fail("BackOff", fmt.Sprintf("%s: %s; back-off %s before try %d", object, last.Error, pause, last.Count+1), correctTry)
		return false
	}
	return true
}

// lacking returns what a new container of a revision has to wait for: missing
// resources, or else dependencies that do not hold yet; nil where there is nothing.
func (t *target) lacking(revision string) *wait {
	if missing := t.missingFor(revision); len(missing) > 0 {
		return waitForMissing(missing)
	}
	var w wait
	made := t.made(revision)
	_, without := t.joins(made)
	needs := func(name, reason string) {
		if reason != "" && !slices.Contains(w.dependencies, name) {
			w.message = cmp.Or(w.message, reason)
			w.dependencies = append(w.dependencies, name)
		}
	}
	for _, d := range t.Dependencies {
		needs(d.Name, d.Unmet())
		if d.Restart && !d.Converged && revision == t.Spec.Revision && !slices.Contains(made.Joins(), d.Name) {
			needs(d.Name, fmt.Sprintf("waiting for %s to be at its spec", d.Name))
		}
	}
	for _, service := range without {
		needs(service, fmt.Sprintf("waiting for %s to run as it is written, to be joined", service))
	}
	if w.message == "" {
		return nil
	}
	return &w
}

// missingFor returns the missing resources that a container of a revision needs.
func (in Input) missingFor(revision string) []core.Resource {
	if revision == in.Spec.Revision {
		return in.Missing
	}
	made := in.History[revision]
	if made == nil {
		return nil
	}
	needs := map[core.ResourceKind][]string{
		core.NetworkResource: made.Networks, core.VolumeResource: made.Volumes, core.ImageResource: made.Images(),
	}
	return slices.DeleteFunc(slices.Concat(in.Missing, in.MissingFormer), func(r core.Resource) bool { return !slices.Contains(needs[r.Kind], r.Name) })
}

// waitForMissing returns the wait for missing resources. It is quiet while all of them are on
// their way.
func waitForMissing(missing []core.Resource) *wait {
	var problems, remedies []string
	w := wait{quiet: true}
	for _, r := range missing {
		problems = append(problems, resourceProblem(r))
		if remedy := resourceRemedy(r); remedy != "" {
			remedies = append(remedies, remedy)
		}
		w.quiet = w.quiet && resourceProblem(r) == r.String()
		if r.DataOf != "" && w.problem == nil {
			w.problem = &problem{reason: "VolumeMissing", message: resourceProblem(r), remedy: resourceRemedy(r), final: true}
		}
	}
	w.fault = !w.quiet
	w.message, w.remedy = "waiting for "+strings.Join(problems, ", "), strings.Join(remedies, "; ")
	return &w
}

// waitFor notes what creations wait for.
func (s *steps) waitFor(w wait) {
	s.wait = w
	if w.problem != nil {
		s.report(*w.problem)
	}
}

// cannotBeMade returns what is missing of the image, the networks and the volumes of
// the desired revision; nil where nothing is. Nothing is stopped for what cannot be made.
func (t *target) cannotBeMade() *wait {
	missing := t.missingFor(t.desired.Revision)
	if len(missing) == 0 {
		return nil
	}
	return waitForMissing(missing)
}

// Unmet says why the condition of a dependency does not hold yet, or nothing.
func (d Dependency) Unmet() string {
	switch {
	case !d.Known && !d.Required:
		return ""
	case !d.Known:
		return fmt.Sprintf("waiting for %s, which the project does not have", d.Name)
	case d.Condition == spec.DependencyCompleted && !d.Completed:
		return fmt.Sprintf("waiting for %s to complete", d.Name)
	case d.Condition == spec.DependencyHealthy && d.Ready == 0:
		return fmt.Sprintf("waiting for %s to be healthy", d.Name)
	case d.Condition == spec.DependencyStarted && d.Running == 0 && !d.Completed:
		return fmt.Sprintf("waiting for %s to start", d.Name)
	}
	return ""
}

// create makes replicas of a revision, when all they need is there and their
// turn has come. It returns the numbers of those that come: now, or in a moment.
func (s *steps) create(revision string, numbers []int, cause string, args ...any) (come []int) {
	if w := s.lacking(revision); w != nil {
		s.waitFor(*w)
		return nil
	}
	if s.desired.ContainerName != "" && len(s.replicas) > 0 {
		s.waitFor(wait{message: fmt.Sprintf("waiting for the name %s, which another container carries", s.desired.ContainerName)})
		return nil
	}
	for _, n := range numbers {
		a := s.attempts(n, revision, nil)
		last := s.endingOf(a, nil)
		at, pause := s.turn(a, nil, last, 0)
		if at.After(s.Now) {
			s.lookAgain(at, "replica %d is made", n)
			if last == interrupted {
				come = append(come, n)
				continue
			}
			why := "does not stay"
			if a.Error != "" {
				why = "could not be created: " + a.Error
			}
			s.fail("BackOff", fmt.Sprintf("replica %d %s; back-off %s before try %d", n, why, pause, a.Count+1), correctTry)
			continue
		}
		if s.add(core.CreateReplica, core.Replica{Number: n, Revision: revision}, cause, args...) {
			s.noteAttempt(n, a, last, s.actions[len(s.actions)-1].Lifecycle)
			come = append(come, n)
		}
	}
	return come
}

// free returns up to n numbers for replicas of a revision, the lowest that no container
// carries, and none that comes. One at which another revision waits for its next try is
// that one's: else the two would be tried in turn, each as if for the first time. Where a
// number has an anonymous volume, a higher one than is wanted would begin with an empty
// one; there the wanted revision takes what another waits for.
func (s *steps) free(revision string, n int, come ...int) []int {
	taken := map[int]bool{}
	for _, number := range come {
		taken[number] = true
	}
	for _, r := range s.replicas {
		taken[r.Number] = true
	}
	bound := s.bindsNumbers()
	var numbers []int
	for i := 1; len(numbers) < n && !(bound && i > s.desired.Replicas); i++ {
		a := s.record.Attempts[i]
		others := s.waits(a) && a.Revision != revision && !(bound && revision == s.desired.Revision)
		if !taken[i] && !others {
			numbers = append(numbers, i)
		}
	}
	return numbers
}

// bindsNumbers reports whether no other number than a wanted one will do. Data belongs to
// numbers, in anonymous volumes, where no surge was asked for, which needs a number more.
// An ingress has one number: its container is named after its port alone.
func (s *steps) bindsNumbers() bool {
	if s.desired.Kind == spec.Ingress {
		return true
	}
	if s.desired.SurgeAsked {
		return false
	}
	for _, mounts := range s.record.Anonymous {
		for target := range mounts {
			if !s.desired.Shares(target) {
				return true
			}
		}
	}
	return false
}

// waits reports whether a start has failed in the rollout under way, and is to be tried
// again.
func (s *steps) waits(a core.Attempt) bool {
	return a.Error != "" && !a.At.Before(s.record.StartedAt)
}

// room is how many containers may be created without exceeding a limit. What
// is leaving still holds its memory, its ports and its number. Only what cannot
// be removed is not waited for.
func (s *steps) room(limit int) int {
	return limit - s.number(func(r replica) bool { return r.class != leftover || r.InFlight != "" || s.planned(r.ID) })
}

// superviseRestarts gives the containers the restart policy of the spec, and reports
// those that the engine starts again and again. Where a policy restarts, the engine
// does it, also while tend is away; tend starts what the engine leaves alone: what
// was stopped or killed, or failed to start, or is to be restarted by tend only.
func (s *steps) superviseRestarts() {
	for _, r := range s.replicas {
		s.giveRestartPolicy(r)
		// The count includes the start to come, and the first one is no news.
		if r.State == core.Restarting && s.attempts(r.Number, r.revision, &r).Count > 2 {
			s.fail("CrashLoopBackOff", fmt.Sprintf("%s %s; the engine starts it again, as it has restart: %s", r.Name, r.why(), r.RestartPolicy),
				s.seeLogs("correct the spec; meanwhile the engine goes on starting it"))
		}
	}
}

// giveRestartPolicy gives a container the restart policy of the spec, in place: where
// restart was edited, or an earlier tend has switched it off.
func (s *steps) giveRestartPolicy(r replica) {
	has, written := restartPolicy(r.RestartPolicy), restartPolicy(s.desired.RestartPolicy)
	if has != written && r.class != leftover {
		s.add(core.UpdateReplica, r.Replica, "%s has restart: %s and is to have restart: %s", r.Name, has, written)
	}
}

// restartPolicy is what the engine makes of a policy.
func restartPolicy(policy string) string { return cmp.Or(policy, "no") }

// Release returns what is to be done to a workload that tend keeps no longer, and that is
// left to the engine and to Compose.
func Release(in Input) []core.Action {
	s := newSteps(chooseTarget(classify(in)))
	for _, r := range s.replicas {
		s.giveRestartPolicy(r)
	}
	return s.actions
}

// removeLeftovers removes what can never run again.
func (s *steps) removeLeftovers() {
	for _, r := range s.replicas {
		switch {
		case r.class != leftover:
		case r.Broken != "":
			s.add(core.RemoveReplica, r.Replica, "%s has lost %s, and a start does not give it back", r.Name, r.Broken)
		case r.State == core.Exited:
			s.add(core.RemoveReplica, r.Replica, "number %d belongs to another container", r.Number)
		case r.State == core.Dead:
			s.add(core.RemoveReplica, r.Replica, "%s is dead: a removal failed half-way", r.Name)
		default:
			if s.add(core.RemoveReplica, r.Replica, "%s was created and not started", r.Name) {
				s.record.Attempts = with(s.record.Attempts, r.Number, func(a *core.Attempt) { noteFailed(a, "it was not started") })
			}
		}
	}
}
