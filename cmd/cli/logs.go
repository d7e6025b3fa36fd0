package cli

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/tendhq/tend/controller/logs"
	"github.com/tendhq/tend/controller/spec/syntax"
)

func newLogs(f *flags) *cobra.Command {
	var follow bool
	var tail int
	c := &cobra.Command{
		Use:   "logs WORKLOAD",
		Short: "Show the output of a workload's replicas",
		Long: `Show the output of a workload's replicas by time, that of its hooks included. With -f it goes on, also with replicas
that start meanwhile.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ctx := c.Context()
			if tail < 0 {
				return usage(c, fmt.Errorf("--tail takes a number of lines, and not %d", tail))
			}
			project, err := f.load(ctx)
			if err != nil {
				return err
			}
			e, err := f.connect(ctx)
			if err != nil {
				return err
			}
			defer e.Close()
			r := logs.Reader{
				Engine: e, Project: project.Name, Workload: args[0], Options: logs.Options{Tail: tail},
				Emit: func(l logs.Line) error {
					_, err := fmt.Fprintf(c.OutOrStdout(), "%s | %s\n", l.Replica, l.Text)
					return err
				},
			}
			containers, err := r.Containers(ctx)
			if err != nil {
				return err
			}
			if _, written := project.Workloads[r.Workload]; !written && len(containers) == 0 {
				return errors.New(syntax.NoWorkload(r.Workload, slices.Collect(maps.Keys(project.Workloads))))
			}
			if follow {
				return r.Follow(ctx)
			}
			return r.Read(ctx, containers)
		},
	}
	c.Flags().StringArrayVar(&f.spec.Files, "file", nil, "Compose file, or - for the standard input; may be given more than once (before the command also as -f)")
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what they write, also of new replicas, until interrupted")
	c.Flags().IntVar(&tail, "tail", 0, "how many of each replica's last lines to show (default: all)")
	return c
}
