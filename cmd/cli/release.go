//go:build linux

package cli

import (
	"context"
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/tendhq/tend/controller/app"
	"github.com/tendhq/tend/state/durable"
)

func newRelease(f *flags) *cobra.Command {
	c := &cobra.Command{
		Use:   "release",
		Short: "Keep the project no longer and leave it to docker compose, running as it is",
		Long: `Keep the project no longer: the controller's container is taken away, and all others are left to the engine and docker
compose, running as they are.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return release(c.Context(), f)
		},
	}
	f.waits(c.Flags())
	return c
}

func release(ctx context.Context, f *flags) (err error) {
	tell := newLineNarrator(os.Stderr)
	project, e, err := f.open(ctx)
	if err != nil {
		return err
	}
	defer e.Close()
	ctx, cancel := f.bound(ctx)
	defer cancel()
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
	o := app.Options{Engine: e, Project: project, DataDir: f.data(project.WorkingDir), Log: tell.log}
	done, err := app.New(o, r).Release(ctx, project)
	for _, text := range done {
		tell.say("%s", text)
	}
	if err != nil {
		return err
	}
	tell.say("project %s is docker compose's: it runs as it did, and tend run or tend up takes it over again", project.Name)
	return nil
}
