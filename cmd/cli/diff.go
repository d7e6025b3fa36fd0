package cli

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/tendhq/tend/controller"
	"github.com/tendhq/tend/controller/app"
	"github.com/tendhq/tend/state"
)

// exitDifferent is diff's code for a difference, as with kubectl diff; errors
// have a higher one.
const exitDifferent = 1

func newDiff(f *flags) *cobra.Command {
	c := &cobra.Command{
		Use:   "diff",
		Short: "Say how what runs differs from what is written; exit code 1 where it does",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			differences, err := diff(c, f)
			switch {
			case err != nil:
				return &exitError{code: exitUsage, err: err}
			case slices.ContainsFunc(differences, func(d controller.Difference) bool { return !d.Left }):
				return &exitError{code: exitDifferent}
			}
			return nil
		},
	}
	f.owns(c.Flags())
	return c
}

func diff(c *cobra.Command, f *flags) ([]controller.Difference, error) {
	ctx := c.Context()
	p, err := f.load(ctx)
	if err != nil {
		return nil, err
	}
	e, err := f.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer e.Close()
	o := f.options(p)
	o.Engine, o.Log, o.OnEvent = e, newLog(zap.ErrorLevel), func(*state.Event) {}
	differences, err := app.New(o, nil).Preview(ctx, p)
	for _, d := range differences {
		if d.Workload != "" {
			d.Text = d.Workload + ": " + d.Text
		}
		fmt.Fprintln(c.OutOrStdout(), d.Text)
	}
	return differences, err
}
