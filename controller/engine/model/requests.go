package model

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tendhq/tend/controller/engine"
)

// Op is a method of engine.Engine, as errors name it.
type Op string

// The operations.
const (
	OpPing             Op = "ask engine"
	OpContainers       Op = "list containers of project"
	OpContainer        Op = "inspect container"
	OpStats            Op = "read stats of container"
	OpCreate           Op = "create container"
	OpStart            Op = "start container"
	OpStop             Op = "stop container"
	OpRemove           Op = "remove container"
	OpKillProcess      Op = "kill container"
	OpSetRestartPolicy Op = "set restart policy of container"
	OpConnect          Op = "connect container"
	OpDisconnect       Op = "disconnect container"
	OpLogs             Op = "read logs of container"
	OpExec             Op = "run command in container"
	OpAttach           Op = "attach to container"
	OpCopyTo           Op = "copy files into container"
	OpImage            Op = "inspect image"
	OpImages           Op = "list images"
	OpPruneImage       Op = "prune image"
	OpArchitecture     Op = "ask for the architecture of engine"
	OpLoadImage        Op = "load image"
	OpBuild            Op = "build image"
	OpDigest           Op = "ask registry for image"
	OpPull             Op = "pull image"
	OpNetworks         Op = "list networks of project"
	OpCreateNetwork    Op = "create network"
	OpRemoveNetwork    Op = "remove network"
	OpVolumes          Op = "list volumes of project"
	OpCreateVolume     Op = "create volume"
	OpRemoveVolume     Op = "remove volume"
	OpEvents           Op = "subscribe to events of project"
)

var reads = []Op{OpPing, OpArchitecture, OpContainers, OpContainer, OpStats, OpLogs, OpExec, OpAttach, OpImage, OpImages, OpNetworks, OpVolumes, OpEvents}

// Write reports whether the operation changes anything that the engine keeps.
func (o Op) Write() bool { return !slices.Contains(reads, o) }

// Call is a request to the engine, whatever became of it.
type Call struct {
	At time.Time
	Op Op
	// Object is the name of the request's object: for a container always the name,
	// where the engine knows it.
	Object string
}

func (c Call) String() string { return string(c.Op) + " " + c.Object }

// Calls are all requests so far, in order.
func (e *Engine) Calls() []Call {
	e.agenda.Lock()
	defer e.agenda.Unlock()
	return slices.Clone(e.calls)
}

// Writes are the requests that could change something, in order.
func (e *Engine) Writes() []Call {
	return slices.DeleteFunc(e.Calls(), func(c Call) bool { return !c.Op.Write() })
}

// ForgetCalls empties the list of requests.
func (e *Engine) ForgetCalls() {
	e.agenda.Lock()
	defer e.agenda.Unlock()
	e.calls = nil
}

// Effect tells whether a failing request is carried out all the same.
type Effect int

// The effects.
const (
	NoEffect   Effect = iota // it never happens
	FullEffect               // it happens, and only the reply is lost
)

// fault is a failure that is yet to come.
type fault struct {
	op     Op
	class  engine.Class
	effect Effect
}

// FailNext makes the next request for op fail. Calling it again fails the one
// after that too.
func (e *Engine) FailNext(op Op, class engine.Class, effect Effect) {
	e.agenda.Lock()
	defer e.agenda.Unlock()
	e.faults = append(e.faults, &fault{op: op, class: class, effect: effect})
}

// SetLatency makes every request for op take that long before it has its effect. A
// caller whose context ends meanwhile gets class Unknown, and the effect comes all the
// same.
func (e *Engine) SetLatency(op Op, latency time.Duration) {
	e.agenda.Lock()
	defer e.agenda.Unlock()
	e.latency[op] = latency
}

// request is a request in flight.
type request struct {
	op     Op
	object string
	err    error
	done   chan struct{}
}

// errInjected is the cause of failures asked for with FailNext.
var errInjected = errors.New("failure injected")

// do carries out a request that has its effect in an instant.
func (e *Engine) do(ctx context.Context, op Op, object string, effect func() error) error {
	return e.begin(ctx, op, object, func(finish func(error)) { finish(effect()) })
}

// ask carries out a request that returns a value.
func ask[T any](ctx context.Context, e *Engine, op Op, object string, effect func() (T, error)) (T, error) {
	var answer T
	err := e.do(ctx, op, object, func() (err error) {
		answer, err = effect()
		return err
	})
	if err != nil {
		// The effect may be yet to come, so the answer must not be touched.
		var none T
		return none, err
	}
	return answer, nil
}

// begin carries out a request whose effect takes time; finish ends it. The effect and
// finish run with the engine locked.
func (e *Engine) begin(ctx context.Context, op Op, object string, effect func(finish func(error))) error {
	if err := ctx.Err(); err != nil {
		return &engine.Error{Op: string(op), Object: object, Class: engine.Unknown, Err: err}
	}
	e.agenda.Lock()
	if c := e.containers[object]; c != nil {
		object = c.Name
	}
	e.calls = append(e.calls, Call{At: e.agenda.Now, Op: op, Object: object})
	if e.away {
		e.agenda.Unlock()
		return &engine.Error{Op: string(op), Object: object, Class: engine.Unavailable, Err: errAway}
	}
	r := &request{op: op, object: object, done: make(chan struct{})}
	e.requests = append(e.requests, r)
	fault := e.takeFault(op)
	e.agenda.After(e.latency[op], func() {
		switch {
		case fault == nil:
			effect(func(err error) { e.finish(r, err) })
		case fault.effect == NoEffect:
			e.finish(r, &engine.Error{Class: fault.class, Err: errInjected})
		default:
			effect(func(error) { e.finish(r, &engine.Error{Class: fault.class, Err: errInjected}) })
		}
	})
	e.agenda.Unlock()

	select {
	case <-r.done:
		return r.err
	default:
	}
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return &engine.Error{Op: string(op), Object: object, Class: engine.Unknown, Err: ctx.Err()}
	}
}

// finish answers a request, once.
func (e *Engine) finish(r *request, err error) {
	i := slices.Index(e.requests, r)
	if i < 0 {
		return
	}
	e.requests = slices.Delete(e.requests, i, i+1)
	var failure *engine.Error
	if errors.As(err, &failure) {
		failure.Op, failure.Object = string(r.op), r.object
	}
	r.err = err
	close(r.done)
}

func (e *Engine) takeFault(op Op) *fault {
	i := slices.IndexFunc(e.faults, func(f *fault) bool { return f.op == op })
	if i < 0 {
		return nil
	}
	f := e.faults[i]
	e.faults = slices.Delete(e.faults, i, i+1)
	return f
}

// failure is a refusal by the engine; finish adds the request.
func failure(class engine.Class, format string, args ...any) error {
	return &engine.Error{Class: class, Err: fmt.Errorf(format, args...)}
}
