// Package plan decides. Compute and ComputeProject are the only places in tend
// where it is decided what to do; they are pure, total and deterministic: the
// same input gives the same plan, a problem becomes a condition and not an
// error, and the clock is an input. A plan holds only actions that are safe at
// this instant; what must wait is planned again when something changed, or at
// the instant that the plan names as Next.
package plan

import (
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
)

// Input is all that a plan for one workload may depend on.
type Input struct {
	Now time.Time
	// Project is the project's name, by which containers are named.
	Project  string
	Workload string
	// Spec is the desired state; nil asks that the workload be taken away.
	Spec       *spec.Workload
	Generation int64
	// Replicas are all containers of the workload, those being created included.
	Replicas []core.Replica
	// Rollout and Status are what the last plan said.
	Rollout core.Rollout
	Status  core.Status
	// Dependencies are the states of Spec.DependsOn, in any order.
	Dependencies []Dependency
	// HookRuns are the containers of pre-rollout hooks.
	HookRuns []core.HookRun
	// Intent is what people asked for.
	Intent core.Intent
	// History are the workload's earlier specs by revision, to go back to.
	History map[string]*spec.Workload
	// Missing are the networks, volumes and images that a container of the written
	// revision needs and that are not there yet. MissingFormer are the images that are not
	// there of the former revisions that it may go back to.
	Missing, MissingFormer []core.Resource
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
	// Published are the containers whose endpoint is published.
	Published map[string]bool
	// Foreigners are the containers of another folder that are in the workload's way:
	// they carry its name, its container's name, or are on its volumes.
	Foreigners []core.Foreigner
	// Neighbours are the containers of an Ingress's service, and those of the other
	// ingresses of that: they may publish its host port.
	Neighbours []core.Replica
	// Joined are the containers of the services whose namespaces or volumes the
	// workload's containers share. Joiners are the containers of other workloads that
	// share those of this one's, and HookJoiners those that run hooks; none of them
	// outlives what it has joined.
	Joined      []Joined
	Joiners     []core.Replica
	HookJoiners []core.HookRun
	// Dependents names workloads that still run and depend on this one; it is
	// not taken away before them.
	Dependents []string
}

// Dependency is the state of a workload that this one depends on.
type Dependency struct {
	spec.Dependency
	// Known is false where the project has no such workload.
	Known bool
	// Running and Ready count its containers, and Running those of a Job that have run, too, as
	// docker compose takes them for started; Completed is true for one that ran to completion
	// at its current revision; Converged is its status.
	Running, Ready       int
	Completed, Converged bool
}

// Plan is what to do now and what follows from it.
type Plan struct {
	Actions []core.Action
	Rollout core.Rollout
	Status  core.Status
	Events  []core.Event
	// Endpoints are the replicas to publish.
	Endpoints []core.Endpoint
	// Next is the instant at which time alone could change the plan; zero for
	// never.
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
	fmt.Fprintf(&b, "status %s\n", p.Status)
	for _, c := range p.Status.Conditions {
		fmt.Fprintf(&b, "condition %s=%t %s: %s\n", c.Type, c.Status, c.Reason, c.Message)
	}
	if !p.Next.IsZero() {
		fmt.Fprintf(&b, "next %s\n", p.Next.UTC().Format("15:04:05"))
	}
	return b.String()
}

// Compute plans one workload, in four stages. Each returns a value of its own and
// changes nothing of what an earlier one has made.
func Compute(in Input) Plan {
	v := classify(in)
	t := chooseTarget(v)
	s := nextSteps(t)
	return report(s)
}

// remembers reports whether a revision can be gone back to.
func (in Input) remembers(revision string) bool {
	return in.History[revision] != nil
}

// event returns an event of the workload.
func (in Input) event(t core.EventType, reason, message string, args ...any) core.Event {
	return core.Event{Type: t, Workload: in.Workload, Reason: reason, Message: fmt.Sprintf(message, args...)}
}

// seeLogs returns a remedy that begins with reading the logs of the replicas.
func (in Input) seeLogs(then string) string {
	return fmt.Sprintf("see `tend logs %s`, and %s", in.Workload, then)
}

// advised returns a message followed by its remedy, if there is one.
func advised(message, remedy string) string {
	if remedy == "" {
		return message
	}
	return message + ": " + remedy
}

// problem is what is wrong with a replica, and what a person can do about it.
type problem struct {
	reason, message, remedy string
	// final is true where no waiting helps.
	final bool
}

// wait is what has to happen before more can be done; the zero value is nothing.
type wait struct {
	// message names it, and remedy is what a person can do about it.
	message, remedy string
	// dependencies are the workloads among it.
	dependencies []string
	// quiet is true where it is on its way, so that no event tells of it; fault where
	// it is the rollout's own, so that its time counts against the rollout.
	quiet, fault bool
	// problem is what is reported as wrong besides; nil where nothing is.
	problem *problem
}

// The remedies of more than one problem.
const (
	correctHealth = "correct what fails; or the health check, where it is not the service that fails"
	correctTry    = "correct what the message says; it is tried again after the back-off"
)

func clone[K comparable, V any](m map[K]V) map[K]V {
	if m == nil {
		return map[K]V{}
	}
	return maps.Clone(m)
}

// soonest returns the earlier of two instants; a zero instant means never.
func soonest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

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
