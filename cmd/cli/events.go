package cli

import (
	"github.com/spf13/cobra"

	"github.com/tendhq/tend/api"
	"github.com/tendhq/tend/api/client"
)

func newEvents(f *flags) *cobra.Command {
	var watch bool
	c := &cobra.Command{
		Use:   "events [WORKLOAD]",
		Short: "Show what happened, oldest first",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ctx := c.Context()
			controller, err := f.dial()
			if err != nil {
				return err
			}
			o := client.EventOptions{}
			if len(args) > 0 {
				o.Workload = args[0]
				if _, err := controller.Workload(ctx, o.Workload); err != nil {
					return err
				}
			}
			tell := newPrinter(c.OutOrStdout())
			if !watch {
				list, err := controller.Events(ctx, o)
				if err != nil {
					return err
				}
				tell.events(list.Items)
				return nil
			}
			for e, err := range controller.WatchEvents(ctx, o) {
				if err != nil {
					return err
				}
				tell.events([]api.Event{e})
			}
			return nil // interrupted, which is how a watch ends
		},
	}
	c.Flags().BoolVarP(&watch, "watch", "w", false, "go on with what happens, until interrupted")
	return c
}
