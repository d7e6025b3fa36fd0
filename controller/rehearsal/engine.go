// Package rehearsal keeps a project on an engine in memory: to learn what tend does, and to
// see what a change would do before it is applied.
package rehearsal

import (
	"context"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/model"
	"github.com/tendhq/tend/controller/probe"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/ingress/ingressmodel"
)

// How long what an engine does takes here: about as long as on a machine that is not busy.
const (
	pulling  = 3 * time.Second
	creating = 50 * time.Millisecond
	starting = 300 * time.Millisecond
	stopping = 500 * time.Millisecond
	working  = 5 * time.Second // of a Job and of a hook
	crashing = time.Second
)

// Engine is an engine in memory that has every image, or can pull or build it.
type Engine struct {
	*model.Engine
	images map[string]Behavior

	mu        sync.Mutex
	known     map[string]bool                 // images that have been published
	ingresses map[string]*ingressmodel.Holder // by container
}

// New makes an engine whose containers behave as their image is said to, by its reference,
// or as DefaultBehavior. Jobs and hooks of such images end with 0. ingress is the image of
// ingresses, which is here; empty where there are none.
func New(images map[string]Behavior, ingress string) *Engine {
	e := &Engine{Engine: model.New(), images: maps.Clone(images), known: map[string]bool{}, ingresses: map[string]*ingressmodel.Holder{}}
	e.SetLatency(model.OpPull, pulling)
	e.SetLatency(model.OpCreate, creating)
	e.SetLatency(model.OpStart, starting)
	e.SetBehavior(e.behavior)
	if ingress != "" {
		e.AddImage(ingress, model.Behavior{})
	}
	return e
}

// AddExternal makes the networks and volumes that a project expects to be there.
func (e *Engine) AddExternal(ctx context.Context, p *spec.Project) error {
	networks, err := e.Networks(ctx, p.Name, slices.Collect(maps.Keys(p.Networks))...)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(p.Networks)) {
		if !p.Networks[name].External || slices.ContainsFunc(networks, func(n engine.Network) bool { return n.Name == name }) {
			continue
		}
		if err := e.CreateNetwork(ctx, engine.NetworkSpec{Name: name}); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Volumes)) {
		if !p.Volumes[name].External {
			continue
		}
		if err := e.CreateVolume(ctx, engine.VolumeSpec{Name: name}); err != nil { // leaves one that is there
			return err
		}
	}
	return nil
}

// of is the behaviour of an image.
func (e *Engine) of(image string) Behavior {
	if b, told := e.images[image]; told {
		return b
	}
	return DefaultBehavior
}

// behavior is how a container behaves.
func (e *Engine) behavior(c engine.ContainerSpec) model.Behavior {
	if c.Labels[spec.LabelIngress] != "" {
		return model.Behavior{HealthCheck: true, HealthAfter: starting, StopAfter: stopping, Attached: func(id string, conn io.ReadWriter) {
			e.ingress(id, c.Service.Image).Attached(conn)
		}}
	}
	b := e.of(c.Service.Image)
	of := model.Behavior{StopAfter: stopping, HealthAfter: b.ReadyAfter, Sick: b.Kind == NeverReady, Exec: server(c.Service.Image)}
	switch ends := c.Labels[spec.LabelHook] != "" || c.Labels[spec.LabelKind] == string(spec.Job); {
	case b.Kind == Crash:
		of.Exits, of.After, of.Code = true, crashing, 1
	case b.Kind == Done, ends:
		of.Exits, of.After = true, working
	}
	return of
}

// ingress is the ingress of a container, which is made where there is none yet.
func (e *Engine) ingress(id, image string) *ingressmodel.Holder {
	e.mu.Lock()
	defer e.mu.Unlock()
	h := e.ingresses[id]
	if h == nil {
		h = ingressmodel.New(image)
		e.ingresses[id] = h
	}
	return h
}

// Pull publishes an image unless it is missing, and pulls it.
func (e *Engine) Pull(ctx context.Context, ref string, progress func(string)) error {
	e.publish(ref)
	return e.Engine.Pull(ctx, ref, progress)
}

// Digest publishes an image unless it is missing, and tells its digest.
func (e *Engine) Digest(ctx context.Context, ref string) (string, error) {
	e.publish(ref)
	return e.Engine.Digest(ctx, ref)
}

func (e *Engine) publish(ref string) {
	e.mu.Lock()
	known := e.known[ref]
	e.known[ref] = true
	e.mu.Unlock()
	if !known && e.of(ref).Kind != Missing {
		e.PublishImage(ref, model.Behavior{})
	}
}

// Build builds an image unless it is missing.
func (e *Engine) Build(ctx context.Context, b engine.BuildSpec, progress func(string)) error {
	if e.of(b.Ref).Kind != Missing {
		e.AddBuild(b.Ref, model.Behavior{})
	}
	return e.Engine.Build(ctx, b, progress)
}

// Ask makes a probe of a replica: it passes once the replica is ready.
func (e *Engine) Ask(ctx context.Context, _ spec.Probe, t probe.Target) error {
	c, err := e.Container(ctx, t.ID)
	if err != nil {
		return &probe.Unasked{Err: err}
	}
	switch b := e.of(c.Image); {
	case b.Kind == NeverReady:
		return fmt.Errorf("image %s is said to be never ready", c.Image)
	case time.Since(c.StartedAt) < b.ReadyAfter:
		return fmt.Errorf("image %s is said to be ready %s after its start", c.Image, b.ReadyAfter)
	}
	return nil
}

// major finds the major version of Postgres in an image's tag.
var major = regexp.MustCompile(`:(\d+)`)

// server answers what package postgres asks a server, by its image's tag.
func server(image string) func(engine.ExecSpec) (int, time.Duration) {
	version := "15"
	if found := major.FindStringSubmatch(image); found != nil {
		version = found[1]
	}
	return func(e engine.ExecSpec) (int, time.Duration) {
		if e.Stdout != nil && strings.Contains(strings.Join(e.Command, " "), "version=%s") {
			fmt.Fprintf(e.Stdout, "version=postgres (PostgreSQL) %s.0\ndistribution=debian\nrelease=12\nlibc=glibc 2.36\nicu=72\n", version)
		}
		return 0, 0
	}
}
