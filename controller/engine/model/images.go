package model

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/tendhq/tend/controller/engine"
)

// Images lists the local images that have a name, by their first one.
func (e *Engine) Images(ctx context.Context) ([]engine.LocalImage, error) {
	return ask(ctx, e, OpImages, "", func() ([]engine.LocalImage, error) {
		var local []engine.LocalImage
		for _, name := range slices.Sorted(maps.Keys(e.images)) {
			i := e.images[name]
			if at := slices.IndexFunc(local, func(l engine.LocalImage) bool { return l.ID == i.id }); at >= 0 {
				local[at].Names = append(local[at].Names, name)
				continue
			}
			local = append(local, engine.LocalImage{ID: i.id, Names: []string{name}, Created: i.created, InUse: e.used(i)})
		}
		return local, nil
	})
}

// used reports whether a container was made from an image.
func (e *Engine) used(i *image) bool {
	for _, c := range e.containers {
		if c.image == i {
			return true
		}
	}
	return false
}

// PruneImage takes all names of an image away.
func (e *Engine) PruneImage(ctx context.Context, id string) error {
	return e.do(ctx, OpPruneImage, id, func() error {
		i := e.image(id)
		if i == nil {
			return nil
		}
		tags := 0
		for name, named := range e.images {
			if named == i && !strings.Contains(name, "@") {
				tags++
			}
		}
		switch {
		case e.used(i):
			return failure(engine.Conflict, "unable to delete %s (must be forced): image is being used by a container", id)
		case tags > 1:
			return failure(engine.Conflict, "unable to delete %s (must be forced): image is referenced in multiple repositories", id)
		}
		maps.DeleteFunc(e.images, func(_ string, named *image) bool { return named == i })
		e.emitResource("delete")
		return nil
	})
}
