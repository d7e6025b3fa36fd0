package migrate

import (
	"context"
	"maps"
	"slices"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/swarm/convert"
)

// overlays are the overlays of a project's networks, by the names of their bridges.
func overlays(p *spec.Project) map[string]string {
	all := map[string]string{}
	for name, n := range p.Networks {
		if overlay := convert.NetworkName(p, n); overlay != name {
			all[name] = overlay
		}
	}
	return all
}

// beside is an engine whose new containers join overlays, too, so that they and the tasks of
// the Swarm find each other. Whoever keeps containers on it sees nothing of that.
type beside struct {
	engine.Engine
	hidden []string // the overlays
	// joins are the overlays that a container of a service in some networks is to join.
	joins func(service string, bridges []string) []joining
}

// Create makes a container that is in the overlays that it is to join before it is started.
func (b *beside) Create(ctx context.Context, c engine.ContainerSpec) (string, error) {
	id, err := b.Engine.Create(ctx, c)
	if err != nil || c.Service.NetworkMode != "" || c.Labels[spec.LabelIngress] != "" {
		return id, err
	}
	for _, j := range b.joins(c.Labels[spec.LabelService], slices.Collect(maps.Values(c.Networks))) {
		if err := b.Engine.ConnectNetwork(ctx, id, j.overlay, j.aliases...); err != nil {
			return id, err
		}
	}
	return id, nil
}

// Containers lists the containers as if they were in no overlay.
func (b *beside) Containers(ctx context.Context, project string) ([]engine.Container, error) {
	all, err := b.Engine.Containers(ctx, project)
	for i := range all {
		b.hide(&all[i])
	}
	return all, err
}

// Container inspects a container as if it were in no overlay.
func (b *beside) Container(ctx context.Context, id string) (engine.Container, error) {
	c, err := b.Engine.Container(ctx, id)
	b.hide(&c)
	return c, err
}

func (b *beside) hide(c *engine.Container) {
	for _, overlay := range b.hidden {
		delete(c.Networks, overlay)
		delete(c.NetworkIDs, overlay)
	}
}
