package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/tendhq/tend/controller"
	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/state/durable"
)

func newApply(f *flags) *cobra.Command {
	c := &cobra.Command{
		Use:   "apply",
		Short: "Converge once and exit; where a controller runs, wait until it has",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return apply(c.Context(), f)
		},
	}
	f.waits(c.Flags())
	f.owns(c.Flags())
	return c
}

func apply(ctx context.Context, f *flags) (err error) {
	project, err := f.load(ctx)
	if err != nil {
		return err
	}
	r, err := f.take(ctx, project)
	if held := new(durable.HeldError); errors.As(err, &held) && !held.Elsewhere {
		if asked := f.ownership(); len(asked) > 0 {
			return fmt.Errorf("%s keeps project %s, and it was not started with %s: restart it with that, or stop it first", held.Holder, project.Name, strings.Join(asked, " "))
		}
		return follow(ctx, f, project)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Release()) }()
	e, err := f.connect(ctx)
	if err != nil {
		return err
	}
	defer e.Close()
	ctx, cancel := context.WithTimeoutCause(ctx, f.timeout, fmt.Errorf("not done after %s", f.timeout))
	defer cancel()
	ctx, stop := durable.Guard(ctx, r)
	defer stop()
	return converge(ctx, f, engine.Fence(e, r.Check), r.store, project, newNarrator(), func(c *controller.Controller) { c.SetProject(project) })
}

// converge runs a controller, has it begin, and waits until it has converged.
// store is nil where nothing of it is to be remembered.
func converge(ctx context.Context, f *flags, e engine.Engine, store durable.Store, p *spec.Project, tell *narrator, begin func(*controller.Controller)) error {
	o := f.options(p)
	o.Engine, o.Log, o.OnEvent, o.Durable = e, tell.log, tell.event, store
	ctl := controller.New(o)
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	var parts sync.WaitGroup
	parts.Go(func() { ctl.Run(running) })
	begin(ctl)
	err := ctl.Wait(ctx)
	stop()
	parts.Wait()
	return err
}
