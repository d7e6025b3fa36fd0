package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

func newKill(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:               "kill REPLICA",
		Short:             "Kill a replica's process, to see it come back",
		Long:              `Kill a replica's process, to see it come back. The controller has the engine do it, and tells who asked.`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: f.replicas,
		RunE: func(c *cobra.Command, args []string) error {
			controller, err := f.dial()
			if err != nil {
				return err
			}
			killed, err := controller.Kill(c.Context(), args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "%s: killed\n", killed.Metadata.Name)
			return err
		},
	}
}

// replicas offers the names of the replicas that a controller keeps.
func (f *flags) replicas(c *cobra.Command, args []string, typed string) (found []string, _ cobra.ShellCompDirective) {
	controller, err := f.dial()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(c.Context(), completionTimeout)
	defer cancel()
	list, _ := controller.Replicas(ctx, "") // a shell has no place for an error
	for _, r := range list.Items {
		if strings.HasPrefix(r.Metadata.Name, typed) {
			found = append(found, r.Metadata.Name)
		}
	}
	return found, cobra.ShellCompDirectiveNoFileComp
}
