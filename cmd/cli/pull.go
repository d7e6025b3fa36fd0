package cli

import (
	"context"
	"fmt"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/spf13/cobra"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/spec"
)

func newPull(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:   "pull [SERVICE...]",
		Short: "Pull the images of services, also those that are here; a controller rolls out the ones that are others",
		Long: `Pull the images of services that are not built, also those that are here. A controller rolls out the ones that have
changed.`,
		RunE: func(c *cobra.Command, services []string) error {
			project, err := f.load(c.Context())
			if err != nil {
				return err
			}
			images, err := pulls(project, services)
			if err != nil {
				return err
			}
			if len(images) == 0 {
				return fmt.Errorf("project %s has no image that tend may pull", project.Name)
			}
			e, err := f.connect(c.Context())
			if err != nil {
				return err
			}
			defer e.Close()
			return pull(c.Context(), e, images)
		},
	}
}

// pulls returns the images of the services, of all services where none is named. Those
// that are built are left out, as by `docker compose pull --ignore-buildable`, and those
// that pull_policy says never to pull.
func pulls(p *spec.Project, services []string) (images []string, err error) {
	pulled := func(w *spec.Workload) bool {
		return w.Kind != spec.Ingress && w.Template.Build == nil && w.PullPolicy != types.PullPolicyNever
	}
	for _, name := range services {
		w, ok := p.Workloads[name]
		switch {
		case !ok:
			return nil, fmt.Errorf("project %s has no service %s", p.Name, name)
		case !pulled(w):
			return nil, fmt.Errorf("the image of service %s is built here, or its pull_policy is never", name)
		}
	}
	for name, w := range p.Workloads {
		if pulled(w) && (len(services) == 0 || slices.Contains(services, name)) {
			images = append(images, w.Images()...)
		}
	}
	slices.Sort(images)
	return slices.Compact(images), nil
}

// pull pulls images, one after the other, and shows how far each is. One that fails does
// not keep the others from being pulled.
func pull(ctx context.Context, e engine.Engine, images []string) error {
	tell := newNarrator("pulling images")
	defer tell.close()
	failed := 0
	for _, image := range images {
		did := core.Action{Kind: core.PullImage, Object: image}
		err := e.Pull(ctx, image, func(text string) { tell.progress(did, text) })
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			tell.say("%v", err)
			failed++
		default:
			tell.progress(did, "")
			tell.say("pulled %s", image)
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d images could not be pulled", failed, len(images))
	}
	return nil
}
