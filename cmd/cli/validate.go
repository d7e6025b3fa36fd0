package cli

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/tendhq/tend/controller/spec"
)

func newValidate(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:   "validate",
		Short: "Check compose.yaml and the specs, without asking an engine",
		Long: `Check what is written, without asking an engine: every mistake with its file, line and column. Where there is none,
list what each service is taken for, how it runs, whether an update stops a container before it starts the next one,
and why.

It ends with 1 where there is a mistake.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			p, err := f.load(c.Context())
			var problems spec.Errors
			if errors.As(err, &problems) { // each of them is named here
				return errors.Join(append(problems.Unwrap(), errors.New(problems.Count()))...)
			}
			if err != nil {
				return err
			}
			out := c.OutOrStdout()
			fmt.Fprintf(out, "project %s is valid: %d workloads, %d spec files\n", p.Name, len(p.Workloads), len(p.SpecFiles))
			return listKinds(out, p)
		},
	}
}

// listKinds lists how each service is kept, and why.
func listKinds(out io.Writer, p *spec.Project) error {
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "SERVICE\tKIND\tRUNS\tWHY\tUPDATE")
	for _, name := range slices.Sorted(maps.Keys(p.Workloads)) {
		w := p.Workloads[name]
		update := "starts first"
		if w.Strategy.Reason != "" {
			update = "stops first: " + w.Strategy.Reason
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", name, w.Kind, w.Restart.Condition.Runs(), w.Restart.Reason, update)
	}
	return table.Flush()
}

func newVersion(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(c.OutOrStdout(), "tend %s\n", f.version)
			return err
		},
	}
}
