package enginetest

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/tendhq/tend/controller/engine"
)

// Recorder is an engine that writes down what it is asked, what comes of it, and
// what happens to the containers of one project meanwhile. What changes nothing
// that an engine keeps, and tells nothing of it, is left out: Info, Logs and Exec.
type Recorder struct {
	engine.Engine
	*listener

	mu    sync.Mutex
	trace Trace
	// networks are those that were listed: their names, by ID.
	networks map[string]string
}

// Trace is what a Recorder has written down.
type Trace struct {
	project string
	calls   []*call
	events  []engine.Event
	images  map[string]string // references, by ID
}

// call is a call that has ended.
type call struct {
	what         string
	began, ended time.Time
	err          error
	// id is the container that is to be changed; of a create, the one that it made.
	id string
	// action is the event by which the change begins.
	action string
	// again does the same on another engine, where the container has another ID. It is
	// nil for a read.
	again doing
	// saw are the objects that a read showed, by name; those that it would have shown
	// have a name that begins with about.
	saw   map[string]any
	about string
}

// moment is when something of a trace was.
type moment struct {
	at    time.Time
	after time.Duration // since the moment before
	pass  func(*acceptance)
}

// moments are those of a trace in order.
func (trace Trace) moments() []moment {
	var all []moment
	for _, c := range trace.calls {
		all = append(all,
			moment{at: c.began, pass: func(a *acceptance) { a.begins(c) }},
			moment{at: c.ended, pass: func(a *acceptance) { a.ends(c) }})
	}
	for _, e := range trace.events {
		all = append(all, moment{at: e.Time, pass: func(a *acceptance) { a.happens(e) }})
	}
	slices.SortStableFunc(all, func(a, b moment) int { return a.at.Compare(b.at) })
	for i := 1; i < len(all); i++ {
		all[i].after = all[i].at.Sub(all[i-1].at)
	}
	return all
}

// doing changes something at an engine, and returns the ID of the object that it made.
type doing func(ctx context.Context, e engine.Engine, id string) (made string, err error)

// Record makes a recorder of a project that is still empty.
func Record(t T, e engine.Engine, project string) *Recorder {
	return &Recorder{
		Engine: e, listener: listen(t, e, project), trace: Trace{project: project, images: map[string]string{}},
		networks: map[string]string{},
	}
}

// Trace is what was written down, when nothing is asked any more and every
// container was removed.
func (r *Recorder) Trace(t T) Trace {
	var made []string
	for _, c := range r.trace.calls {
		if c.action == "create" && c.id != "" {
			made = append(made, c.id)
		}
	}
	r.trace.events = slices.DeleteFunc(r.ends(t, made), func(e engine.Event) bool {
		return e.ContainerID == "" // of images, networks and volumes, which may be anybody's
	})
	return r.trace
}

// note writes down a call that has ended now.
func (r *Recorder) note(c *call) {
	c.ended = time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trace.calls = append(r.trace.calls, c)
}

func (r *Recorder) change(ctx context.Context, what, id, action string, do doing) (string, error) {
	c := &call{what: what, began: time.Now(), id: id, action: action, again: do}
	made, err := do(ctx, r.Engine, id)
	if made != "" {
		c.id = made
	}
	c.err = err
	r.note(c)
	return made, err
}

// Create makes a container.
func (r *Recorder) Create(ctx context.Context, spec engine.ContainerSpec) (string, error) {
	return r.change(ctx, "create "+spec.Name, "", "create", func(ctx context.Context, e engine.Engine, _ string) (string, error) {
		return e.Create(ctx, spec)
	})
}

// Start starts a container.
func (r *Recorder) Start(ctx context.Context, id string) error {
	_, err := r.change(ctx, "start", id, "start", func(ctx context.Context, e engine.Engine, id string) (string, error) {
		return "", e.Start(ctx, id)
	})
	return err
}

// Stop stops a container.
func (r *Recorder) Stop(ctx context.Context, id string, grace time.Duration) error {
	_, err := r.change(ctx, "stop", id, "kill", func(ctx context.Context, e engine.Engine, id string) (string, error) {
		return "", e.Stop(ctx, id, grace)
	})
	return err
}

// Remove removes a container.
func (r *Recorder) Remove(ctx context.Context, id string, volumes bool) error {
	_, err := r.change(ctx, "remove", id, "destroy", func(ctx context.Context, e engine.Engine, id string) (string, error) {
		return "", e.Remove(ctx, id, volumes)
	})
	return err
}

// SetRestartPolicy gives a container another restart policy.
func (r *Recorder) SetRestartPolicy(ctx context.Context, id, policy string) error {
	_, err := r.change(ctx, "disable restarts", id, "", func(ctx context.Context, e engine.Engine, id string) (string, error) {
		return "", e.SetRestartPolicy(ctx, id, policy)
	})
	return err
}

// ConnectNetwork has a container join one more network.
func (r *Recorder) ConnectNetwork(ctx context.Context, id, network string, aliases ...string) error {
	_, err := r.change(ctx, "connect to "+network, id, "", func(ctx context.Context, e engine.Engine, id string) (string, error) {
		return "", e.ConnectNetwork(ctx, id, network, aliases...)
	})
	return err
}

// DisconnectNetwork takes a container out of a network.
func (r *Recorder) DisconnectNetwork(ctx context.Context, id, network string) error {
	_, err := r.change(ctx, "disconnect from "+network, id, "", func(ctx context.Context, e engine.Engine, id string) (string, error) {
		return "", e.DisconnectNetwork(ctx, id, network)
	})
	return err
}

// CreateNetwork makes a network.
func (r *Recorder) CreateNetwork(ctx context.Context, n engine.NetworkSpec) error {
	_, err := r.change(ctx, "create network "+n.Name, "", "", func(ctx context.Context, e engine.Engine, _ string) (string, error) {
		return "", e.CreateNetwork(ctx, n)
	})
	return err
}

// RemoveNetwork removes a network that was listed before. The model does it by name.
func (r *Recorder) RemoveNetwork(ctx context.Context, id string) error {
	r.mu.Lock()
	name := r.networks[id]
	r.mu.Unlock()
	_, err := r.change(ctx, "remove network "+name, "", "", func(ctx context.Context, e engine.Engine, _ string) (string, error) {
		return "", e.RemoveNetwork(ctx, name)
	})
	return err
}

// CreateVolume makes a volume.
func (r *Recorder) CreateVolume(ctx context.Context, v engine.VolumeSpec) error {
	_, err := r.change(ctx, "create volume "+v.Name, "", "", func(ctx context.Context, e engine.Engine, _ string) (string, error) {
		return "", e.CreateVolume(ctx, v)
	})
	return err
}

// RemoveVolume removes a volume.
func (r *Recorder) RemoveVolume(ctx context.Context, name string) error {
	_, err := r.change(ctx, "remove volume "+name, "", "", func(ctx context.Context, e engine.Engine, _ string) (string, error) {
		return "", e.RemoveVolume(ctx, name)
	})
	return err
}

// The objects of a trace are named by their kind and ID or name.
const (
	aContainer = "container "
	aNetwork   = "network "
	aVolume    = "volume "
)

// Container inspects one container.
func (r *Recorder) Container(ctx context.Context, id string) (engine.Container, error) {
	call := &call{what: "inspect", began: time.Now(), about: aContainer + id, saw: map[string]any{}}
	c, err := r.Engine.Container(ctx, id)
	if err == nil {
		call.saw[aContainer+id] = c
	}
	if err == nil || engine.ClassOf(err) == engine.NotFound {
		r.note(call)
	}
	return c, err
}

// Containers lists the containers of the project.
func (r *Recorder) Containers(ctx context.Context, project string) ([]engine.Container, error) {
	call := &call{what: "list containers", began: time.Now(), about: aContainer, saw: map[string]any{}}
	all, err := r.Engine.Containers(ctx, project)
	for _, c := range all {
		call.saw[aContainer+c.ID] = c
	}
	if err == nil {
		r.note(call)
	}
	return all, err
}

// Networks lists networks.
func (r *Recorder) Networks(ctx context.Context, project string, names ...string) ([]engine.Network, error) {
	call := &call{what: "list networks", began: time.Now(), about: aNetwork, saw: map[string]any{}}
	all, err := r.Engine.Networks(ctx, project, names...)
	r.mu.Lock()
	for _, n := range all {
		r.networks[n.ID] = n.Name
		call.saw[aNetwork+n.Name] = object{n.Name, n.Driver, n.Labels}
	}
	r.mu.Unlock()
	if err == nil {
		r.note(call)
	}
	return all, err
}

// Volumes lists volumes.
func (r *Recorder) Volumes(ctx context.Context, project string, names ...string) ([]engine.Volume, error) {
	call := &call{what: "list volumes", began: time.Now(), about: aVolume, saw: map[string]any{}}
	all, err := r.Engine.Volumes(ctx, project, names...)
	for _, v := range all {
		call.saw[aVolume+v.Name] = object(v)
	}
	if err == nil {
		r.note(call)
	}
	return all, err
}

// Image inspects a local image.
func (r *Recorder) Image(ctx context.Context, ref string) (engine.Image, error) {
	image, err := r.Engine.Image(ctx, ref)
	if err == nil {
		r.mu.Lock()
		r.trace.images[image.ID] = ref
		r.mu.Unlock()
	}
	return image, err
}
