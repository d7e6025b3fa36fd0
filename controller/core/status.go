package core

import (
	"fmt"
	"slices"
	"time"
)

// ConditionType names a condition, with the words of Kubernetes where it has one.
type ConditionType string

// The conditions of a workload.
const (
	// Available: enough replicas are available (apps/v1).
	Available ConditionType = "Available"
	// Progressing: the rollout came forward or is complete (apps/v1).
	Progressing ConditionType = "Progressing"
	// ReplicaFailure: a replica cannot be made or does not keep running (apps/v1).
	ReplicaFailure ConditionType = "ReplicaFailure"
	// Complete and Failed: how a Job ended (batch/v1). Complete is true of a
	// Deployment, too, while all its replicas have ended as they may.
	Complete ConditionType = "Complete"
	Failed   ConditionType = "Failed"
)

// Condition is one aspect of a workload's status.
type Condition struct {
	Type    ConditionType
	Status  bool
	Reason  string
	Message string
	// Since is when Status last changed.
	Since time.Time
}

// Outcome is how far a workload is from its spec.
type Outcome string

// The outcomes.
const (
	// OutcomeConverged: what runs is what is written.
	OutcomeConverged Outcome = "Converged"
	// OutcomeComplete: it has converged by running to completion.
	OutcomeComplete Outcome = "Complete"
	// OutcomeMoving: actions are under way, or come next.
	OutcomeMoving Outcome = "Moving"
	// OutcomeWaiting: something has to happen or to pass first, as a dependency to
	// become ready or a back-off.
	OutcomeWaiting Outcome = "Waiting"
	// OutcomePaused: somebody holds the rollout where it is.
	OutcomePaused Outcome = "Paused"
	// OutcomeStalled: it does not converge unless somebody changes something.
	OutcomeStalled Outcome = "Stalled"
)

// Status is what a workload is like, seen from its spec.
type Status struct {
	Workload string
	// ObservedGeneration is the generation of the spec that this was made from.
	ObservedGeneration int64
	// Desired is how many replicas are asked for.
	Desired int
	// Replicas counts the containers, Updated those of the current revision,
	// Ready and Available as in apps/v1.
	Replicas, Updated, Ready, Available, Unavailable int
	// CurrentRevision is the last one whose rollout completed, UpdateRevision the one in
	// force, and WantedRevision the one that people want: that is not in force where it
	// has failed.
	CurrentRevision, UpdateRevision, WantedRevision string
	Conditions                                      []Condition
	// Converged is true when what runs is what is written, the rollout that led
	// there can no longer be taken back, and nothing is under way.
	Converged bool
	// Paused is true where the rollout is held, or the next one will be.
	Paused  bool
	Outcome Outcome
	// Obstacle is what keeps the workload from converging, or is wrong though it has
	// converged, and Remedy what a person can do about it, in a sentence each. Both are
	// empty where it has converged and nothing is wrong.
	Obstacle, Remedy string
	// WaitsFor names the dependencies that have to come first.
	WaitsFor []string
	// Next is what time alone will change first; zero for nothing.
	Next Change
	// Deadline is when the rollout fails unless it makes progress before; zero while it
	// is complete, paused or waits for something that is not its fault.
	Deadline time.Time
	// ReplicaStatuses are the containers with a number, in its order.
	ReplicaStatuses []ReplicaStatus
}

// Change is what time alone will change.
type Change struct {
	At time.Time
	// What will be so then, in half a sentence.
	What string
}

// ReplicaStatus is what one replica is like.
type ReplicaStatus struct {
	// ID is the container's.
	ID string
	// Health is the result of tend's own probes, or of the container's health check.
	Health Health
	// Ready is true where it runs and does what it should.
	Ready bool
	// Phase is where it is in its life.
	Phase Phase
	// Restarts counts the starts after the first, as the back-off does.
	Restarts int
	// Blocker says why it is not ready, or not as the spec asks for, in a sentence;
	// empty where it is both.
	Blocker string
	// Node is the host name of the node of a Swarm that it is on; empty while it is on none, and
	// on one machine.
	Node string
}

// Phase is where a replica is in its life.
type Phase string

// The phases.
const (
	// PhaseCreating: it is being created or started.
	PhaseCreating Phase = "creating"
	// PhaseStarting: it runs and has not been ready yet.
	PhaseStarting Phase = "starting"
	PhaseReady    Phase = "ready"
	// PhaseUnready: it runs and asks for no requests now.
	PhaseUnready Phase = "unready"
	// PhaseUnhealthy: it runs and does not do what it should.
	PhaseUnhealthy Phase = "unhealthy"
	// PhaseDraining: its endpoint is withdrawn, and the stop signal follows.
	PhaseDraining Phase = "draining"
	// PhaseStopping: it is being stopped or removed.
	PhaseStopping Phase = "stopping"
	// PhaseExited: its process has ended and should not have.
	PhaseExited Phase = "exited"
	// PhaseDone: its process has ended as it may.
	PhaseDone Phase = "done"
	// PhaseLeftover: it can never run again as it was meant to, and is to be removed.
	PhaseLeftover Phase = "leftover"
)

// String is a status in one line.
func (s Status) String() string {
	text := fmt.Sprintf("desired %d, replicas %d, updated %d, ready %d, available %d", s.Desired, s.Replicas, s.Updated, s.Ready, s.Available)
	if s.Converged {
		text += ", converged"
	}
	return text
}

// Halted reports whether no waiting helps.
func (o Outcome) Halted() bool { return o == OutcomePaused || o == OutcomeStalled }

// Replica returns the status of a container; false where it is not one of the workload's.
func (s *Status) Replica(id string) (ReplicaStatus, bool) {
	i := slices.IndexFunc(s.ReplicaStatuses, func(r ReplicaStatus) bool { return r.ID == id })
	if i < 0 || id == "" {
		return ReplicaStatus{}, false
	}
	return s.ReplicaStatuses[i], true
}

// Blockers are the sentences that say which replicas are not ready, or not as the spec
// asks for, and why.
func (s *Status) Blockers() []string {
	var all []string
	for _, r := range s.ReplicaStatuses {
		if r.Blocker != "" {
			all = append(all, r.Blocker)
		}
	}
	return all
}

// Condition returns the condition of a type, or nil.
func (s *Status) Condition(t ConditionType) *Condition {
	for i := range s.Conditions {
		if s.Conditions[i].Type == t {
			return &s.Conditions[i]
		}
	}
	return nil
}

// Completed reports whether a workload has run to completion.
func (s *Status) Completed() bool {
	c := s.Condition(Complete)
	return c != nil && c.Status
}
