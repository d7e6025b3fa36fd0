// Package execute carries out actions. It knows how, never whether: it holds no policy,
// does not retry and does not wait for a state.
package execute

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"golang.org/x/sync/singleflight"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/ingress/image"
)

const (
	// callTimeout bounds an action that should take moments. An engine under load can
	// take many seconds for a create.
	callTimeout = 2 * time.Minute
	// stopMargin is what the engine may take beyond the grace to report an exit.
	stopMargin = time.Minute
	// longTimeout bounds a pull, and a database's backup.
	longTimeout = time.Hour
)

// Executor carries out actions on an engine.
type Executor struct {
	engine  engine.Engine
	dataDir string
	// executable is the file that the image of the ingresses is made from.
	executable string
	// Progress is called with how far an action is that may take long, and with "" when a
	// pull has ended well. It must not block, and may be nil.
	Progress func(a core.Action, text string)

	looking singleflight.Group
}

// image looks an image up; replicas that are created at once share one call.
func (x *Executor) image(ctx context.Context, ref string) (engine.Image, error) {
	found, err, _ := x.looking.Do(ref, func() (any, error) { return x.engine.Image(ctx, ref) })
	return found.(engine.Image), err
}

// New makes an executor. Backups go to the data directory, and copies of the files that
// containers get. executable is the file that the image of the ingresses is made from.
func New(e engine.Engine, dataDir, executable string) *Executor {
	return &Executor{engine: e, dataDir: dataDir, executable: executable}
}

// Result is what an action has led to.
type Result struct {
	// ID is the container's that it made or acted on, also where it failed.
	ID string
	// Warning tells what failed and did not keep the action from being carried out, as a
	// pre_stop command; empty where nothing did.
	Warning string
	// Registry is what a registry has answered.
	Registry core.RegistryAnswer
}

// Do carries out one action. p is the project that it was planned for.
func (x *Executor) Do(ctx context.Context, a core.Action, p *spec.Project) (r Result, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout(a))
	defer cancel()
	r.ID = a.ID
	switch a.Kind {
	case core.StopReplica:
		r.Warning, err = x.stop(ctx, a)
	case core.AskRegistry:
		r.Registry.Digest, err = x.engine.Digest(ctx, a.Object)
		r.Registry.RetryAfter = engine.RetryAfterOf(err)
	default:
		r.ID, err = x.do(ctx, a, p)
	}
	return r, err
}

// do carries out an action of which only its container's ID is to be known, and returns
// that.
func (x *Executor) do(ctx context.Context, a core.Action, p *spec.Project) (id string, err error) {
	switch a.Kind {
	case core.CreateReplica:
		return x.create(ctx, a, p)
	case core.PrepareUpdate:
		return a.ID, x.prepare(ctx, a, p)
	case core.CheckUpdate:
		return a.ID, x.check(ctx, a, p, x.describeImage)
	case core.RunHook:
		return x.runHook(ctx, a, p)
	case core.StartReplica:
		return a.ID, x.start(ctx, a.ID, a)
	case core.RemoveReplica:
		return a.ID, x.engine.Remove(ctx, a.ID, a.Volumes)
	case core.UpdateReplica:
		return a.ID, x.engine.SetRestartPolicy(ctx, a.ID, a.RestartPolicy)
	case core.ConnectReplica:
		return a.ID, x.connect(ctx, a)
	case core.CreateNetwork:
		n := p.Networks[a.Object]
		return "", x.engine.CreateNetwork(ctx, engine.NetworkSpec{Name: n.Name, Labels: spec.NetworkLabels(p, n), Config: n.Config})
	case core.CreateVolume:
		v := p.Volumes[a.Object]
		return "", x.engine.CreateVolume(ctx, engine.VolumeSpec{Name: v.Name, Labels: spec.VolumeLabels(p, v), Config: v.Config})
	case core.PullImage:
		err := x.engine.Pull(ctx, a.Object, func(text string) { x.tell(a, text) })
		if err == nil {
			x.tell(a, "")
		}
		return "", err
	case core.RemoveImage:
		return "", x.engine.PruneImage(ctx, a.ID)
	case core.MakeImage:
		return "", x.makeImage(ctx)
	case core.BuildImage:
		return "", Build(ctx, x.engine, p, a.Object, func(string) {})
	default:
		return "", fmt.Errorf("execute: no such action: %s", a.Kind)
	}
}

// connect has a container join networks, and then leave others.
func (x *Executor) connect(ctx context.Context, a core.Action) error {
	for _, network := range a.Connect {
		if err := x.engine.ConnectNetwork(ctx, a.ID, network); err != nil {
			return err
		}
	}
	for _, network := range a.Disconnect {
		if err := x.engine.DisconnectNetwork(ctx, a.ID, network); err != nil {
			return err
		}
	}
	return nil
}

func (x *Executor) tell(a core.Action, text string) {
	if x.Progress != nil {
		x.Progress(a, text)
	}
}

func timeout(a core.Action) time.Duration {
	switch a.Kind {
	case core.StopReplica:
		return a.Grace + stopMargin
	case core.PullImage, core.BuildImage, core.PrepareUpdate:
		return longTimeout
	default:
		return callTimeout + a.StartTimeout
	}
}

// Kill has the engine kill the process of a container.
func (x *Executor) Kill(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return x.engine.KillProcess(ctx, id)
}

// makeImage makes the image of the ingresses, which is of this program's architecture.
func (x *Executor) makeImage(ctx context.Context) error {
	arch, err := x.engine.Architecture(ctx)
	if err != nil {
		return err
	}
	if arch != runtime.GOARCH {
		return fmt.Errorf("make the image of the ingress: the engine's machine is %s, and this tend is made for %s: run the tend for %[1]s, as on that machine, "+
			"or have containers publish their ports with `x-tend: {ports: direct}` on the service", arch, runtime.GOARCH)
	}
	file, err := os.Open(x.executable)
	if err != nil {
		return fmt.Errorf("make the image of the ingress: %w", err)
	}
	defer file.Close()
	made, err := image.New(file)
	if err != nil {
		return err
	}
	reader, writer := io.Pipe()
	defer reader.Close()
	go func() {
		_, err := made.WriteTo(writer)
		_ = writer.CloseWithError(err) // which cannot fail
	}()
	return x.engine.LoadImage(ctx, reader)
}

// Build builds an image of a project. progress receives what the builder says.
func Build(ctx context.Context, e engine.Engine, p *spec.Project, image string, progress func(string)) error {
	b, ok := p.Build(image)
	if !ok {
		return fmt.Errorf("no service builds the image %s", image)
	}
	return e.Build(ctx, engine.BuildSpec{
		Ref: image, Config: b.Config, Labels: b.Labels, Secrets: p.Secrets, Platform: b.Platform,
	}, progress)
}

// create makes a replica and starts it.
func (x *Executor) create(ctx context.Context, a core.Action, p *spec.Project) (string, error) {
	w := a.Spec
	return x.run(ctx, p, a, func(c *engine.ContainerSpec, imageID string) {
		c.Name, c.Labels = a.Object, spec.ContainerLabels(p, w, a.Number, imageID, a.Joins)
		c.Anonymous = a.Anonymous
		if c.Service.StopGracePeriod == nil && w.Kind == spec.Database {
			// The container's own grace is longer than the engine's, so that it also
			// holds when somebody else stops it.
			grace := types.Duration(w.StopGrace)
			c.Service.StopGracePeriod = &grace
		}
	})
}

// runHook makes the one-off container of a hook and starts it.
func (x *Executor) runHook(ctx context.Context, a core.Action, p *spec.Project) (string, error) {
	w := a.Spec
	return x.run(ctx, p, a, func(c *engine.ContainerSpec, imageID string) {
		c.Name, c.Labels = spec.HookName(p.Name, w, a.Object), spec.HookLabels(p, w, a.Object, imageID, a.Joins)
		c.Service.Command = a.Command
		c.RestartPolicy = "no" // it runs once
		c.Service.Ports, c.Service.HealthCheck = nil, &types.HealthCheckConfig{Disable: true}
	})
}

// run makes a container from the template of an action's workload, as changed, and starts
// it.
func (x *Executor) run(ctx context.Context, p *spec.Project, a core.Action, change func(c *engine.ContainerSpec, imageID string)) (string, error) {
	w := a.Spec
	image, err := x.image(ctx, w.Image)
	if err != nil {
		return "", err
	}
	secrets, configs, err := x.files(p, w)
	if err != nil {
		return "", err
	}
	c := engine.ContainerSpec{
		Project: p.Name, WorkingDir: p.WorkingDir, Service: spec.Joined(w.ContainerService(), a.Joins),
		Networks: map[string]string{}, Volumes: map[string]string{},
		Secrets: secrets, Configs: configs, RestartPolicy: w.RestartPolicy,
	}
	c.Service.Image = w.Image // a service that is only built names no image
	for name, key := range w.NetworkKeys {
		c.Networks[key] = name
	}
	for _, v := range p.Volumes {
		c.Volumes[v.Key] = v.Name
	}
	change(&c, image.ID)
	id, err := x.engine.Create(ctx, c)
	if err != nil {
		return id, err
	}
	return id, x.start(ctx, id, a)
}
