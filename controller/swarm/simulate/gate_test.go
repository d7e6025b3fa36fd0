package simulate

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"sync"

	swarmapi "github.com/docker/docker/api/types/swarm"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/swarm/manager"
	"github.com/tendhq/tend/controller/swarm/manager/model"
)

// gate stands between one run of tend and the Swarm: each request waits until the world
// answers it.
type gate struct {
	swarm *model.Swarm

	mu     sync.Mutex
	parked []*request
	dead   bool // tend was killed
	// last are the answers to the lists before, by operation.
	last map[model.Op]any
	// source has the events that have not arrived at out.
	source <-chan manager.Event
	out    chan manager.Event
}

var _ manager.Manager = (*gate)(nil)

// request is a request that waits.
type request struct {
	op model.Op
	// object is what it acts on: a name of what is to be made, an ID of what is there.
	object string
	// spec is what a service is to be.
	spec *swarmapi.ServiceSpec
	// version is what an update is made from.
	version uint64
	judged  bool
	answer  chan fate
}

// fate is what becomes of a request.
type fate int

const (
	answered fate = iota
	// refused: it had no effect, and the answer says so.
	refused
	// lost: nobody knows; it had no effect. done: nobody knows; it was carried out.
	lost
	done
	// stale: a list is the one that was answered before, as a leader that was cut off has it.
	stale
)

var (
	errInjected = errors.New("failure injected")
	errKilled   = errors.New("tend was killed")
)

// pass has a request wait for its fate.
func pass[T any](g *gate, r *request, do func() (T, error)) (T, error) {
	var none T
	r.answer = make(chan fate, 1)
	g.mu.Lock()
	if g.dead {
		g.mu.Unlock()
		return none, r.fail(engine.Unknown, errKilled)
	}
	g.parked = append(g.parked, r)
	g.mu.Unlock()

	f := <-r.answer
	g.mu.Lock()
	dead, before := g.dead, g.last[r.op]
	g.mu.Unlock()
	switch {
	case f == stale && before != nil:
		return before.(T), nil
	case f == refused:
		return none, r.fail(engine.Unavailable, errInjected)
	case f == lost, dead && f != done:
		return none, r.fail(engine.Unknown, errInjected)
	}
	value, err := do()
	if f == done {
		return none, r.fail(engine.Unknown, errInjected)
	}
	if err == nil && !r.op.Write() {
		g.mu.Lock()
		g.last[r.op] = value
		g.mu.Unlock()
	}
	return value, err
}

func (r *request) fail(class engine.Class, err error) error {
	return &engine.Error{Op: string(r.op), Object: r.object, Class: class, Err: err}
}

// waiting are the requests that wait, in an order that depends on what they ask for alone.
func (g *gate) waiting() []*request {
	g.mu.Lock()
	defer g.mu.Unlock()
	slices.SortFunc(g.parked, func(a, b *request) int { return cmp.Or(cmp.Compare(a.op, b.op), cmp.Compare(a.object, b.object)) })
	return slices.Clone(g.parked)
}

// release lets a request go on to its fate.
func (g *gate) release(r *request, f fate) {
	g.mu.Lock()
	g.parked = slices.DeleteFunc(g.parked, func(other *request) bool { return other == r })
	g.mu.Unlock()
	r.answer <- f
}

// kill cuts tend off: nothing that it still asks for has an effect.
func (g *gate) kill() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.dead = true
	for _, r := range g.parked {
		r.answer <- lost
	}
	g.parked = nil
}

func (g *gate) killed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.dead
}

// deliver passes on the events that there are, or loses them. It reports whether there were
// any.
func (g *gate) deliver(lose bool) (some bool) {
	g.mu.Lock()
	source, out := g.source, g.out
	g.mu.Unlock()
	for source != nil {
		select {
		case e, open := <-source:
			if !open {
				return some
			}
			some = true
			if !lose {
				select {
				case out <- e:
				default:
				}
			}
		default:
			return some
		}
	}
	return false
}

func effect(g *gate, r *request, do func() error) error {
	_, err := pass(g, r, func() (struct{}, error) { return struct{}{}, do() })
	return err
}

func (g *gate) Info(ctx context.Context) (manager.Info, error) {
	return pass(g, &request{op: model.OpInfo}, func() (manager.Info, error) { return g.swarm.Info(ctx) })
}

func (g *gate) Nodes(ctx context.Context) ([]manager.Node, error) {
	return pass(g, &request{op: model.OpNodes}, func() ([]manager.Node, error) { return g.swarm.Nodes(ctx) })
}

func (g *gate) Services(ctx context.Context, project string) ([]manager.Service, error) {
	return pass(g, &request{op: model.OpServices}, func() ([]manager.Service, error) { return g.swarm.Services(ctx, project) })
}

func (g *gate) Tasks(ctx context.Context, project string) ([]manager.Task, error) {
	return pass(g, &request{op: model.OpTasks}, func() ([]manager.Task, error) { return g.swarm.Tasks(ctx, project) })
}

func (g *gate) Digest(ctx context.Context, image string) (string, error) {
	return pass(g, &request{op: model.OpDigest, object: image}, func() (string, error) { return g.swarm.Digest(ctx, image) })
}

// CreateService makes a service. What a hook does depends on its command: there is an image
// of that name.
func (g *gate) CreateService(ctx context.Context, s swarmapi.ServiceSpec) (string, error) {
	if s.Labels[spec.LabelHook] != "" {
		c := *s.TaskTemplate.ContainerSpec
		if c.Image = "hook:migrate"; len(c.Args) > 0 { // what prepares a Database has none
			c.Image = "hook:" + c.Args[0]
		}
		s.TaskTemplate.ContainerSpec = &c
	}
	return pass(g, &request{op: model.OpCreateService, object: s.Name, spec: &s}, func() (string, error) { return g.swarm.CreateService(ctx, s) })
}

func (g *gate) UpdateService(ctx context.Context, id string, version uint64, s swarmapi.ServiceSpec) error {
	return effect(g, &request{op: model.OpUpdateService, object: id, spec: &s, version: version}, func() error { return g.swarm.UpdateService(ctx, id, version, s) })
}

func (g *gate) RemoveService(ctx context.Context, id string) error {
	return effect(g, &request{op: model.OpRemoveService, object: id}, func() error { return g.swarm.RemoveService(ctx, id) })
}

func (g *gate) Networks(ctx context.Context, project string, names ...string) ([]manager.Network, error) {
	return pass(g, &request{op: model.OpNetworks}, func() ([]manager.Network, error) { return g.swarm.Networks(ctx, project, names...) })
}

func (g *gate) CreateNetwork(ctx context.Context, n engine.NetworkSpec) (string, error) {
	return pass(g, &request{op: model.OpCreateNetwork, object: n.Name}, func() (string, error) { return g.swarm.CreateNetwork(ctx, n) })
}

func (g *gate) RemoveNetwork(ctx context.Context, id string) error {
	return effect(g, &request{op: model.OpRemoveNetwork, object: id}, func() error { return g.swarm.RemoveNetwork(ctx, id) })
}

func (g *gate) Secrets(ctx context.Context, project string, names ...string) ([]manager.Secret, error) {
	return pass(g, &request{op: model.OpSecrets}, func() ([]manager.Secret, error) { return g.swarm.Secrets(ctx, project, names...) })
}

func (g *gate) CreateSecret(ctx context.Context, s swarmapi.SecretSpec) (string, error) {
	return pass(g, &request{op: model.OpCreateSecret, object: s.Name}, func() (string, error) { return g.swarm.CreateSecret(ctx, s) })
}

func (g *gate) RemoveSecret(ctx context.Context, id string) error {
	return effect(g, &request{op: model.OpRemoveSecret, object: id}, func() error { return g.swarm.RemoveSecret(ctx, id) })
}

func (g *gate) Configs(ctx context.Context, project string, names ...string) ([]manager.Config, error) {
	return pass(g, &request{op: model.OpConfigs}, func() ([]manager.Config, error) { return g.swarm.Configs(ctx, project, names...) })
}

func (g *gate) CreateConfig(ctx context.Context, c swarmapi.ConfigSpec) (string, error) {
	return pass(g, &request{op: model.OpCreateConfig, object: c.Name}, func() (string, error) { return g.swarm.CreateConfig(ctx, c) })
}

func (g *gate) RemoveConfig(ctx context.Context, id string) error {
	return effect(g, &request{op: model.OpRemoveConfig, object: id}, func() error { return g.swarm.RemoveConfig(ctx, id) })
}

// Events subscribes; the world says when an event arrives.
func (g *gate) Events(ctx context.Context) (<-chan manager.Event, func() error, error) {
	_, err := pass(g, &request{op: model.OpEvents}, func() (struct{}, error) {
		source, _, err := g.swarm.Events(ctx)
		if err != nil {
			return struct{}{}, err
		}
		out := make(chan manager.Event, 256)
		g.mu.Lock()
		defer g.mu.Unlock()
		g.source, g.out = source, out
		context.AfterFunc(ctx, func() { close(out) })
		return struct{}{}, nil
	})
	return g.out, func() error { return nil }, err
}

func (g *gate) Logs(ctx context.Context, service string, o engine.LogOptions, stdout, stderr io.Writer) error {
	return g.swarm.Logs(ctx, service, o, stdout, stderr)
}

func (g *gate) TaskLogs(ctx context.Context, task string, o engine.LogOptions, stdout, stderr io.Writer) error {
	return g.swarm.TaskLogs(ctx, task, o, stdout, stderr)
}

// Close is the owner's, who is not tend.
func (g *gate) Close() error { return nil }
