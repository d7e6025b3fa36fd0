package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tendhq/tend/controller/spec"
)

// Input is all that a plan for one workload may depend on.
type Input struct {
	Now      time.Time
	Workload string
	// Spec is the desired state; nil asks that the workload be taken away.
	Spec       *spec.Workload
	Generation int64
	// Replicas are all containers of the workload, those being created included.
	Replicas []Replica
	// Rollout and Status are what the last plan said.
	Rollout Rollout
	Status  Status
	// Dependencies are the states of Spec.DependsOn, in any order.
	Dependencies []Dependency
	// HookRuns are the containers of pre-rollout hooks.
	HookRuns []HookRun
	// Intent is what people asked for.
	Intent Intent
	// History are the workload's earlier specs by revision, to go back to.
	History map[string]*spec.Workload
	// Missing are the networks, volumes and the image that a container of the
	// written revision needs and that are not there yet.
	Missing []Resource
	// Networks are the IDs of the written networks that exist, by name; empty of one
	// that does not.
	Networks map[string]string
	// ImageID is what the image's name in Spec stands for now; empty while the image
	// is missing.
	ImageID string
	// Subscribers counts those who follow the endpoints; Acknowledged are the
	// containers whose withdrawal all of them have in force.
	Subscribers  int
	Acknowledged map[string]bool
	// Foreigners are the containers of another folder that are in the workload's way:
	// they carry its name, its container's name, or are on its volumes.
	Foreigners []Foreigner
	// Dependents names workloads that still run and depend on this one; it is
	// not taken away before them.
	Dependents []string
}

// Dependency is the state of a workload that this one depends on.
type Dependency struct {
	spec.Dependency
	// Known is false where the project has no such workload.
	Known bool
	// Running and Ready count its containers; Completed is true for one that ran
	// to completion at its current revision; Converged is its status.
	Running, Ready       int
	Completed, Converged bool
}

// Compute plans one workload.
func Compute(in Input) Plan {
	p := newPlanner(in)
	switch {
	case in.Spec == nil:
		p.remove()
	case p.obstructed():
	case in.Spec.Kind == spec.Database:
		p.database()
	case p.wasDatabase():
	case in.Spec.Kind == spec.Job:
		p.job()
	default:
		p.deployment()
	}
	return p.finish()
}

// planner gathers one plan. Its fields are set once by newPlanner; the policies
// in deployment.go, database.go, job.go and removal.go only add to plan.
type planner struct {
	Input
	plan Plan
	// replicas in order of number, without those whose labels are corrupt.
	replicas []replica
	// failure is what is wrong with a replica, when there is something to report.
	failure *problem
	// waiting says what creations wait for; quiet where that is only on its
	// way, and fault where it is the rollout's own. remedy is what a person can do
	// about it, and waitsFor are the dependencies among it.
	waiting      string
	remedy       string
	waitsFor     []string
	quiet, fault bool
	// held says why nothing is done at all.
	held string
	// old counts the live replicas that are not current; the other counts are
	// in plan.Status.
	old int
	// written is the spec as written, wanted the revision that people want; Spec
	// is what is being kept, and not at that revision where it has failed.
	written *spec.Workload
	wanted  string
}

// replica is a Replica with what the policies want to know of it.
type replica struct {
	Replica
	current   bool   // made from the template of the spec, and from its image as it is now
	rebuilt   bool   // made from the template of the spec, and its image is another now
	revision  string // what it was made from, also where tend did not make it
	class     class
	available bool // counts for maxUnavailable
}

func newPlanner(in Input) *planner {
	p := &planner{Input: in, written: in.Spec}
	r := &p.plan.Rollout
	*r = in.Rollout
	r.Workload = in.Workload
	r.Attempts = clone(in.Rollout.Attempts)
	r.Succeeded = clone(in.Rollout.Succeeded)
	r.Anonymous = anonymous(in.Rollout.Anonymous, in.Replicas)
	r.Drains = p.openDrains()
	r.Tries = p.openTries()
	r.Done = p.lastDone()
	p.Dependencies = slices.SortedStableFunc(slices.Values(in.Dependencies), func(a, b Dependency) int { return cmp.Compare(a.Name, b.Name) })
	p.Replicas = slices.SortedStableFunc(slices.Values(in.Replicas), func(a, b Replica) int {
		return cmp.Or(cmp.Compare(a.Number, b.Number), cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	for _, r := range p.Replicas {
		if r.Number < 1 {
			p.fail("CorruptLabels", fmt.Sprintf("container %s carries no valid replica number and is left alone: remove it, or correct its label", r.Name),
				fmt.Sprintf("remove %s, or correct its label", r.Name))
		}
	}
	p.aim(p.target())
	if p.rollBack() {
		p.aim(p.target())
	}
	return p
}

func clone[K comparable, V any](m map[K]V) map[K]V {
	if m == nil {
		return map[K]V{}
	}
	return maps.Clone(m)
}

// aim looks at the replicas with a spec in mind, and begins a rollout where
// the spec's revision is not the one under way.
func (p *planner) aim(target *spec.Workload) {
	p.Spec = oneAtATime(target, p.Replicas, p.plan.Rollout.Anonymous)
	r := &p.plan.Rollout
	begin := target != nil && (r.Revision != target.Revision || r.RestartedAt.Before(p.Intent.RestartedAt) || p.imageChanged())
	if begin {
		r.Complete = false
	}
	p.replicas = nil
	for _, replica := range p.Replicas {
		if replica.Number >= 1 {
			p.replicas = append(p.replicas, p.look(replica))
		}
	}
	if target != nil && target.Kind != spec.Database {
		p.settleNumbers() // of a Database's containers none is touched while it is not clear whose the volume is
	}
	p.tally()
	if begin {
		p.beginRollout()
	}
	if p.followsImage() {
		r.ImageID = p.ImageID
	}
	p.progress()
}

// followsImage reports whether replicas are held against what the image's name
// stands for now: only at the revision that is written, as a rollback to another
// must not bring along the image that failed, and only while the image is there.
func (p *planner) followsImage() bool {
	return p.Spec != nil && p.Spec.Revision == p.written.Revision && p.ImageID != ""
}

// madeFromAnother reports whether a container was made from another image than the
// name in the spec stands for now.
func (p *planner) madeFromAnother(r Replica) bool {
	return p.followsImage() && r.ImageID != "" && r.ImageID != p.ImageID
}

// imageChanged reports whether the image's name stands for another image than the
// rollout leads to. A record that knows of no image is judged by the containers.
func (p *planner) imageChanged() bool {
	known := p.plan.Rollout.ImageID
	if !p.followsImage() || known == p.ImageID {
		return false
	}
	return known != "" || slices.ContainsFunc(p.Replicas, p.madeFromAnother)
}

// look finds out what the policies want to know of a replica.
func (p *planner) look(r Replica) replica {
	rep := replica{Replica: r}
	rep.revision, rep.current = revisionOf(r, p.Spec)
	rep.rebuilt = rep.current && p.madeFromAnother(r)
	rep.current = rep.current && !rep.rebuilt
	rep.WasReady = r.WasReady || p.completedWith(rep)
	p.noteStarted(rep)
	if r.InFlight != CreateReplica && r.Created.Before(p.Intent.RestartedAt) || r.TakenOver {
		rep.current = false
	}
	final := r.State == Exited && p.mayEnd(r)
	if final {
		p.plan.Rollout.Done[r.ID] = r.StartedAt
	}
	if rep.Broken == "" && !final {
		rep.Broken = cmp.Or(p.lostNetwork(rep), p.goneNetwork(r))
	}
	rep.class = classify(rep.Replica, p.Now)
	if _, draining := p.plan.Rollout.Drains[r.ID]; draining {
		rep.class = leaving
	}
	switch {
	case rep.class == coming && r.InFlight == "":
		p.plan.at(r.Created.Add(leftoverGrace))
	case rep.class == exited && final:
		rep.available = true // it did what it was asked to
	default:
		rep.available = p.isAvailable(rep)
	}
	return rep
}

// completedWith says whether a replica has run since before its rollout was
// complete: each was available then. So much is known of it also where nobody
// remembers its health.
func (p *planner) completedWith(r replica) bool {
	return IsRunning(r.Replica) && p.Rollout.Complete && p.Rollout.Revision == r.revision && !r.StartedAt.After(p.Rollout.ProgressAt)
}

// lostNetwork names a network that a replica has left, where it is known which
// ones it was made to join.
func (p *planner) lostNetwork(r replica) string {
	of := p.History[r.revision]
	if p.Spec != nil && r.revision == p.Spec.Revision {
		of = p.Spec
	}
	if of == nil {
		return ""
	}
	return LostNetwork(r.Replica, of)
}

// goneNetwork names a network that an exited container was last started in and that
// is gone, also where there is another one of its name: the engine will not start
// the container again. It is empty where there is none.
func (p *planner) goneNetwork(r Replica) string {
	if r.State != Exited {
		return ""
	}
	for _, name := range slices.Sorted(maps.Keys(r.NetworkIDs)) {
		if id, known := p.Networks[name]; known && id != r.NetworkIDs[name] {
			return "network " + name
		}
	}
	return ""
}

// LostNetwork names a network that a container was made to join, from a spec, and
// has left; empty where there is none. The engine keeps the names also of a
// container that has exited.
func LostNetwork(r Replica, made *spec.Workload) string {
	if !IsRunning(r) && r.State != Exited {
		return ""
	}
	for _, n := range made.Networks {
		if _, joined := r.Addresses[n]; !joined {
			return "network " + n
		}
	}
	return ""
}

// revisionOf tells what a container was made from, and whether that is the
// spec's template. One that tend did not make is judged by Compose's own hash.
func revisionOf(r Replica, s *spec.Workload) (revision string, current bool) {
	switch {
	case s == nil:
		return r.Revision, false
	case r.Revision != "":
		return r.Revision, r.Revision == s.Revision
	case r.ConfigHash == s.ConfigHash:
		return s.Revision, true
	default:
		return "compose:" + r.ConfigHash, false
	}
}

// beginRollout starts the record of a rollout to the spec's revision.
func (p *planner) beginRollout() {
	r := &p.plan.Rollout
	first := r.Revision == ""
	rebuilt := r.Revision == p.Spec.Revision && p.imageChanged()
	switch {
	case r.RestartedAt.Before(p.Intent.RestartedAt):
		r.Hooked = "" // a restart repeats them
	case rebuilt:
		r.Hooked = "" // another image may have other migrations
		clear(r.Attempts)
	case r.Stable == p.Spec.Revision:
		r.Hooked = r.Stable // they ran when it was rolled out
	}
	r.Revision, r.RestartedAt = p.Spec.Revision, p.Intent.RestartedAt
	r.StartedAt, r.ProgressAt = p.Now, p.Now
	r.Updated, r.UpdatedReady, r.UpdatedAvailable, r.Ready, r.Available, r.Old = 0, 0, 0, 0, 0, p.old
	r.AvailableSince, r.GivenUp = time.Time{}, Failure{}
	r.Prepared, r.Refused, r.HookTry = "", "", Try{}
	clear(r.Succeeded)
	for _, replica := range p.replicas {
		if first && replica.Revision == "" && replica.InFlight == "" {
			p.event(Normal, "Adopted", "%s was made by docker compose; from now on tend keeps it", replica.Name)
		}
	}
	switch {
	case rebuilt && p.old > 0:
		p.event(Normal, "RolloutStarted", "rolling %s to what %s is now, %s", plural(p.old, "replica"), p.Spec.Image, shortImage(p.ImageID))
	case p.old > 0:
		p.event(Normal, "RolloutStarted", "rolling %s to revision %s", plural(p.old, "replica"), short(r.Revision))
	case first && p.Spec.Kind != spec.Job && p.atSpec():
		r.Complete, r.Stable = true, r.Revision // it is all there: we only did not know
	case !first:
		p.event(Normal, "RolloutStarted", "revision %s", short(r.Revision))
	}
}

func (p *planner) count(f func(replica) bool) int {
	n := 0
	for _, r := range p.replicas {
		if f(r) {
			n++
		}
	}
	return n
}

// add puts an action on a replica into the plan, unless one is under way or
// planned already (of each object at most one action is under way at a time),
// or it failed just before.
func (p *planner) add(kind ActionKind, r Replica, cause string, args ...any) bool {
	if r.InFlight != "" || p.planned(r.ID) || !p.mayTry(kind, r) {
		return false
	}
	a := Action{
		Kind: kind, Workload: p.Workload, Object: r.Name, ID: r.ID, Number: r.Number, Revision: r.Revision,
		Cause: fmt.Sprintf(cause, args...),
	}
	switch kind {
	case StopReplica:
		a.Grace = p.grace(r)
	case CreateReplica:
		a.Anonymous = maps.Clone(p.plan.Rollout.Anonymous[r.Number])
	case PrepareUpdate, CheckUpdate:
		a.ImageID = p.plan.Rollout.ImageID
	case UpdateReplica:
		a.RestartPolicy = restartPolicy(p.Spec.RestartPolicy)
	}
	if kind == StopReplica || kind == RemoveReplica {
		p.plan.Rollout.Attempts = with(p.plan.Rollout.Attempts, r.Number, func(a *Attempt) { a.Ours = true })
	}
	p.plan.Actions = append(p.plan.Actions, a)
	return true
}

// planned says whether the plan has an action on a container already.
func (p *planner) planned(id string) bool {
	return id != "" && slices.ContainsFunc(p.plan.Actions, func(a Action) bool { return a.ID == id })
}

// defaultGrace is the engine's and Compose's.
const defaultGrace = 10 * time.Second

// grace is the time between a replica's stop signal and SIGKILL: what is
// written, or where nothing is any more, what the container was created with.
func (p *planner) grace(r Replica) time.Duration {
	if p.Spec == nil {
		return cmp.Or(r.StopTimeout, defaultGrace)
	}
	return p.Spec.StopGrace
}

func (p *planner) event(t EventType, reason, message string, args ...any) {
	p.plan.Events = append(p.plan.Events, Event{Type: t, Workload: p.Workload, Reason: reason, Message: fmt.Sprintf(message, args...)})
}

// problem is what is wrong with a replica, and what a person can do about it.
type problem struct{ reason, message, remedy string }

// fail reports a ReplicaFailure; the first one stands.
func (p *planner) fail(reason, message, remedy string) {
	if p.failure == nil {
		p.failure = &problem{reason: reason, message: message, remedy: remedy}
	}
}

// seeLogs returns a remedy that begins with reading the logs of the replicas.
func (p *planner) seeLogs(then string) string {
	return fmt.Sprintf("see `tend logs %s`, and %s", p.Workload, then)
}

// The remedies of more than one problem.
const (
	correctHealth = "correct what fails; or the health check, where it is not the service that fails"
	correctTry    = "correct what the message says; it is tried again after the back-off"
)

// short is how a revision is shown to a person.
func short(revision string) string {
	return revision[:min(8, len(revision))]
}

// shortImage is how an image's ID is shown to a person, as docker images does.
func shortImage(id string) string {
	id = strings.TrimPrefix(id, "sha256:")
	return id[:min(12, len(id))]
}

// plural counts things in a sentence.
func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
