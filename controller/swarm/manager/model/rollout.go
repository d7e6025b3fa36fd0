package model

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"github.com/tendhq/tend/controller/swarm/manager"
)

// rollout brings the tasks of a service to its spec, some slots at a time (swarmkit's
// manager/orchestrator/update).
type rollout struct {
	s      *Swarm
	of     *service
	config swarm.UpdateConfig
	back   bool // it is Swarm's own going back
	slots  []slot
	total  int
	// busy is how many workers there are.
	busy int
	// began is when each new task began to run; zero before.
	began map[string]time.Time
	// waiting are the new tasks that a worker waits for.
	waiting  map[string]func()
	failures int
	failed   map[string]bool
	// stopped: no slot is begun any more. cancelled: another rollout takes its place.
	stopped, cancelled bool
	spec               swarm.ServiceSpec
}

// defaultMonitor is how long a task is watched for failure where nothing is said.
const defaultMonitor = 5 * time.Second

// roll begins a service's rollout, unless one to the same spec is under way, which a worker
// that still waits for its task keeps it even where it has stopped.
func (s *Swarm) roll(of *service, slots []slot) {
	if r := of.rollout; r != nil {
		if (!r.stopped || r.busy > 0) && reflect.DeepEqual(r.spec, of.Spec) {
			return
		}
		r.cancelled = true
		of.rollout = nil
	}
	state := of.Update.State
	if state == swarm.UpdateStatePaused || state == swarm.UpdateStateRollbackPaused {
		return
	}
	var dirty []slot
	for _, at := range slots {
		if s.dirtySlot(of, at) {
			dirty = append(dirty, at)
		}
	}
	if len(dirty) == 0 {
		if state == swarm.UpdateStateUpdating || state == swarm.UpdateStateRollbackStarted {
			s.completeUpdate(of)
		}
		return
	}
	if state == "" {
		of.Update = manager.Update{State: swarm.UpdateStateUpdating, StartedAt: s.agenda.Now, Message: "update in progress"}
		s.touch(of)
	}
	r := &rollout{
		s: s, of: of, back: state == swarm.UpdateStateRollbackStarted, slots: dirty, total: len(dirty),
		began: map[string]time.Time{}, waiting: map[string]func(){}, failed: map[string]bool{},
		spec:   copied(of.Spec),
		config: swarm.UpdateConfig{Parallelism: 1},
	}
	given := of.Spec.UpdateConfig
	if r.back {
		given = of.Spec.RollbackConfig
	}
	if given != nil {
		r.config = *given
	}
	if r.config.Monitor == 0 {
		r.config.Monitor = defaultMonitor
	}
	of.rollout = r
	workers := int(r.config.Parallelism)
	if workers == 0 {
		workers = len(dirty)
	}
	r.busy = workers
	for range workers {
		s.agenda.After(0, r.work)
	}
}

// current are the tasks of a slot that are not to end or, without any, the last one.
func (s *Swarm) current(of *service, at slot) []*task {
	tasks := s.inSlot(of, at)
	live := slices.DeleteFunc(slices.Clone(tasks), func(t *task) bool { return !t.live() })
	if len(live) == 0 && len(tasks) > 0 {
		return tasks[len(tasks)-1:]
	}
	return live
}

func (s *Swarm) dirtySlot(of *service, at slot) bool {
	tasks := s.current(of, at)
	return len(tasks) > 1 || len(tasks) == 1 && s.dirty(of, tasks[0])
}

// work does one slot, or ends a worker where there is none left.
func (r *rollout) work() {
	if r.cancelled {
		return
	}
	if r.stopped || len(r.slots) == 0 {
		if r.busy--; r.busy == 0 && !r.stopped {
			monitor := r.config.Monitor
			if r.config.Delay >= monitor {
				monitor = r.config.Delay + time.Second
			}
			r.s.agenda.After(monitor, r.complete)
		}
		return
	}
	at := r.slots[0]
	r.slots = r.slots[1:]
	tasks := r.s.current(r.of, at)
	if clean := slices.IndexFunc(tasks, func(t *task) bool { return t.live() && !r.s.dirty(r.of, t) }); clean >= 0 {
		old := r.end(tasks, tasks[clean])
		if tasks[clean].DesiredState == swarm.TaskStateRunning {
			r.next()
		} else {
			r.s.startLater(tasks[clean], old, 0, r.next)
		}
		return
	}
	t := r.s.newTask(r.of, at, swarm.TaskStateReady)
	r.began[t.ID] = time.Time{}
	if r.config.Order == swarm.UpdateOrderStartFirst {
		r.waiting[t.ID] = func() {
			if t.State == swarm.TaskStateRunning {
				r.end(tasks, t)
			}
			r.next()
		}
		r.s.startLater(t, nil, 0, nil)
		return
	}
	r.waiting[t.ID] = r.next
	r.s.startLater(t, r.end(tasks, t), 0, nil)
}

// end shuts down a slot's tasks but one, and returns one of them.
func (r *rollout) end(tasks []*task, but *task) (old *task) {
	for _, t := range tasks {
		if t != but && t.live() {
			r.s.setDesired(t, swarm.TaskStateShutdown)
			old = t
		}
	}
	return old
}

// next lets a worker go on after the delay.
func (r *rollout) next() { r.s.agenda.After(r.config.Delay, r.work) }

// follow is what a rollout does when a task has moved on.
func (r *rollout) follow(t *task) {
	began, own := r.began[t.ID]
	if !own || r.cancelled {
		return
	}
	if goOn := r.waiting[t.ID]; goOn != nil && rank[t.State] >= rank[swarm.TaskStateRunning] {
		delete(r.waiting, t.ID)
		r.began[t.ID] = r.s.agenda.Now
		goOn()
	}
	if !t.ended() || r.stopped || r.failed[t.ID] || r.config.FailureAction == swarm.UpdateFailureActionContinue ||
		!began.IsZero() && r.s.agenda.Now.Sub(began) > r.config.Monitor {
		return
	}
	r.failed[t.ID] = true
	if r.failures++; float32(r.failures)/float32(r.total) > r.config.MaxFailureRatio {
		r.stopped = true
		r.fail(t)
	}
}

// fail does what is to be done where too many tasks have failed.
func (r *rollout) fail(t *task) {
	of := r.of
	if of.Update.State == "" {
		return // it was changed since
	}
	because := "due to failure or early termination of task " + t.ID
	switch {
	case r.back:
		of.Update.State, of.Update.Message = swarm.UpdateStateRollbackPaused, "rollback paused "+because
	case r.config.FailureAction == swarm.UpdateFailureActionRollback && of.previous != nil:
		of.Update.State, of.Update.Message = swarm.UpdateStateRollbackStarted, "update rolled back "+because
		of.Spec, of.previous = *of.previous, nil
		of.specVersion = r.s.changed()
		r.s.agenda.After(step, func() { r.s.reconcile(of) })
	default:
		of.Update.State, of.Update.Message = swarm.UpdateStatePaused, fmt.Sprint("update paused ", because)
	}
	r.s.touch(of)
}

func (r *rollout) complete() {
	if r.cancelled || r.stopped {
		return
	}
	r.of.rollout = nil
	r.s.completeUpdate(r.of)
}

func (s *Swarm) completeUpdate(of *service) {
	if s.services[of.ID] != of || of.Update.State == "" {
		return
	}
	if of.Update.State == swarm.UpdateStateRollbackStarted {
		of.Update.State, of.Update.Message = swarm.UpdateStateRollbackCompleted, "rollback completed"
	} else {
		of.Update.State, of.Update.Message = swarm.UpdateStateCompleted, "update completed"
	}
	of.Update.CompletedAt = s.agenda.Now
	s.touch(of)
	// The leader looks at a service that has changed: a slot in which restarts have made
	// several tasks meanwhile keeps one.
	s.agenda.After(step, func() { s.reconcile(of) })
}
