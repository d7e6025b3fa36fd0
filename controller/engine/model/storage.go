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
		return engine.Image{ID: i.id, Ref: ref}, nil
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
		return nil
	})
}

// RemoveVolume removes a volume that no container mounts.
func (e *Engine) RemoveVolume(ctx context.Context, name string) error {
	return e.do(ctx, OpRemoveVolume, name, func() error {
		for _, c := range e.containers {
			if slices.Contains(c.Volumes, name) {
				return failure(engine.Conflict, "volume is in use by %s", c.Name)
			}
		}
		delete(e.volumes, name)
		return nil
	})
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
