//go:build linux

package cli

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tendhq/tend/controller"
	"github.com/tendhq/tend/controller/app"
	"github.com/tendhq/tend/controller/swarm"
	"github.com/tendhq/tend/state/durable"
)

func newApply(f *flags) *cobra.Command {
	var rebuild bool
	c := &cobra.Command{
		Use:   "apply",
		Short: "Converge once and exit; where a controller runs, wait until it has",
		Long: `Converge once and exit. Where a controller runs, it does the work, and apply waits until it has.

On a terminal each workload is a line that is drawn in place; elsewhere each event is a line. It ends with 1 where the
project would not converge, and says what is in the way.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return apply(c.Context(), f, rebuild)
		},
	}
	c.Flags().BoolVar(&rebuild, "build", false, "build the images that have a build section before, also where they are here")
	f.waits(c.Flags())
	f.owns(c.Flags())
	return c
}

// garbage is how much the heap of a command that is mostly over in a moment grows from
// one collection to the next, in percent: collecting takes longer than it is worth.
const garbage = 400

func apply(ctx context.Context, f *flags, rebuild bool) (err error) {
	debug.SetGCPercent(garbage)
	project, err := f.load(ctx)
	if err != nil {
		return err
	}
	if rebuild && f.engine == swarmEngine {
		return errBuildOnSwarm
	}
	if err := f.refuseTwice(ctx, project); err != nil {
		return err
	}
	if rebuild {
		if err := f.rebuild(ctx, project); err != nil {
			return err
		}
	}
	r, err := f.take(ctx, project)
	if held := new(durable.HeldError); errors.As(err, &held) && !held.Elsewhere {
		if asked := f.ownership(); len(asked) > 0 {
			return fmt.Errorf("%s keeps project %s, and it was not started with %s: restart it with that, or stop it first", held.Holder, project.Name, strings.Join(asked, " "))
		}
		tell := newNarrator(project.Name)
		defer tell.close()
		return follow(ctx, f, project, tell)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Release()) }()
	if f.engine == swarmEngine {
		tell := newNarrator(project.Name)
		defer tell.close()
		return f.convergeOnSwarm(ctx, project, r, tell, func(c *swarm.Controller) { c.SetProject(project) })
	}
	e, err := f.connect(ctx)
	if err != nil {
		return err
	}
	defer e.Close()
	ctx, cancel := f.bound(ctx)
	defer cancel()
	ctx, stop := durable.Guard(ctx, r)
	defer stop()
	tell, o := newNarrator(project.Name), f.options(project)
	defer tell.close()
	f.sayPorts(project, tell)
	o.Engine, o.Log, o.OnEvent, o.OnStatus, o.OnProgress = e, tell.log, tell.event, tell.planned, tell.progress
	return app.Converge(ctx, o, r, func(c *controller.Controller) { c.SetProject(project) })
}
