package cli

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/execute"
	"github.com/tendhq/tend/controller/spec"
)

func newBuild(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:   "build [SERVICE...]",
		Short: "Build the images of services that have a build section; a controller rolls them out",
		RunE: func(c *cobra.Command, services []string) error {
			project, e, err := f.open(c.Context())
			if err != nil {
				return err
			}
			defer e.Close()
			images, err := builds(project, services)
			if err != nil {
				return err
			}
			if len(images) == 0 {
				return fmt.Errorf("no service of project %s has a build section that tend may build", project.Name)
			}
			return build(c.Context(), e, project, images)
		},
	}
}

// builds returns the images that the services build, of all services where none is named.
func builds(p *spec.Project, services []string) (images []string, err error) {
	for _, name := range services {
		w, ok := p.Workloads[name]
		switch {
		case !ok:
			return nil, fmt.Errorf("project %s has no service %s", p.Name, name)
		case w.Build == nil && p.Policy.Bounds():
			return nil, fmt.Errorf("under the policy %s tend builds nothing: build the image before", p.Policy)
		case w.Build == nil:
			return nil, fmt.Errorf("service %s has no build section", name)
		}
	}
	for name, w := range p.Workloads {
		wanted := len(services) == 0 || slices.Contains(services, name)
		if wanted && w.Build != nil && !slices.Contains(images, w.Image) {
			images = append(images, w.Image)
		}
	}
	slices.Sort(images)
	return images, nil
}

// buildMissing builds those images of a project that are not here, or all of them.
func buildMissing(ctx context.Context, e engine.Engine, p *spec.Project, all bool) error {
	images, err := builds(p, nil)
	if err != nil {
		return err
	}
	for _, image := range images {
		_, err := e.Image(ctx, image)
		switch {
		case err != nil && engine.ClassOf(err) != engine.NotFound:
			return err
		case err == nil && !all:
			continue
		}
		if err := build(ctx, e, p, []string{image}); err != nil {
			return err
		}
	}
	return nil
}

// build builds images, one after the other, and says what the builder says.
func build(ctx context.Context, e engine.Engine, p *spec.Project, images []string) error {
	tell := newLineNarrator(os.Stderr)
	for _, image := range images {
		tell.say("building %s", image)
		err := execute.Build(ctx, e, p, image, func(line string) { tell.say("  %s", strings.TrimRight(line, " ")) })
		if err != nil {
			return err
		}
	}
	return nil
}

// rebuild builds all images of a project that have a build section.
func (f *flags) rebuild(ctx context.Context, p *spec.Project) error {
	e, err := f.connect(ctx)
	if err != nil {
		return err
	}
	defer e.Close()
	return buildMissing(ctx, e, p, true)
}
