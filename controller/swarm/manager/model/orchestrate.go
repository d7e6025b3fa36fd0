package model

import (
	"cmp"
	"slices"
	"time"

	"github.com/docker/docker/api/types/swarm"
)

// reconcile makes and ends tasks, until there is one for each slot, and has the rollout
// bring them to the service's spec (swarmkit's manager/orchestrator).
func (s *Swarm) reconcile(of *service) {
	if s.services[of.ID] != of || !s.quorum() {
		return
	}
	if of.job() != nil {
		s.reconcileJob(of)
		return
	}
	if of.global() {
		s.reconcileGlobal(of)
		return
	}
	filled := s.filled(of)
	wanted := int(*of.Spec.Mode.Replicated.Replicas)
	if len(filled) > wanted {
		s.sortForRemoval(of, filled)
		for _, number := range filled[wanted:] {
			for _, t := range s.inSlot(of, slot{number: number}) {
				s.setDesired(t, swarm.TaskStateRemove)
			}
		}
		filled = filled[:wanted]
	}
	var slots []slot
	for _, number := range filled {
		slots = append(slots, slot{number: number})
	}
	s.roll(of, slots)
	for number := 1; len(filled) < wanted; number++ {
		if !slices.Contains(filled, number) {
			filled = append(filled, number)
			s.newTask(of, slot{number: number}, swarm.TaskStateRunning)
		}
	}
}

// filled are the slots that have a task which is to run, or whose last one ended and is
// not to be restarted.
func (s *Swarm) filled(of *service) (slots []int) {
	all := map[int]*task{} // the last of each
	var order []int
	for _, t := range s.tasks {
		if t.ServiceID == of.ID {
			if all[t.Slot] == nil {
				order = append(order, t.Slot)
			}
			if last := all[t.Slot]; last == nil || t.live() || !last.live() {
				all[t.Slot] = t
			}
		}
	}
	slices.Sort(order)
	for _, slot := range order {
		t := all[slot]
		if t.live() || t.DesiredState == swarm.TaskStateShutdown && !s.mayRestart(of, t) && of.Update.State != swarm.UpdateStateRollbackStarted {
			slots = append(slots, slot)
		}
	}
	return slots
}

// sortForRemoval puts last the slots to remove first: those that do not run, then those on
// the nodes with the most of them, then the highest.
func (s *Swarm) sortForRemoval(of *service, slots []int) {
	runs := map[int]bool{}
	nodes := map[int]string{}
	for _, number := range slots {
		for _, t := range s.inSlot(of, slot{number: number}) {
			runs[number] = runs[number] || t.State == swarm.TaskStateRunning
			if t.live() {
				nodes[number] = t.NodeID
			}
		}
	}
	slices.SortFunc(slots, func(a, b int) int {
		if runs[a] != runs[b] {
			if runs[a] {
				return -1
			}
			return 1
		}
		return cmp.Compare(a, b)
	})
	nth, seen := map[int]int{}, map[string]int{}
	for _, slot := range slots {
		if seen[nodes[slot]]++; nodes[slot] != "" {
			nth[slot] = seen[nodes[slot]]
		}
	}
	slices.SortStableFunc(slots, func(a, b int) int { return cmp.Compare(nth[a], nth[b]) })
}

// reconcileJob makes tasks until enough have ended well, or are on their way. A slot that
// was given up counts for neither: the next time that there is reason to look, as when
// another slot's task has ended or another manager leads, it is tried once more.
func (s *Swarm) reconcileJob(of *service) {
	under, complete := uint64(0), uint64(0)
	slots := map[int]bool{}
	for _, t := range slices.Clone(s.tasks) {
		switch {
		case t.ServiceID != of.ID:
		case t.JobIteration != of.JobIteration:
			if !t.ended() {
				s.setDesired(t, swarm.TaskStateRemove)
			}
		case t.State == swarm.TaskStateComplete:
			complete++
			slots[t.Slot] = true
		case rank[t.DesiredState] <= rank[swarm.TaskStateComplete]:
			under++
			slots[t.Slot] = true
			if t.ended() {
				s.restart(of, t)
			}
		}
	}
	for number := 0; under < of.concurrent() && complete+under < of.total() && number < int(of.total()); number++ {
		if !slots[number] {
			under++
			s.newTask(of, slot{number: number}, swarm.TaskStateComplete)
		}
	}
}

// follow is what the leader does when a task has moved on.
func (s *Swarm) follow(t *task) {
	of := s.services[t.ServiceID]
	if of == nil || !s.quorum() {
		return
	}
	if of.rollout != nil {
		of.rollout.follow(t)
	}
	switch {
	case !t.ended():
	case of.job() != nil:
		if rank[t.DesiredState] <= rank[swarm.TaskStateComplete] {
			s.reconcileJob(of)
		}
	case t.live():
		s.restart(of, t)
	}
	s.agenda.After(step, s.schedule)
}

// restarts are those of a slot since its spec changed.
type restarts struct {
	specVersion uint64
	at          []time.Time
}

// defaultDelay is the time between a task's end and the next one's start.
const defaultDelay = 5 * time.Second

// restart makes another task for a slot, where the policy allows it.
func (s *Swarm) restart(of *service, t *task) {
	if of.global() && !s.mayHave(of, s.node(t.NodeID)) {
		if s.node(t.NodeID).takes() {
			s.setDesired(t, swarm.TaskStateShutdown)
		}
		return
	}
	if t.delayed {
		t.restart = true
		return
	}
	if rank[t.DesiredState] > rank[swarm.TaskStateComplete] {
		return
	}
	s.setDesired(t, swarm.TaskStateShutdown)
	if !s.mayRestart(of, t) {
		return
	}
	n, delay := s.node(t.NodeID), defaultDelay
	if p := t.Spec.RestartPolicy; p != nil && p.Delay != nil {
		delay = *p.Delay
	}
	if n != nil && n.Availability == swarm.NodeAvailabilityDrain {
		delay = 0
	}
	at := of.slotOf(t)
	next := s.newTask(of, at, swarm.TaskStateReady)
	past := of.restarts[at]
	if past == nil || past.specVersion != next.specVersion {
		past = &restarts{specVersion: next.specVersion}
		of.restarts[at] = past
	}
	past.at = append(past.at, s.agenda.Now)
	s.startLater(next, t, delay, nil)
}

// mayRestart reports whether a restart policy allows another task after one.
func (s *Swarm) mayRestart(of *service, t *task) bool {
	p := t.Spec.RestartPolicy
	if p == nil {
		p = &swarm.RestartPolicy{}
	}
	well := t.State == swarm.TaskStateComplete
	switch p.Condition {
	case swarm.RestartPolicyConditionNone:
		return false
	case swarm.RestartPolicyConditionOnFailure:
		if well {
			return false
		}
	default:
		if well && of.job() != nil {
			return false
		}
	}
	past := of.restarts[of.slotOf(t)]
	if p.MaxAttempts == nil || *p.MaxAttempts == 0 || past == nil || past.specVersion != t.specVersion {
		return true
	}
	count := uint64(0)
	for _, at := range past.at {
		if p.Window == nil || *p.Window == 0 || at.After(t.Since.Add(-*p.Window)) && at.Before(t.Since) {
			count++
		}
	}
	return count < *p.MaxAttempts
}

// oldTaskTimeout is the longest that a task waits for the one before it in its slot.
const oldTaskTimeout = time.Minute

// startLater lets a task start after a delay and, where there is an old one, when that has
// stopped or its node is down; then it calls then.
func (s *Swarm) startLater(t, old *task, delay time.Duration, then func()) {
	t.delayed = true
	began := s.agenda.Now
	start := func() {
		if !t.delayed {
			return
		}
		t.delayed = false
		desired := swarm.TaskStateRunning
		if of := s.services[t.ServiceID]; of != nil && of.job() != nil {
			desired = swarm.TaskStateComplete
		}
		if s.kept(t) {
			s.setDesired(t, desired)
		}
		if then != nil {
			then()
		}
		if of := s.services[t.ServiceID]; t.restart && of != nil {
			t.restart = false
			s.restart(of, t)
		}
	}
	s.agenda.After(delay, func() {
		if old == nil || old.ended() || !s.kept(old) || s.down(old) {
			start()
			return
		}
		old.awaited = append(old.awaited, start)
		s.agenda.After(oldTaskTimeout-s.agenda.Now.Sub(began), start)
	})
}

// down reports whether a task is on no node that can stop it.
func (s *Swarm) down(t *task) bool {
	n := s.node(t.NodeID)
	return n == nil || n.State == swarm.NodeStateDown
}
