package cli

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"github.com/tendhq/tend/api"
	"github.com/tendhq/tend/api/client"
	"github.com/tendhq/tend/cmd/watch"
	"github.com/tendhq/tend/controller/spec/edit"
)

func newWatch(f *flags) *cobra.Command {
	var once bool
	var record string
	c := &cobra.Command{
		Use:   "watch",
		Short: "Show all workloads, replicas and events live, on a full screen",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			o := watch.Options{
				Version: f.version, Dial: f.dial, Verbs: f.verbs(), Sources: f.sources(),
				In: os.Stdin, Out: os.Stdout, Record: record,
			}
			if once {
				return watch.Once(c.Context(), o, c.OutOrStdout())
			}
			return watch.Run(c.Context(), o)
		},
	}
	c.Flags().BoolVar(&once, "once", false, "print one frame and end")
	c.Flags().StringVar(&record, "record", "", "file to record what is shown in, as an asciicast v2")
	c.MarkFlagsMutuallyExclusive("once", "record")
	return c
}

// verbs are what the keys of the view do: the same as the commands that they show.
func (f *flags) verbs() watch.Verbs {
	rollout := func(ask func(*client.Client, context.Context, string) (api.Workload, error)) func(context.Context, string) error {
		return func(ctx context.Context, name string) error {
			c, err := f.dial()
			if err != nil {
				return err
			}
			_, err = ask(c, ctx, name)
			return err
		}
	}
	return watch.Verbs{
		Scale: func(ctx context.Context, name string, replicas int) error {
			_, err := edit.Scale(ctx, f.spec, name, replicas, nil)
			return err
		},
		Pause:   rollout((*client.Client).Pause),
		Resume:  rollout((*client.Client).Resume),
		Restart: rollout((*client.Client).Restart),
		Undo: rollout(func(c *client.Client, ctx context.Context, name string) (api.Workload, error) {
			return c.Undo(ctx, name, 0)
		}),
		Kill: func(ctx context.Context, replica string) error {
			c, err := f.dial()
			if err != nil {
				return err
			}
			_, err = c.Kill(ctx, replica)
			return err
		},
	}
}

// sources are what the view asks for when a workload is opened.
func (f *flags) sources() watch.Sources {
	return watch.Sources{
		Revisions: func(ctx context.Context, name string) ([]api.Revision, error) {
			c, err := f.dial()
			if err != nil {
				return nil, err
			}
			list, err := c.Revisions(ctx, name)
			return list.Items, err
		},
		Diff: func(ctx context.Context, name string, from, to int) ([]api.Difference, error) {
			c, err := f.dial()
			if err != nil {
				return nil, err
			}
			diff, err := c.DiffRevisions(ctx, name, from, to)
			return diff.Differences, err
		},
		Logs: func(ctx context.Context, name string, line func(api.LogLine)) error {
			c, err := f.dial()
			if err != nil {
				return err
			}
			for l, err := range c.WatchLogs(ctx, name, client.LogOptions{}) {
				if err != nil {
					return err
				}
				line(l)
			}
			return nil
		},
	}
}
