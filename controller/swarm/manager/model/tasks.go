package model

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/swarm/manager"
)

// rank is the order of a task's states: they only ever go up (swarmkit's api/types.proto).
var rank = map[swarm.TaskState]int{
	swarm.TaskStateNew: 0, swarm.TaskStatePending: 1, swarm.TaskStateAssigned: 2, swarm.TaskStateAccepted: 3,
	swarm.TaskStatePreparing: 4, swarm.TaskStateReady: 5, swarm.TaskStateStarting: 6, swarm.TaskStateRunning: 7,
	swarm.TaskStateComplete: 8, swarm.TaskStateShutdown: 9, swarm.TaskStateFailed: 10, swarm.TaskStateRejected: 11,
	swarm.TaskStateRemove: 12, swarm.TaskStateOrphaned: 13,
}

// task is a task, and what its node knows of it.
type task struct {
	manager.Task
	labels      map[string]string // of its service
	specVersion uint64
	endpoint    *swarm.EndpointSpec
	log         []line
	// stopping is set while its container has been told to end, and sick where that was
	// for its health.
	stopping, sick bool
	// lost is set where its container ended with its node.
	lost bool
	// delayed is set until the task may start; restart where it has ended before that.
	delayed, restart bool
	// awaited are called once, when its container has stopped or its node is down.
	awaited []func()
}

// line is a line of output.
type line struct {
	at   time.Time
	text string
}

// live reports whether a task is not to end.
func (t *task) live() bool { return rank[t.DesiredState] <= rank[swarm.TaskStateRunning] }

// ended reports whether a task's container, if there was one, has stopped.
func (t *task) ended() bool { return rank[t.State] > rank[swarm.TaskStateRunning] }

// Tasks lists tasks.
func (s *Swarm) Tasks(ctx context.Context, project string) (found []manager.Task, err error) {
	err = s.do(ctx, OpTasks, project, func() error {
		for _, t := range s.tasks {
			if t.labels[engine.ProjectLabel] != project {
				continue
			}
			view := t.Task
			view.Spec, view.Networks = copied(t.Spec), maps.Clone(t.Networks)
			found = append(found, view)
		}
		return nil
	})
	slices.SortStableFunc(found, func(a, b manager.Task) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.Slot, b.Slot))
	})
	return found, err
}

// newTask makes a task for a slot, of a service's present spec.
func (s *Swarm) newTask(of *service, at slot, desired swarm.TaskState) *task {
	t := &task{
		Task: manager.Task{
			ID: s.newID(), ServiceID: of.ID, NodeID: at.node, Slot: at.number, Spec: copied(of.Spec.TaskTemplate), JobIteration: of.JobIteration,
			State: swarm.TaskStatePending, Since: s.agenda.Now, Message: "pending task scheduling",
			DesiredState: desired, CreatedAt: s.agenda.Now, Networks: map[string]string{},
		},
		labels: maps.Clone(of.Spec.Labels), specVersion: of.specVersion, endpoint: copied(of.Spec.EndpointSpec),
	}
	s.tasks = append(s.tasks, t)
	s.agenda.After(step, s.schedule)
	s.agenda.After(reapDelay, func() { s.reap(of, at) })
	return t
}

// kept reports whether the Swarm still has a task.
func (s *Swarm) kept(t *task) bool { return slices.Contains(s.tasks, t) }

// setState moves a task on.
func (s *Swarm) setState(t *task, state swarm.TaskState, message, err string) {
	if !s.kept(t) {
		return
	}
	t.State, t.Since, t.Message, t.Err = state, s.agenda.Now, message, err
	if t.ended() {
		s.release(t)
		s.agenda.After(reapDelay, func() { s.removeEnded(t) })
	}
	s.follow(t)
}

// release calls those that await a task's end.
func (s *Swarm) release(t *task) {
	awaited := t.awaited
	t.awaited = nil
	for _, f := range awaited {
		f()
	}
}

// setDesired says how far a task is to go: never less far than before.
func (s *Swarm) setDesired(t *task, desired swarm.TaskState) {
	if rank[desired] <= rank[t.DesiredState] {
		return
	}
	t.DesiredState = desired
	if t.live() || desired == swarm.TaskStateComplete {
		s.agenda.After(step, func() { s.start(t) })
		return
	}
	s.agenda.After(step, func() { s.shutDown(t) })
	s.agenda.After(reapDelay, func() { s.removeEnded(t) })
}

// prepare makes a task's container, on the node that it was given to.
func (s *Swarm) prepare(t *task) {
	if t.State != swarm.TaskStateAssigned || !s.node(t.NodeID).works() {
		return
	}
	if _, known := s.behavior(t.Spec.ContainerSpec.Image); !known {
		s.setState(t, swarm.TaskStateRejected, "preparing", "No such image: "+t.Spec.ContainerSpec.Image)
		return
	}
	t.ContainerID = s.newID()
	for _, n := range t.Spec.Networks {
		if to := s.networks[n.Target]; to != nil {
			t.Networks[to.Name] = s.address(to)
		}
	}
	s.setState(t, swarm.TaskStateReady, "prepared", "")
	s.agenda.After(step, func() { s.start(t) })
}

// start starts a task's container, when it is there and may run.
func (s *Swarm) start(t *task) {
	due := t.DesiredState == swarm.TaskStateRunning || t.DesiredState == swarm.TaskStateComplete
	if t.State != swarm.TaskStateReady || !due || !s.kept(t) || !s.node(t.NodeID).works() {
		return
	}
	b, _ := s.behavior(t.Spec.ContainerSpec.Image)
	s.setState(t, swarm.TaskStateStarting, "starting", "")
	if b.CannotStart {
		t.ExitCode = 127
		s.setState(t, swarm.TaskStateFailed, "starting", "starting container failed: no such file or directory")
		return
	}
	for _, text := range b.Output {
		t.log = append(t.log, line{s.agenda.Now, text})
	}
	close(s.logged)
	s.logged = make(chan struct{})
	if b.Exits {
		s.agenda.After(b.After, func() { s.exit(t, b.Code) })
	}
	switch {
	case !checked(t.Spec.ContainerSpec, b):
		s.run(t)
	case b.Sick:
		s.agenda.After(probeInterval, func() {
			t.sick = true
			s.stop(t)
		})
	default:
		s.agenda.After(b.HealthAfter, func() { s.run(t) })
	}
}

// probeInterval is the time to the first probe of a health check.
const probeInterval = 200 * time.Millisecond

// checked reports whether a container has a health check.
func checked(c *swarm.ContainerSpec, b Behavior) bool {
	if h := c.Healthcheck; h != nil && len(h.Test) > 0 {
		return h.Test[0] != "NONE"
	}
	return b.HealthCheck
}

func (s *Swarm) run(t *task) {
	if t.State == swarm.TaskStateStarting && !t.stopping && !t.lost {
		s.setState(t, swarm.TaskStateRunning, "started", "")
	}
}

// exit is the end of a task's container, with a code.
func (s *Swarm) exit(t *task, code int) {
	if t.State != swarm.TaskStateStarting && t.State != swarm.TaskStateRunning || t.lost {
		return
	}
	t.ExitCode = code
	switch {
	case rank[t.DesiredState] >= rank[swarm.TaskStateShutdown]:
		s.setState(t, swarm.TaskStateShutdown, "shutdown", "")
	case code == 0:
		s.setState(t, swarm.TaskStateComplete, "finished", "")
	default:
		cause := ""
		if t.sick {
			cause = ": dockerexec: unhealthy container"
		}
		s.setState(t, swarm.TaskStateFailed, "started", fmt.Sprintf("task: non-zero exit (%d)%s", code, cause))
	}
}

// codeKilled is how a process ends by SIGKILL: 128 + 9.
const codeKilled = 137

// stopGrace is the grace of a service that names none.
const stopGrace = 10 * time.Second

// stop tells a task's container to end.
func (s *Swarm) stop(t *task) {
	if t.stopping || t.lost || t.ended() {
		return
	}
	t.stopping = true
	b, _ := s.behavior(t.Spec.ContainerSpec.Image)
	grace := stopGrace
	if own := t.Spec.ContainerSpec.StopGracePeriod; own != nil {
		grace = *own
	}
	if b.IgnoresStop || b.StopAfter > grace {
		s.agenda.After(grace, func() { s.exit(t, codeKilled) })
		return
	}
	s.agenda.After(b.StopAfter, func() { s.exit(t, b.StopCode) })
}

// given reports whether a node has been told of a task.
func (t *task) given() bool { return rank[t.State] >= rank[swarm.TaskStateAssigned] }

// shutDown has a node end a task.
func (s *Swarm) shutDown(t *task) {
	if t.ended() || !t.given() || !s.node(t.NodeID).works() {
		return
	}
	if rank[t.State] < rank[swarm.TaskStateStarting] || t.lost {
		s.setState(t, swarm.TaskStateShutdown, "shutdown", "")
		return
	}
	s.stop(t)
}

// reapDelay is how long the leader gathers tasks to remove them together.
const reapDelay = 250 * time.Millisecond

// removeEnded removes a task that is to go and has ended, or that no node ever had.
func (s *Swarm) removeEnded(t *task) {
	if t.DesiredState == swarm.TaskStateRemove && (t.ended() || !t.given()) {
		s.forgetTask(t)
	}
}

func (s *Swarm) forgetTask(t *task) {
	s.tasks = slices.DeleteFunc(s.tasks, func(other *task) bool { return other == t })
	s.release(t)
}

// history is how many tasks of a slot Swarm keeps, where restarts have no limit.
const history = 5

// reap removes the oldest tasks of a slot that have ended.
func (s *Swarm) reap(of *service, at slot) {
	if of.job() != nil {
		return
	}
	keep := history
	if p := of.Spec.TaskTemplate.RestartPolicy; p != nil && p.MaxAttempts != nil && *p.MaxAttempts > 0 {
		keep = int(*p.MaxAttempts) + 1
	}
	tasks := s.inSlot(of, at)
	for _, t := range tasks[:max(0, len(tasks)-keep)] {
		if t.ended() || !t.live() && !t.given() {
			s.forgetTask(t)
		}
	}
}

// slot is what one task of a service after another takes: a number or, in a global service,
// a node.
type slot struct {
	number int
	node   string
}

func (of *service) slotOf(t *task) slot {
	if of.global() {
		return slot{node: t.NodeID}
	}
	return slot{number: t.Slot}
}

// inSlot are the tasks of a slot, oldest first.
func (s *Swarm) inSlot(of *service, at slot) (tasks []*task) {
	for _, t := range s.tasks {
		if t.ServiceID == of.ID && of.slotOf(t) == at {
			tasks = append(tasks, t)
		}
	}
	return tasks
}
