package docker

import (
	"context"
	"slices"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"

	"github.com/tendhq/tend/controller/engine"
)

// Images lists images and then containers, so that one that came between the two counts.
func (e *Engine) Images(ctx context.Context) ([]engine.LocalImage, error) {
	var local []engine.LocalImage
	err := e.Do(ctx, "list images", "", func(ctx context.Context) error {
		local = nil
		images, err := e.cli.ImageList(ctx, image.ListOptions{})
		if err != nil {
			return err
		}
		containers, err := e.cli.ContainerList(ctx, container.ListOptions{All: true})
		if err != nil {
			return err
		}
		used := map[string]bool{}
		for _, c := range containers {
			used[c.ImageID] = true
		}
		for _, i := range images {
			names := slices.Concat(i.RepoTags, i.RepoDigests)
			names = slices.DeleteFunc(names, func(name string) bool { return name == "<none>:<none>" || name == "<none>@<none>" })
			if len(names) > 0 {
				local = append(local, engine.LocalImage{ID: i.ID, Names: names, Created: time.Unix(i.Created, 0).UTC(), InUse: used[i.ID]})
			}
		}
		return nil
	})
	return local, err
}

// PruneImage forces nothing: the engine refuses what has several tags or a container.
func (e *Engine) PruneImage(ctx context.Context, id string) error {
	return e.Do(ctx, "prune image", id, func(ctx context.Context) error {
		_, err := e.cli.ImageRemove(ctx, id, image.RemoveOptions{PruneChildren: true})
		if errdefs.IsNotFound(err) {
			return nil
		}
		return err
	})
}
