//go:build linux

package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/tendhq/tend/controller"
	"github.com/tendhq/tend/controller/app"
	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/plan"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/state/durable"
)

func newDown(f *flags) *cobra.Command {
	var volumes bool
	c := &cobra.Command{
		Use:   "down",
		Short: "Stop and remove the project's containers and networks; with -v its volumes too",
		Long: `Stop and remove the project's containers and networks; with -v also the volumes of the services that are written,
anonymous ones too, and what is in them.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if f.engine == swarmEngine {
				return downOnSwarm(c.Context(), f, volumes)
			}
			return down(c.Context(), f, volumes)
		},
	}
	c.Flags().BoolVarP(&volumes, "volumes", "v", false, "remove the volumes of the services that are written, anonymous ones too, and what is in them")
	f.waits(c.Flags())
	f.owns(c.Flags())
	return c
}

func down(ctx context.Context, f *flags, volumes bool) (err error) {
	project, e, err := f.open(ctx)
	if err != nil {
		return err
	}
	defer e.Close()
	tell := newNarrator(project.Name)
	defer tell.close()
	ctx, cancel := f.bound(ctx)
	defer cancel()
	if err := refuseForeigners(ctx, e, f, project); err != nil {
		return err
	}
	// The controller goes first: it would repair what is taken away.
	if err := removeController(ctx, e, f, project); err != nil {
		return err
	}
	r, err := f.take(ctx, project)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Release()) }()
	ctx, stop := durable.Guard(ctx, r)
	defer stop()
	o := f.options(project)
	o.Engine, o.Log, o.OnEvent, o.OnStatus = e, tell.log, tell.event, tell.planned
	var ctl *controller.Controller
	err = app.Converge(ctx, o, r, func(c *controller.Controller) {
		ctl = c
		c.RemoveAll()
		c.SetProject(project)
	})
	if err != nil {
		return err
	}
	fenced := engine.Fence(e, r.Check)
	if err := removeNetworks(ctx, fenced, project, tell); err != nil {
		return err
	}
	anonymous := ctl.AnonymousVolumes()
	if volumes {
		return removeVolumes(ctx, fenced, project, slices.Sorted(maps.Keys(anonymous)), tell)
	}
	return listAnonymous(ctx, fenced, project, anonymous, tell)
}

// refuseForeigners refuses to take a project away while containers of its name were
// made from another folder, as its networks and volumes are theirs as well.
func refuseForeigners(ctx context.Context, e engine.Engine, f *flags, p *spec.Project) error {
	containers, err := e.Containers(ctx, p.Name)
	if err != nil {
		return err
	}
	var refusals []error
	for _, c := range containers {
		folder := f.options(p).Folders.Foreign(c.Labels)
		if folder == "" {
			continue
		}
		_, err := os.Stat(folder)
		refusals = append(refusals, errors.New(plan.ForeignProblem(core.Foreigner{Name: c.Name, Folder: folder, Gone: err != nil})))
	}
	if len(refusals) > 0 {
		return fmt.Errorf("nothing of project %s is taken away:\n%w", p.Name, errors.Join(refusals...))
	}
	return nil
}

// controllers are the containers that tend up has made.
func controllers(ctx context.Context, e engine.Engine, f *flags, p *spec.Project) ([]engine.Container, error) {
	if _, managed := p.Workloads[spec.ControllerService]; managed {
		return nil, nil
	}
	containers, err := e.Containers(ctx, p.Name)
	return slices.DeleteFunc(containers, func(c engine.Container) bool {
		return c.Labels[spec.LabelService] != spec.ControllerService || f.options(p).Folders.Foreign(c.Labels) != ""
	}), err
}

// removeController stops and removes the controller that tend up has started.
func removeController(ctx context.Context, e engine.Engine, f *flags, p *spec.Project) error {
	containers, err := controllers(ctx, e, f, p)
	if err != nil {
		return err
	}
	for _, c := range containers {
		if err := errors.Join(e.Stop(ctx, c.ID, controllerGrace), e.Remove(ctx, c.ID, true)); err != nil {
			return fmt.Errorf("remove the controller's container %s: %w", c.Name, err)
		}
	}
	return nil
}

func removeNetworks(ctx context.Context, e engine.Engine, p *spec.Project, tell *narrator) error {
	networks, err := e.Networks(ctx, p.Name)
	if err != nil {
		return err
	}
	for _, n := range networks {
		switch err := e.RemoveNetwork(ctx, n.ID); {
		case engine.ClassOf(err) == engine.Conflict:
			// As with Compose, that is no failure. Only a restart of the engine
			// corrects the engine's miscount (moby/moby#42119).
			tell.say("network %s stays: a container that tend leaves alone is joined to it (docker network inspect %s), or the engine counts one that is gone, until it restarts", n.Name, n.Name)
		case err != nil:
			return err
		default:
			tell.say("removed network %s", n.Name)
		}
	}
	return nil
}

// listAnonymous names the volumes without a name that stay. of holds the replica of
// each, by the volume's name.
func listAnonymous(ctx context.Context, e engine.Engine, p *spec.Project, of map[string]string, tell *narrator) error {
	volumes, err := e.Volumes(ctx, p.Name, slices.Collect(maps.Keys(of))...)
	if err != nil {
		return err
	}
	for _, v := range volumes {
		if replica, ok := of[v.Name]; ok {
			tell.say("volume %.12s of %s stays, and is mounted again by the next container of that number: tend down -v removes it", v.Name, replica)
		}
	}
	return nil
}

// removeVolumes removes the project's volumes that a written service uses, and the
// given anonymous ones. Any other volume with the project's label may be another
// folder's.
func removeVolumes(ctx context.Context, e engine.Engine, p *spec.Project, anonymous []string, tell *narrator) error {
	volumes, err := e.Volumes(ctx, p.Name, anonymous...)
	if err != nil {
		return err
	}
	for _, v := range volumes {
		if _, written := p.Volumes[v.Name]; !written && !slices.Contains(anonymous, v.Name) {
			tell.say("volume %s stays: no service that is written uses it (docker volume rm %s)", v.Name, v.Name)
			continue
		}
		if err := e.RemoveVolume(ctx, v.Name); err != nil {
			return err
		}
		tell.say("removed volume %s", v.Name)
	}
	return nil
}
