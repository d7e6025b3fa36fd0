package model

import (
	"cmp"
	"context"
	"maps"
	"path"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/tendhq/tend/controller/engine"
)

// Image inspects a local image.
func (e *Engine) Image(ctx context.Context, ref string) (engine.Image, error) {
	return ask(ctx, e, OpImage, ref, func() (engine.Image, error) {
		i := e.image(ref)
		if i == nil {
			return engine.Image{}, failure(engine.NotFound, "no such image: %s", ref)
		}
		return engine.Image{ID: i.id, Ref: ref, Digest: i.digest}, nil
	})
}

// Build makes the image that AddBuild has told of.
func (e *Engine) Build(ctx context.Context, b engine.BuildSpec, progress func(string)) error {
	err := e.do(ctx, OpBuild, b.Ref, func() error {
		behavior, ok := e.builds[b.Ref]
		if !ok {
			return failure(engine.Unknown, "failed to solve: the build of %s exits with code 1", b.Ref)
		}
		e.images[b.Ref] = e.newImage(behavior)
		e.emitResource("tag")
		return nil
	})
	if err == nil {
		progress("Successfully tagged " + b.Ref)
	}
	return err
}

// Digest tells what a name stands for among the published images.
func (e *Engine) Digest(ctx context.Context, ref string) (string, error) {
	return ask(ctx, e, OpDigest, ref, func() (string, error) {
		i := e.registry[ref]
		if i == nil {
			return "", failure(engine.NotFound, "manifest of %s unknown", ref)
		}
		return i.digest, nil
	})
}

// Pull makes a published image local.
func (e *Engine) Pull(ctx context.Context, ref string, progress func(string)) error {
	err := e.do(ctx, OpPull, ref, func() error {
		i := e.registry[ref]
		if i == nil {
			return failure(engine.NotFound, "pull access denied for %s: repository does not exist", ref)
		}
		e.images[ref] = i
		e.images[atDigest(ref, i)] = i
		e.emitResource("pull")
		return nil
	})
	if err == nil {
		progress("Status: Downloaded newer image for " + ref)
	}
	return err
}

// Volumes lists volumes, sorted by name.
func (e *Engine) Volumes(ctx context.Context, project string, names ...string) ([]engine.Volume, error) {
	return ask(ctx, e, OpVolumes, project, func() ([]engine.Volume, error) {
		var found []engine.Volume
		for _, name := range slices.Sorted(maps.Keys(e.volumes)) {
			v := e.volumes[name]
			if v.Labels[engine.ProjectLabel] == project || slices.Contains(names, name) {
				v.Labels = maps.Clone(v.Labels)
				found = append(found, v)
			}
		}
		return found, nil
	})
}

// CreateVolume makes a volume, or leaves the one that is there.
func (e *Engine) CreateVolume(ctx context.Context, spec engine.VolumeSpec) error {
	return e.do(ctx, OpCreateVolume, spec.Name, func() error {
		driver := cmp.Or(spec.Config.Driver, "local")
		if v, ok := e.volumes[spec.Name]; ok {
			if v.Driver != driver {
				return failure(engine.Conflict, "a volume named %s already exists with the %s driver", spec.Name, v.Driver)
			}
			return nil
		}
		e.volumes[spec.Name] = engine.Volume{Name: spec.Name, Driver: driver, Labels: maps.Clone(spec.Labels)}
		e.emitResource("create")
		return nil
	})
}

// RemoveVolume removes a volume that no container mounts.
func (e *Engine) RemoveVolume(ctx context.Context, name string) error {
	return e.do(ctx, OpRemoveVolume, name, func() error {
		if e.mounted(name) {
			return failure(engine.Conflict, "volume %s is in use", name)
		}
		delete(e.volumes, name)
		e.emitResource("destroy")
		return nil
	})
}

// mount mounts a new container's volumes and binds; it makes the anonymous volumes
// that are not carried over.
func (e *Engine) mount(c *instance, spec engine.ContainerSpec) {
	at := map[string]engine.Mount{}
	anonymous := func(target string, readOnly bool) {
		name, carried := spec.Anonymous[target]
		if _, exists := e.volumes[name]; !carried || !exists {
			name = e.newID()
			e.volumes[name] = engine.Volume{Name: name, Driver: "local"}
			c.ownVolumes = append(c.ownVolumes, name)
		}
		at[target] = engine.Mount{Target: target, Source: name, Volume: true, Anonymous: true, ReadOnly: readOnly}
	}
	for _, v := range spec.Service.Volumes {
		switch {
		case v.Type == types.VolumeTypeVolume && v.Source == "":
			anonymous(v.Target, v.ReadOnly)
		case v.Type == types.VolumeTypeVolume:
			at[v.Target] = engine.Mount{Target: v.Target, Source: cmp.Or(spec.Volumes[v.Source], v.Source), Volume: true, ReadOnly: v.ReadOnly}
		case v.Type == types.VolumeTypeBind:
			at[v.Target] = engine.Mount{Target: v.Target, Source: v.Source, ReadOnly: v.ReadOnly}
		}
	}
	for _, j := range c.Joins {
		if other := e.containers[j.ID]; j.Kind == engine.JoinVolumes && other != nil {
			for _, m := range other.Mounts {
				if _, taken := at[m.Target]; !taken {
					at[m.Target] = m
				}
			}
		}
	}
	for _, target := range c.image.behavior.Volumes {
		if _, taken := at[target]; !taken {
			anonymous(target, false)
		}
	}
	c.Mounts = slices.SortedFunc(maps.Values(at), func(a, b engine.Mount) int { return cmp.Compare(a.Target, b.Target) })
}

// mounted reports whether a container mounts a volume, running or not.
func (e *Engine) mounted(name string) bool {
	for _, c := range e.containers {
		if slices.ContainsFunc(c.Mounts, func(m engine.Mount) bool { return m.Volume && m.Source == name }) {
			return true
		}
	}
	return false
}

// copiedFiles are the secrets and configs with a content, by path in the container.
func copiedFiles(spec engine.ContainerSpec) map[string]string {
	files := map[string]string{}
	put := func(folder string, reference types.FileReferenceConfig, object types.FileObjectConfig) {
		target := cmp.Or(reference.Target, reference.Source)
		if !path.IsAbs(target) {
			target = path.Join(folder, target)
		}
		if object.Content != "" {
			files[target] = object.Content
		}
	}
	for _, s := range spec.Service.Secrets {
		put("/run/secrets", types.FileReferenceConfig(s), types.FileObjectConfig(spec.Secrets[s.Source]))
	}
	for _, s := range spec.Service.Configs {
		put("/", types.FileReferenceConfig(s), types.FileObjectConfig(spec.Configs[s.Source]))
	}
	return files
}
