package model

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"syscall"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/tendhq/tend/controller/engine"
)

// Ping asks whether the engine is there.
func (e *Engine) Ping(ctx context.Context) error {
	return e.do(ctx, OpPing, "", func() error { return nil })
}

// Containers lists a project's containers, sorted by name.
func (e *Engine) Containers(ctx context.Context, project string) ([]engine.Container, error) {
	return ask(ctx, e, OpContainers, project, func() ([]engine.Container, error) {
		containers := []engine.Container{}
		for _, c := range e.containers {
			if c.Labels[engine.ProjectLabel] == project {
				containers = append(containers, c.view(e.agenda.Now))
			}
		}
		slices.SortFunc(containers, func(a, b engine.Container) int { return cmp.Compare(a.Name, b.Name) })
		return containers, nil
	})
}

// Container inspects one container.
func (e *Engine) Container(ctx context.Context, id string) (engine.Container, error) {
	return ask(ctx, e, OpContainer, id, func() (engine.Container, error) {
		c, err := e.find(id)
		if err != nil {
			return engine.Container{}, err
		}
		return c.view(e.agenda.Now), nil
	})
}

// containerName matches the names that Docker accepts.
var containerName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]+$`)

// Create makes a container.
func (e *Engine) Create(ctx context.Context, spec engine.ContainerSpec) (string, error) {
	return ask(ctx, e, OpCreate, spec.Name, func() (string, error) {
		for _, name := range networkNames(spec) {
			if e.networks[name] == nil {
				return "", failure(engine.NotFound, "network %s not found", name)
			}
		}
		for _, name := range volumeNames(spec) {
			if _, ok := e.volumes[name]; !ok {
				return "", failure(engine.NotFound, "get %s: no such volume", name)
			}
		}
		image := e.image(spec.Service.Image)
		if image == nil {
			return "", failure(engine.NotFound, "no such image: %s", spec.Service.Image)
		}
		if !containerName.MatchString(spec.Name) {
			return "", failure(engine.Invalid, "invalid container name (%s)", spec.Name)
		}
		if holder, taken := e.names[spec.Name]; taken {
			return "", failure(engine.Conflict, "the container name %q is already in use by container %q", spec.Name, holder)
		}
		if spec.Service.ReadOnly && len(copiedFiles(spec)) > 0 {
			return "", failure(engine.Invalid, "secrets and configs with content cannot be put into a read-only container")
		}
		behavior := image.behavior.of(spec.Service.Command)
		if e.behave != nil {
			behavior = e.behave(spec)
		}
		c := newInstance(e.newID(), spec, image, behavior)
		c.Created = e.agenda.Now
		e.mount(c, spec)
		e.add(c)
		return c.ID, nil
	})
}

// Start starts a container.
func (e *Engine) Start(ctx context.Context, id string) error {
	return e.do(ctx, OpStart, id, func() error {
		c, err := e.find(id)
		if err != nil {
			return err
		}
		switch c.State {
		case engine.Running, engine.Restarting:
			return nil
		case engine.Created, engine.Exited:
			return e.start(c, true)
		default:
			return failure(engine.Conflict, "cannot start a container that is %s", c.State)
		}
	})
}

// Stop stops a container. The engine counts the grace in whole seconds; it is
// rounded up.
func (e *Engine) Stop(ctx context.Context, id string, grace time.Duration) error {
	grace = (max(grace, 0) + time.Second - 1).Truncate(time.Second)
	return e.begin(ctx, OpStop, id, func(finish func(error)) {
		c := e.containers[id]
		if c == nil || !c.alive() {
			finish(nil)
			return
		}
		c.onExit = append(c.onExit, func() {
			e.emit(c, "stop")
			finish(nil)
		})
		e.signalStop(c, grace)
	})
}

// KillProcess sends SIGKILL to a container's process.
func (e *Engine) KillProcess(ctx context.Context, id string) error {
	return e.do(ctx, OpKillProcess, id, func() error {
		c, err := e.find(id)
		switch {
		case err != nil:
			return err
		case !c.hasProcess():
			return failure(engine.Conflict, "container %s is not running", c.Name)
		}
		if e.signal(c, syscall.SIGKILL) {
			e.exit(c, codeKilled)
		}
		return nil
	})
}

// Remove removes a container that is not running, and with volumes its anonymous
// ones.
func (e *Engine) Remove(ctx context.Context, id string, volumes bool) error {
	return e.do(ctx, OpRemove, id, func() error {
		switch c := e.containers[id]; {
		case c == nil:
			return nil
		case c.alive():
			return failure(engine.Conflict, "you cannot remove a container that is %s", c.State)
		case c.State == engine.Removing:
			return failure(engine.Conflict, "removal of container %s is already in progress", c.Name)
		default:
			e.remove(c)
			for _, name := range c.ownVolumes {
				if volumes && !e.mounted(name) {
					delete(e.volumes, name)
				}
			}
			return nil
		}
	})
}

// SetRestartPolicy gives a container another restart policy.
func (e *Engine) SetRestartPolicy(ctx context.Context, id, policy string) error {
	return e.do(ctx, OpSetRestartPolicy, id, func() error {
		c, err := e.find(id)
		if err != nil {
			return err
		}
		c.RestartPolicy = policy
		return nil
	})
}

// Logs writes a container's output.
func (e *Engine) Logs(ctx context.Context, id string, o engine.LogOptions, stdout, _ io.Writer) error {
	var exited chan struct{}
	lines, err := ask(ctx, e, OpLogs, id, func() ([]logLine, error) {
		c, err := e.find(id)
		if err != nil {
			return nil, err
		}
		if o.Follow && c.alive() {
			exited = make(chan struct{})
			c.onExit = append(c.onExit, func() { close(exited) })
		}
		return slices.Clone(c.log), nil
	})
	if err != nil {
		return err
	}
	lines = slices.DeleteFunc(lines, func(l logLine) bool { return l.at.Before(o.Since) })
	if o.Tail > 0 && len(lines) > o.Tail {
		lines = lines[len(lines)-o.Tail:]
	}
	for _, l := range lines {
		if o.Timestamps {
			_, err = fmt.Fprintf(stdout, "%s %s\n", l.at.UTC().Format(time.RFC3339Nano), l.text)
		} else {
			_, err = fmt.Fprintln(stdout, l.text)
		}
		if err != nil {
			return &engine.Error{Op: string(OpLogs), Object: id, Class: engine.Unknown, Err: err}
		}
	}
	// A container writes only at its start, and nothing more until its end.
	if exited != nil {
		select {
		case <-exited:
		case <-ctx.Done():
		}
	}
	return nil
}

func (e *Engine) find(id string) (*instance, error) {
	c := e.containers[id]
	if c == nil {
		return nil, failure(engine.NotFound, "no such container: %s", id)
	}
	return c, nil
}

// networkNames are the networks of a service by the engine's names, the first
// one first.
func networkNames(spec engine.ContainerSpec) []string {
	if spec.Service.NetworkMode != "" {
		return nil
	}
	keys := spec.Service.NetworksByPriority()
	for i, key := range keys {
		keys[i] = cmp.Or(spec.Networks[key], key)
	}
	return keys
}

// volumeNames are the named volumes of a service by the engine's names, sorted.
func volumeNames(spec engine.ContainerSpec) []string {
	names := map[string]bool{}
	for _, v := range spec.Service.Volumes {
		if v.Type == types.VolumeTypeVolume && v.Source != "" {
			names[cmp.Or(spec.Volumes[v.Source], v.Source)] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}
