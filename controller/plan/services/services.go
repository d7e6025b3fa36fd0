// Package services decides what becomes of a workload on a Docker Swarm: Compute and
// ComputeProject are pure, total and deterministic, as those of package plan. Swarm places
// tasks, starts others in their place and replaces them in an update; what is decided here
// is which service there is to be, and with which spec.
package services

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/plan"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/swarm/convert"
	"github.com/tendhq/tend/controller/swarm/manager"
)

// Input is all that a plan for one workload may depend on.
type Input struct {
	Now time.Time
	// Since is since when the Swarm has been looked at without a break. That nothing came
	// forward before, as there was no tend or no quorum, is no fault of a rollout's.
	Since time.Time
	// Project is what is written; its workloads are not read.
	Project  *spec.Project
	Workload string
	// Spec is the desired state; nil asks that the workload be taken away.
	Spec       *spec.Workload
	Generation int64
	// Service is the workload's; nil where there is none. Hooks are the jobs of its
	// pre-rollout hooks. Tasks are those of all of them.
	Service *manager.Service
	Hooks   []manager.Service
	Tasks   []manager.Task
	Nodes   []manager.Node
	// Foreign is what is in the way of the workload's name; empty where nothing is.
	Foreign string
	// Objects are the networks, secrets and configs that are there, with the names of the
	// versions that the present contents have.
	Objects convert.Objects
	// Held are the nodes of volumes of the driver local, by the volume's name.
	Held map[string]string
	// Load counts the project's tasks on each node.
	Load map[string]int
	// Rollout and Status are what the last plan said.
	Rollout core.Rollout
	Status  core.Status
	// Dependencies are the states of Spec.DependsOn; Dependents are workloads that still
	// run and depend on this one.
	Dependencies []plan.Dependency
	Dependents   []string
	// History are the workload's earlier specs by revision, to go back to.
	History map[string]*spec.Workload
	// Intent is what people asked for.
	Intent core.Intent
	// Taken is the last try to create the service that failed as a service of somebody else
	// has its name; its Count is 0 where none has.
	Taken core.Try
	// Refused is what the Swarm has refused last, until something was done; its Count is 0
	// where that is nothing.
	Refused core.Try
}

// Kind says what an action does.
type Kind string

// The kinds of actions.
const (
	CreateService Kind = "create-service"
	UpdateService Kind = "update-service"
	AskRegistry   Kind = "ask-registry"
	RemoveService Kind = "remove-service"
	CreateNetwork Kind = "create-network"
	RemoveNetwork Kind = "remove-network"
	CreateSecret  Kind = "create-secret"
	RemoveSecret  Kind = "remove-secret"
	CreateConfig  Kind = "create-config"
	RemoveConfig  Kind = "remove-config"
)

// Action is one thing to do now.
type Action struct {
	Kind Kind
	// Workload is the workload's name; empty for the project's own objects.
	Workload string
	// Object is the name of what is acted on. ID is its, where it exists, and Version what
	// an update is made from.
	Object, ID string
	Version    uint64
	// Spec is what a service is to be.
	Spec swarm.ServiceSpec
	// Revision is the one whose image the registry is asked for.
	Revision string
	// Key is the Compose key of a network, secret or config to create.
	Key string
	// Cause says why, in words for a person.
	Cause string
}

// String is an action in one line.
func (a Action) String() string { return fmt.Sprintf("%s %s: %s", a.Kind, a.Object, a.Cause) }

// Plan is what to do now and what follows from it.
type Plan struct {
	Actions []Action
	Rollout core.Rollout
	Status  core.Status
	Events  []core.Event
	// Next is the instant at which time alone could change the plan; zero for never.
	Next time.Time
}

// String is the plan as text, as the tests compare it.
func (p Plan) String() string {
	var b strings.Builder
	for _, a := range p.Actions {
		fmt.Fprintln(&b, a)
	}
	for _, e := range p.Events {
		fmt.Fprintf(&b, "event %s %s: %s\n", e.Type, e.Reason, e.Message)
	}
	fmt.Fprintf(&b, "status %s: %s\n", p.Status.Outcome, p.Status)
	if p.Status.Obstacle != "" {
		fmt.Fprintf(&b, "obstacle %s\n", p.Status.Obstacle)
	}
	return b.String()
}

// Compute plans one workload, in four stages. Each returns a value of its own and changes
// nothing of what an earlier one has made.
func Compute(in Input) Plan {
	v := classify(in)
	t := chooseTarget(v)
	s := nextSteps(t)
	return report(s)
}

// retake is how long a name that somebody else has is left alone.
const retake = time.Minute

// takenUntil is when a name that somebody else has is tried again; zero where nobody has it.
func (in Input) takenUntil() time.Time {
	if in.Taken.Count == 0 {
		return time.Time{}
	}
	return in.Taken.At.Add(retake)
}

// watched is an instant, or when the Swarm was looked at again where that was later.
func (in Input) watched(since time.Time) time.Time {
	if since.Before(in.Since) {
		return in.Since
	}
	return since
}

// remembers reports whether a revision can be gone back to.
func (in Input) remembers(revision string) bool { return in.History[revision] != nil }

func (in Input) event(t core.EventType, reason, message string, args ...any) core.Event {
	return core.Event{Type: t, Workload: in.Workload, Reason: reason, Message: fmt.Sprintf(message, args...)}
}

// short is how a revision is shown to a person.
func short(revision string) string { return revision[:min(8, len(revision))] }

// plural counts things in a sentence.
func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// RevisionOf is the revision that a task was made from.
func RevisionOf(t manager.Task) string {
	if c := t.Spec.ContainerSpec; c != nil {
		return c.Labels[spec.LabelRevision]
	}
	return ""
}

// over are the states of a task whose container will not run again.
var over = []swarm.TaskState{
	swarm.TaskStateComplete, swarm.TaskStateShutdown, swarm.TaskStateFailed, swarm.TaskStateRejected, swarm.TaskStateRemove, swarm.TaskStateOrphaned,
}

// Over reports whether a task has ended, or is to end before any node was told of it.
func Over(t manager.Task) bool { return slices.Contains(over, t.State) || neverRan(t) }

// Leaving reports whether a task is being ended.
func Leaving(t manager.Task) bool { return ends(t) && !Over(t) }

// ends reports whether a task is to end, or has.
func ends(t manager.Task) bool {
	return t.DesiredState == swarm.TaskStateShutdown || t.DesiredState == swarm.TaskStateRemove
}

// neverRan reports whether a task is to end that no node was told of.
func neverRan(t manager.Task) bool {
	return ends(t) && slices.Contains([]swarm.TaskState{swarm.TaskStateNew, swarm.TaskStateAllocated, swarm.TaskStatePending}, t.State)
}
