package model

import (
	"slices"

	"github.com/docker/docker/api/types/swarm"
)

// A global service has a task on each node that may have one (swarmkit's
// manager/orchestrator/global).

func (of *service) global() bool { return of.Spec.Mode.Global != nil }

// takes reports whether a node keeps the tasks that it has.
func (n *node) takes() bool {
	return n != nil && n.State != swarm.NodeStateDown && n.Availability != swarm.NodeAvailabilityDrain
}

// mayHave reports whether a node may get a task of a global service.
func (s *Swarm) mayHave(of *service, n *node) bool {
	return n.takes() && n.Availability == swarm.NodeAvailabilityActive && s.fits(of.Spec.TaskTemplate.Placement, n)
}

// reconcileGlobal makes and ends tasks, until there is one on each node that may have it,
// and has the rollout bring them to the service's spec. A node that is paused is left alone.
func (s *Swarm) reconcileGlobal(of *service) {
	for _, t := range slices.Clone(s.tasks) {
		if n := s.node(t.NodeID); t.ServiceID == of.ID && (!n.takes() || !s.fits(of.Spec.TaskTemplate.Placement, n)) {
			s.setDesired(t, swarm.TaskStateShutdown)
		}
	}
	var slots []slot
	for _, n := range s.nodes {
		at := slot{node: n.ID}
		switch {
		case !s.mayHave(of, n):
		case len(s.updatable(of, at)) == 0:
			s.newTask(of, at, swarm.TaskStateRunning)
		default:
			slots = append(slots, at)
		}
	}
	if len(slots) > 0 {
		s.roll(of, slots)
	}
}

// updatable are the tasks of a node that are not to end or, where the last one has ended and
// is not to be restarted, that.
func (s *Swarm) updatable(of *service, at slot) []*task {
	tasks := s.current(of, at)
	if len(tasks) == 1 && !tasks[0].live() && (s.mayRestart(of, tasks[0]) || of.Update.State == swarm.UpdateStateRollbackStarted) {
		return nil
	}
	return tasks
}

// reconcileNode is what the leader does for all global services when a node has changed in
// any way. What is not of the service's spec is replaced at once, without a regard to a
// rollout that is under way or paused, and without waiting for its end.
func (s *Swarm) reconcileNode(n *node) {
	if !s.quorum() || s.node(n.ID) == nil {
		return
	}
	s.enforce(n)
	for _, of := range sorted(s.services) {
		switch at := (slot{node: n.ID}); {
		case !of.global():
		case !n.takes():
			for _, t := range s.inSlot(of, at) {
				s.setDesired(t, swarm.TaskStateShutdown)
			}
		case s.mayHave(of, n):
			s.replaceDirty(of, at)
		}
	}
	s.agenda.After(step, s.schedule)
}

func (s *Swarm) replaceDirty(of *service, at slot) {
	tasks := s.updatable(of, at)
	clean := slices.IndexFunc(tasks, func(t *task) bool { return !s.dirty(of, t) })
	if clean < 0 {
		s.newTask(of, at, swarm.TaskStateRunning)
	}
	for i, t := range tasks {
		if i != clean {
			s.setDesired(t, swarm.TaskStateShutdown)
		}
	}
}

// enforce rejects the tasks of a node that it may no longer have (swarmkit's
// manager/orchestrator/constraintenforcer).
func (s *Swarm) enforce(n *node) {
	if n.Availability != swarm.NodeAvailabilityActive {
		return
	}
	for _, t := range slices.Clone(s.on(n)) {
		placement := t.Spec.Placement
		if of := s.services[t.ServiceID]; of != nil {
			placement = of.Spec.TaskTemplate.Placement
		}
		if !s.fits(placement, n) {
			s.setState(t, swarm.TaskStateRejected, "task rejected by constraint enforcer", "assigned node no longer meets constraints")
		}
	}
}
