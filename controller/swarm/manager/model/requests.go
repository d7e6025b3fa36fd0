package model

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/swarm/manager"
)

// Op is a method of manager.Manager, as errors name it.
type Op string

// The operations.
const (
	OpInfo          Op = "ask manager"
	OpNodes         Op = "list nodes"
	OpServices      Op = "list services of project"
	OpTasks         Op = "list tasks of project"
	OpDigest        Op = "ask registry for image"
	OpCreateService Op = "create service"
	OpUpdateService Op = "update service"
	OpRemoveService Op = "remove service"
	OpNetworks      Op = "list networks of project"
	OpCreateNetwork Op = "create network"
	OpRemoveNetwork Op = "remove network"
	OpSecrets       Op = "list secrets of project"
	OpCreateSecret  Op = "create secret"
	OpRemoveSecret  Op = "remove secret"
	OpConfigs       Op = "list configs of project"
	OpCreateConfig  Op = "create config"
	OpRemoveConfig  Op = "remove config"
	OpEvents        Op = "subscribe to events of Swarm"
	OpLogs          Op = "read logs of service"
	OpTaskLogs      Op = "read logs of task"
)

var reads = []Op{OpInfo, OpNodes, OpServices, OpTasks, OpDigest, OpNetworks, OpSecrets, OpConfigs, OpEvents, OpLogs, OpTaskLogs}

// Write reports whether the operation changes anything that the Swarm keeps.
func (o Op) Write() bool { return !slices.Contains(reads, o) }

// Call is a request to the manager, whatever became of it.
type Call struct {
	At time.Time
	Op Op
	// Object is the name of the request's object: a service's own, where it is known.
	Object string
}

func (c Call) String() string { return string(c.Op) + " " + c.Object }

// Calls are all requests so far, in order.
func (s *Swarm) Calls() []Call {
	s.agenda.Lock()
	defer s.agenda.Unlock()
	return slices.Clone(s.calls)
}

// Writes are the requests that could change something, in order.
func (s *Swarm) Writes() []Call {
	return slices.DeleteFunc(s.Calls(), func(c Call) bool { return !c.Op.Write() })
}

// ForgetCalls empties the list of requests.
func (s *Swarm) ForgetCalls() {
	s.agenda.Lock()
	defer s.agenda.Unlock()
	s.calls = nil
}

// fault is a failure that is yet to come.
type fault struct {
	op    Op
	class engine.Class
	done  bool
}

// FailNext makes the next request for op fail. With done it is carried out all the same,
// as where the leader is lost before it has answered.
func (s *Swarm) FailNext(op Op, class engine.Class, done bool) {
	s.agenda.Lock()
	defer s.agenda.Unlock()
	s.faults = append(s.faults, fault{op, class, done})
}

// errInjected is the cause of failures asked for with FailNext.
var errInjected = errors.New("failure injected")

// do carries out a request.
func (s *Swarm) do(ctx context.Context, op Op, object string, effect func() error) error {
	err := ctx.Err()
	if err == nil {
		s.agenda.Lock()
		defer s.agenda.Unlock()
		if known := s.services[object]; known != nil {
			object = known.Spec.Name
		}
		s.calls = append(s.calls, Call{At: s.agenda.Now, Op: op, Object: object})
		err = s.answer(op, effect)
	}
	if err == nil {
		return nil
	}
	failed := &engine.Error{Class: engine.Unknown, Err: err}
	_ = errors.As(err, &failed)
	failed.Op, failed.Object = string(op), object
	return failed
}

// answer carries out a request, unless it is to fail.
func (s *Swarm) answer(op Op, effect func() error) error {
	i := slices.IndexFunc(s.faults, func(f fault) bool { return f.op == op })
	switch {
	case s.refusal != nil:
		return failure(engine.Unavailable, "%w", s.refusal)
	case !s.quorum():
		return failure(engine.Unavailable, "%w", manager.ErrNoQuorum)
	case i < 0:
		return effect()
	}
	f := s.faults[i]
	s.faults = slices.Delete(s.faults, i, i+1)
	if f.done {
		_ = effect()
	}
	return failure(f.class, "%w", errInjected)
}

// failure is a refusal; do adds the request.
func failure(class engine.Class, format string, args ...any) error {
	return &engine.Error{Class: class, Err: fmt.Errorf(format, args...)}
}
