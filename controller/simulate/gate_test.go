package simulate

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/model"
	"github.com/tendhq/tend/ingress"
)

// gate stands between one run of the controller and the engine: every call
// waits until it is answered, also those whose context has ended.
type gate struct {
	engine *model.Engine

	mu     sync.Mutex
	step   int
	parked []*call
	dead   bool // the controller was killed
	stream *stream
	// unlisted is true from when the controller has subscribed to the events until it has
	// listed the containers.
	unlisted bool
}

var _ engine.Engine = (*gate)(nil)

// call is a call that waits.
type call struct {
	op     model.Op
	object string // a container's ID, or a name
	detail string // tells calls of one kind and object apart
	create *engine.ContainerSpec
	tell   *ingress.Request
	grace  time.Duration
	step   int // in which it came
	at     time.Time
	ctx    context.Context
	// look is true for a call of the observer's, which knows the answer when it
	// has returned: it has half a minute, all others have longer.
	look bool
	held bool // it hangs until its context ends
	// seen is set once the invariants have looked at it.
	seen bool
	// do has the effect; value points to the result.
	do     func(context.Context) error
	value  any
	answer chan answer
}

// answer is how a call returns.
type answer struct {
	// err is returned in place of the effect.
	err error
	// then is called after it, and may change the result.
	then func(err error) error
}

var (
	errInjected = errors.New("failure injected")
	errKilled   = errors.New("the controller was killed")
)

// pass has a call wait for its answer.
func pass[T any](ctx context.Context, g *gate, c *call, do func(context.Context) (T, error)) (T, error) {
	var value, none T
	c.at, c.ctx, c.value, c.answer = time.Now(), ctx, &value, make(chan answer, 1)
	if end, ok := ctx.Deadline(); ok {
		c.look = c.op != model.OpStats && time.Until(end) <= 30*time.Second
	}
	c.do = func(ctx context.Context) (err error) {
		value, err = do(ctx)
		return err
	}
	g.mu.Lock()
	if g.dead || ctx.Err() != nil {
		g.mu.Unlock()
		return none, c.fail(engine.Unknown, cmp.Or(ctx.Err(), errKilled))
	}
	c.step = g.step
	g.parked = append(g.parked, c)
	g.mu.Unlock()

	a := <-c.answer
	if a.err != nil {
		return none, a.err
	}
	err := c.do(ctx)
	if a.then != nil {
		err = a.then(err)
	}
	if err != nil {
		return none, err
	}
	return value, nil
}

func (c *call) fail(class engine.Class, err error) error {
	return &engine.Error{Op: string(c.op), Object: c.object, Class: class, Err: err}
}

// waiting are the calls that wait, in an order that depends on nothing but the
// steps in which they came and what they ask for.
func (g *gate) waiting() []*call {
	g.mu.Lock()
	defer g.mu.Unlock()
	slices.SortFunc(g.parked, func(a, b *call) int {
		return cmp.Or(cmp.Compare(a.step, b.step), cmp.Compare(a.op, b.op), cmp.Compare(a.object, b.object), cmp.Compare(a.detail, b.detail))
	})
	return g.parked
}

// release answers a call.
func (g *gate) release(c *call, a answer) {
	g.mu.Lock()
	g.parked = slices.DeleteFunc(g.parked, func(other *call) bool { return other == c })
	g.mu.Unlock()
	c.answer <- a
}

// kill cuts the controller off: nothing that it still does has any effect.
func (g *gate) kill() {
	g.mu.Lock()
	parked := g.parked
	g.parked, g.dead = nil, true
	g.mu.Unlock()
	for _, c := range parked {
		c.answer <- answer{err: c.fail(engine.Unknown, errKilled)}
	}
	if g.stream != nil {
		g.stream.stop()
	}
}

// cut reports whether the controller was killed.
func (g *gate) cut() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.dead
}

// next sets the step in which calls come from now on.
func (g *gate) next(step int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.step = step
}

// hasListed reports whether the controller has listed the containers since it subscribed.
func (g *gate) hasListed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.unlisted
}

type none struct{}

func (g *gate) effect(ctx context.Context, c *call, do func(context.Context) error) error {
	_, err := pass(ctx, g, c, func(ctx context.Context) (none, error) { return none{}, do(ctx) })
	return err
}

func (g *gate) Ping(ctx context.Context) error {
	return g.effect(ctx, &call{op: model.OpPing}, g.engine.Ping)
}

func (g *gate) Containers(ctx context.Context, project string) ([]engine.Container, error) {
	all, err := pass(ctx, g, &call{op: model.OpContainers}, func(ctx context.Context) ([]engine.Container, error) {
		return g.engine.Containers(ctx, project)
	})
	g.mu.Lock()
	defer g.mu.Unlock()
	g.unlisted = g.unlisted && err != nil
	return all, err
}

func (g *gate) Container(ctx context.Context, id string) (engine.Container, error) {
	return pass(ctx, g, &call{op: model.OpContainer, object: id}, func(ctx context.Context) (engine.Container, error) {
		return g.engine.Container(ctx, id)
	})
}

func (g *gate) Stats(ctx context.Context, id string) (engine.Stats, error) {
	return pass(ctx, g, &call{op: model.OpStats, object: id}, func(ctx context.Context) (engine.Stats, error) { return g.engine.Stats(ctx, id) })
}

func (g *gate) Create(ctx context.Context, c engine.ContainerSpec) (string, error) {
	return pass(ctx, g, &call{op: model.OpCreate, object: c.Name, create: &c}, func(ctx context.Context) (string, error) {
		return g.engine.Create(ctx, c)
	})
}

func (g *gate) Start(ctx context.Context, id string) error {
	return g.effect(ctx, &call{op: model.OpStart, object: id}, func(ctx context.Context) error { return g.engine.Start(ctx, id) })
}

func (g *gate) Stop(ctx context.Context, id string, grace time.Duration) error {
	return g.effect(ctx, &call{op: model.OpStop, object: id, grace: grace}, func(ctx context.Context) error { return g.engine.Stop(ctx, id, grace) })
}

func (g *gate) KillProcess(ctx context.Context, id string) error {
	return g.effect(ctx, &call{op: model.OpKillProcess, object: id}, func(ctx context.Context) error { return g.engine.KillProcess(ctx, id) })
}

func (g *gate) Remove(ctx context.Context, id string, volumes bool) error {
	return g.effect(ctx, &call{op: model.OpRemove, object: id}, func(ctx context.Context) error { return g.engine.Remove(ctx, id, volumes) })
}

func (g *gate) SetRestartPolicy(ctx context.Context, id, policy string) error {
	return g.effect(ctx, &call{op: model.OpSetRestartPolicy, object: id}, func(ctx context.Context) error { return g.engine.SetRestartPolicy(ctx, id, policy) })
}

func (g *gate) ConnectNetwork(ctx context.Context, id, network string, aliases ...string) error {
	return g.effect(ctx, &call{op: model.OpConnect, object: id, detail: network}, func(ctx context.Context) error { return g.engine.ConnectNetwork(ctx, id, network, aliases...) })
}

func (g *gate) DisconnectNetwork(ctx context.Context, id, network string) error {
	return g.effect(ctx, &call{op: model.OpDisconnect, object: id, detail: network}, func(ctx context.Context) error { return g.engine.DisconnectNetwork(ctx, id, network) })
}

func (g *gate) Logs(ctx context.Context, id string, o engine.LogOptions, stdout, stderr io.Writer) error {
	return g.effect(ctx, &call{op: model.OpLogs, object: id}, func(ctx context.Context) error {
		return g.engine.Logs(ctx, id, o, stdout, stderr)
	})
}

func (g *gate) Exec(ctx context.Context, id string, e engine.ExecSpec) (int, error) {
	return pass(ctx, g, &call{op: model.OpExec, object: id, detail: e.Command[len(e.Command)-1]}, func(ctx context.Context) (int, error) {
		return g.engine.Exec(ctx, id, e)
	})
}

func (g *gate) Image(ctx context.Context, ref string) (engine.Image, error) {
	return pass(ctx, g, &call{op: model.OpImage, object: ref}, func(ctx context.Context) (engine.Image, error) {
		return g.engine.Image(ctx, ref)
	})
}

func (g *gate) Attach(ctx context.Context, id string) (io.ReadWriteCloser, error) {
	return pass(ctx, g, &call{op: model.OpAttach, object: id}, func(ctx context.Context) (io.ReadWriteCloser, error) {
		return g.engine.Attach(ctx, id)
	})
}

func (g *gate) CopyTo(ctx context.Context, id, folder string, archive io.Reader) error {
	return g.effect(ctx, &call{op: model.OpCopyTo, object: id}, func(ctx context.Context) error { return g.engine.CopyTo(ctx, id, folder, archive) })
}

func (g *gate) Architecture(ctx context.Context) (string, error) {
	return pass(ctx, g, &call{op: model.OpArchitecture}, g.engine.Architecture)
}

func (g *gate) LoadImage(ctx context.Context, archive io.Reader) error {
	return g.effect(ctx, &call{op: model.OpLoadImage}, func(ctx context.Context) error { return g.engine.LoadImage(ctx, archive) })
}

func (g *gate) Pull(ctx context.Context, ref string, progress func(string)) error {
	return g.effect(ctx, &call{op: model.OpPull, object: ref}, func(ctx context.Context) error { return g.engine.Pull(ctx, ref, progress) })
}

func (g *gate) Build(ctx context.Context, b engine.BuildSpec, progress func(string)) error {
	return g.effect(ctx, &call{op: model.OpBuild, object: b.Ref}, func(ctx context.Context) error { return g.engine.Build(ctx, b, progress) })
}

func (g *gate) Digest(ctx context.Context, ref string) (string, error) {
	return pass(ctx, g, &call{op: model.OpDigest, object: ref}, func(ctx context.Context) (string, error) { return g.engine.Digest(ctx, ref) })
}

func (g *gate) Networks(ctx context.Context, project string, names ...string) ([]engine.Network, error) {
	return pass(ctx, g, &call{op: model.OpNetworks}, func(ctx context.Context) ([]engine.Network, error) {
		return g.engine.Networks(ctx, project, names...)
	})
}

func (g *gate) CreateNetwork(ctx context.Context, n engine.NetworkSpec) error {
	return g.effect(ctx, &call{op: model.OpCreateNetwork, object: n.Name}, func(ctx context.Context) error { return g.engine.CreateNetwork(ctx, n) })
}

func (g *gate) RemoveNetwork(ctx context.Context, id string) error {
	return g.effect(ctx, &call{op: model.OpRemoveNetwork, object: id}, func(ctx context.Context) error { return g.engine.RemoveNetwork(ctx, id) })
}

func (g *gate) Volumes(ctx context.Context, project string, names ...string) ([]engine.Volume, error) {
	return pass(ctx, g, &call{op: model.OpVolumes}, func(ctx context.Context) ([]engine.Volume, error) {
		return g.engine.Volumes(ctx, project, names...)
	})
}

func (g *gate) CreateVolume(ctx context.Context, v engine.VolumeSpec) error {
	return g.effect(ctx, &call{op: model.OpCreateVolume, object: v.Name}, func(ctx context.Context) error { return g.engine.CreateVolume(ctx, v) })
}

func (g *gate) RemoveVolume(ctx context.Context, name string) error {
	return g.effect(ctx, &call{op: model.OpRemoveVolume, object: name}, func(ctx context.Context) error { return g.engine.RemoveVolume(ctx, name) })
}

// stream holds the events of a subscription back until they are delivered.
type stream struct {
	source  <-chan engine.Event
	cause   func() error
	stop    context.CancelFunc
	out     chan engine.Event
	pending []engine.Event
	ended   bool // the engine has ended it
	cut     error
	closed  bool
}

const streamBuffer = 256

func (g *gate) Events(ctx context.Context, project string) (<-chan engine.Event, func() error, error) {
	s, err := pass(ctx, g, &call{op: model.OpEvents}, func(ctx context.Context) (*stream, error) {
		ctx, stop := context.WithCancel(ctx)
		source, cause, err := g.engine.Events(ctx, project)
		if err != nil {
			stop()
			return nil, err
		}
		return &stream{source: source, cause: cause, stop: stop, out: make(chan engine.Event, streamBuffer)}, nil
	})
	if err != nil {
		return nil, nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stream != nil {
		g.stream.stop()
	}
	g.stream, g.unlisted = s, true
	return s.out, func() error { return s.cut }, nil
}

// pump takes over what the engine has sent.
func (s *stream) pump() {
	for !s.ended {
		select {
		case e, open := <-s.source:
			if !open {
				s.ended = true
				return
			}
			s.pending = append(s.pending, e)
		default:
			return
		}
	}
}

// deliver passes the first event on, or the end of the stream. It reports whether
// there was anything.
func (s *stream) deliver() bool {
	switch {
	case s.closed:
		return false
	case len(s.pending) > 0:
		e := s.pending[0]
		s.pending = s.pending[1:]
		select {
		case s.out <- e:
		default: // lost without a word, as of any slow reader
		}
		return true
	case s.ended:
		s.end(s.cause())
		return true
	}
	return false
}

// end ends the stream.
func (s *stream) end(err error) {
	if !s.closed {
		s.closed, s.cut = true, err
		s.stop()
		close(s.out)
	}
}

// Close is the owner's, who is not the controller.
func (g *gate) Close() error { return nil }
