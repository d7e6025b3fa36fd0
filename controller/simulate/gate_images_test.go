package simulate

import (
	"context"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/model"
)

func (g *gate) Images(ctx context.Context) ([]engine.LocalImage, error) {
	return pass(ctx, g, &call{op: model.OpImages}, func(ctx context.Context) ([]engine.LocalImage, error) { return g.engine.Images(ctx) })
}

func (g *gate) PruneImage(ctx context.Context, id string) error {
	return g.effect(ctx, &call{op: model.OpPruneImage, object: id}, func(ctx context.Context) error { return g.engine.PruneImage(ctx, id) })
}
