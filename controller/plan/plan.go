package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
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
	// Missing names networks, volumes and the image that a container needs
	// and that are not there yet, as "network shop_backend".
	Missing []string
	// Dependents names workloads that still run and depend on this one; it is
	// not taken away before them.
	Dependents []string
}

// Dependency is the state of a workload that this one depends on.
type Dependency struct {
	spec.Dependency
	// Known is false where the project has no such workload.
	Known bool
	// Running and Ready count its containers; Completed is true for a Job that
	// succeeded at its current revision; Converged is its status.
	Running, Ready       int
	Completed, Converged bool
}

// Compute plans one workload.
func Compute(in Input) Plan {
	p := newPlanner(in)
	switch {
	case in.Spec == nil:
		p.remove()
	case in.Spec.Kind == spec.Job:
		p.job()
	case in.Spec.Kind == spec.Database:
		p.database()
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
	// failure is the condition ReplicaFailure, when there is one to report;
	// failed is why a Job is given up.
	failure, failed *Condition
	// waiting says what creations wait for.
	waiting string
}

// replica is a Replica with what the policies want to know of it.
type replica struct {
	Replica
	current   bool   // made from the template of the spec
	revision  string // what it was made from, also where tend did not make it
	class     class
	available bool // counts for maxUnavailable
}

func newPlanner(in Input) *planner {
	p := &planner{Input: in}
	p.plan.Rollout = in.Rollout
	p.plan.Rollout.Workload = in.Workload
	p.plan.Rollout.Attempts = maps.Clone(in.Rollout.Attempts)
	if p.plan.Rollout.Attempts == nil {
		p.plan.Rollout.Attempts = map[int]Attempt{}
	}
	p.plan.Rollout.Succeeded = maps.Clone(in.Rollout.Succeeded)
	if p.plan.Rollout.Succeeded == nil {
		p.plan.Rollout.Succeeded = map[int]bool{}
	}
	p.plan.Rollout.Tries = p.openTries()
	p.Dependencies = slices.SortedStableFunc(slices.Values(in.Dependencies), func(a, b Dependency) int { return cmp.Compare(a.Name, b.Name) })
	for _, r := range slices.SortedStableFunc(slices.Values(in.Replicas), func(a, b Replica) int {
		return cmp.Or(cmp.Compare(a.Number, b.Number), cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	}) {
		if r.Number < 1 {
			p.fail("CorruptLabels", fmt.Sprintf("container %s carries no valid replica number and is left alone: remove it, or correct its label", r.Name))
			continue
		}
		p.replicas = append(p.replicas, p.look(r))
	}
	if in.Spec != nil && p.plan.Rollout.Revision != in.Spec.Revision {
		p.beginRollout()
	}
	return p
}

// look finds out what the policies want to know of a replica.
func (p *planner) look(r Replica) replica {
	rep := replica{Replica: r}
	rep.revision, rep.current = revisionOf(r, p.Spec)
	final := r.State == Exited && p.mayEnd(r)
	if rep.current && rep.Broken == "" && !final {
		rep.Broken = p.lostNetwork(r)
	}
	rep.class = classify(rep.Replica, p.Now)
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

// lostNetwork names a network that the container was made to join and has
// left. The engine keeps the names also of a container that has exited.
func (p *planner) lostNetwork(r Replica) string {
	if !IsRunning(r) && r.State != Exited {
		return ""
	}
	for _, n := range p.Spec.Networks {
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
	r.Revision = p.Spec.Revision
	r.StartedAt, r.ProgressAt = p.Now, p.Now
	r.Complete, r.Updated, r.Available, r.Old = false, 0, 0, 0
	clear(r.Succeeded)
	switch old := p.count(func(r replica) bool { return !r.current }); {
	case old > 0:
		p.event(Normal, "RolloutStarted", "rolling %s to revision %s", plural(old, "replica"), short(r.Revision))
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
	if kind == StopReplica {
		a.Grace = p.grace()
	}
	p.plan.Actions = append(p.plan.Actions, a)
	return true
}

// planned says whether the plan has an action on a container already.
func (p *planner) planned(id string) bool {
	return id != "" && slices.ContainsFunc(p.plan.Actions, func(a Action) bool { return a.ID == id })
}

// defaultGrace is Compose's, for workloads whose spec is gone.
const defaultGrace = 10 * time.Second

func (p *planner) grace() time.Duration {
	if p.Spec == nil {
		return defaultGrace
	}
	return p.Spec.StopGrace
}

func (p *planner) event(t EventType, reason, message string, args ...any) {
	p.plan.Events = append(p.plan.Events, Event{Type: t, Workload: p.Workload, Reason: reason, Message: fmt.Sprintf(message, args...)})
}

// fail reports a ReplicaFailure; the first one stands.
func (p *planner) fail(reason, message string) {
	if p.failure == nil {
		p.failure = &Condition{Type: ReplicaFailure, Status: true, Reason: reason, Message: message}
	}
}

// short is how a revision is shown to a person.
func short(revision string) string {
	return revision[:min(8, len(revision))]
}

// plural counts things in a sentence.
func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
