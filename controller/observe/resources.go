package observe

import (
	"context"
	"reflect"
	"slices"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/state"
)

// Resources looks up the networks, volumes and images that are needed.
func (o *Observer) Resources(ctx context.Context) error {
	if err := o.relist.Acquire(ctx, 1); err != nil {
		return err
	}
	defer o.relist.Release(1)
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return o.resources(ctx)
}

// renew looks up the resources before it takes in a new container whose image is not
// the one that the name is known to stand for. Otherwise a container of the newest
// image would be replaced as an old one.
func (o *Observer) renew(ctx context.Context, c engine.Container) error {
	snap := o.store.Snapshot()
	image, needed := snap.Resource(core.ImageResource, c.Image)
	_, known := snap.Replica(c.ID)
	madeFrom := c.Labels[spec.LabelImage]
	if !needed || known || madeFrom == "" || madeFrom == image.ID {
		return nil
	}
	return o.Resources(ctx)
}

// missesResource reports whether a needed resource is missing.
func (o *Observer) missesResource() bool {
	return slices.ContainsFunc(o.store.Snapshot().Resources(), func(r *state.Resource) bool { return !r.Present })
}

func (o *Observer) resources(ctx context.Context) error {
	snap := o.store.Snapshot()
	needed := snap.Resources()
	if len(needed) == 0 {
		return nil
	}
	images, err := o.images(ctx, snap)
	if err != nil {
		return err
	}
	names := map[core.ResourceKind][]string{}
	for _, r := range needed {
		names[r.Kind] = append(names[r.Kind], r.Name)
	}
	found := map[string]string{} // the config hash of what exists, by String()
	ids := map[string]string{}
	digests := map[string]string{}
	if wanted := names[core.NetworkResource]; len(wanted) > 0 {
		networks, err := o.engine.Networks(ctx, o.project, wanted...)
		if err != nil {
			return err
		}
		for _, n := range networks {
			found["network "+n.Name], ids["network "+n.Name] = n.Labels[spec.LabelConfigHash], n.ID
		}
	}
	if wanted := names[core.VolumeResource]; len(wanted) > 0 {
		volumes, err := o.engine.Volumes(ctx, o.project, wanted...)
		if err != nil {
			return err
		}
		for _, v := range volumes {
			found["volume "+v.Name] = v.Labels[spec.LabelConfigHash]
		}
	}
	for _, r := range needed {
		if r.Kind != core.ImageResource {
			continue
		}
		image, err := o.engine.Image(ctx, r.Name)
		switch {
		case err == nil:
			found[r.String()], ids[r.String()], digests[r.Name] = "", image.ID, image.Digest
		case engine.ClassOf(err) != engine.NotFound:
			return err
		}
	}
	o.store.Update(func(tx *state.Tx) {
		for _, r := range needed {
			now, ok := tx.Resource(r.Kind, r.Name)
			if !ok {
				continue
			}
			next := now.Resource
			next.ActualHash, next.Present = found[r.String()]
			next.ID = ids[r.String()]
			if r.Kind == core.ImageResource {
				next.Digest = digests[r.Name]
			}
			next.Known = true
			if next.Present && !now.Present {
				next.Attempt = core.Attempt{}
			}
			if next != now.Resource {
				tx.PutResource(next)
			}
		}
		for _, row := range tx.Images() {
			if !slices.ContainsFunc(images, func(i core.LocalImage) bool { return i.ID == row.ID }) {
				tx.DeleteImage(row.ID)
			}
		}
		for _, i := range images {
			row, known := tx.Image(i.ID)
			if known {
				i.Attempt = row.Attempt
			}
			if !known || !reflect.DeepEqual(i, row.LocalImage) {
				tx.PutImage(i)
			}
		}
	})
	return nil
}

// images lists the local images of each repository whose old images are pruned. Where there
// is no such repository, the engine is not asked.
func (o *Observer) images(ctx context.Context, snap *state.Snapshot) (of []core.LocalImage, err error) {
	pruned := map[string]bool{}
	for _, w := range snap.Workloads() {
		if w.Spec.KeepImages > 0 {
			_, repository := spec.Name(w.Spec.Image)
			pruned[repository] = true
		}
	}
	if len(pruned) == 0 {
		return nil, nil
	}
	local, err := o.engine.Images(ctx)
	for _, i := range local {
		row, ours := core.LocalImage{ID: i.ID, Created: i.Created, InUse: i.InUse}, false
		for _, n := range i.Names {
			name, repository := spec.Name(n)
			row.Names, ours = append(row.Names, name), ours || pruned[repository]
		}
		if ours {
			of = append(of, row)
		}
	}
	return of, err
}
