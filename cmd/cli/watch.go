package cli

import (
	"context"
	"errors"
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
		Long: `Show all workloads, replicas and events live, on a full screen. ? lists the keys; each that changes something shows the
command that does the same. With the read token there are no such keys.

A replica is the letter of its phase, small where its revision is an older one: C creating, S starting, R ready,
U unready, H unhealthy, D draining, T stopping, X exited, E done, L leftover; · is wanted and not there.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			o := watch.Options{
				Version: f.version, Dial: f.dial, Verbs: f.verbs(), Sources: f.sources(),
				In: os.Stdin, Out: os.Stdout, Record: record,
			}
			if once && record != "" {
				return usage(c, errors.New("--once prints one frame, and --record records many: give one of them"))
			}
			if once {
				return watch.Once(c.Context(), o, c.OutOrStdout())
			}
			return watch.Run(c.Context(), o)
		},
	}
	c.Flags().BoolVar(&once, "once", false, "print one frame and end")
	c.Flags().StringVar(&record, "record", "", "file to record what is shown in, as an asciicast v2")
	return c
}

// verbs are what the keys of the view do: the same as the commands that they show.
func (f *flags) verbs() watch.Verbs {
	ask := func(verb func(*client.Client, context.Context, string) error) func(context.Context, string) error {
		return func(ctx context.Context, name string) error {
			c, err := f.dial()
			if err != nil {
				return err
			}
			return verb(c, ctx, name)
		}
	}
	return watch.Verbs{
		Scale: func(ctx context.Context, name string, replicas int) error {
			if f.server == "" {
				_, err := edit.Scale(ctx, f.spec, name, replicas, nil)
				return err
			}
			return ask(func(c *client.Client, ctx context.Context, name string) error {
				_, err := c.Scale(ctx, name, replicas)
				return err
			})(ctx, name)
		},
		Pause:   ask(only((*client.Client).Pause)),
		Resume:  ask(only((*client.Client).Resume)),
		Restart: ask(only((*client.Client).Restart)),
		Kill:    ask(only((*client.Client).Kill)),
		Undo: ask(func(c *client.Client, ctx context.Context, name string) error {
			_, err := c.Undo(ctx, name, 0)
			return err
		}),
	}
}

// only drops the answer to a request.
func only[T any](verb func(*client.Client, context.Context, string) (T, error)) func(*client.Client, context.Context, string) error {
	return func(c *client.Client, ctx context.Context, name string) error {
		_, err := verb(c, ctx, name)
		return err
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
