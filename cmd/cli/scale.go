package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tendhq/tend/controller/spec/edit"
)

func newScale(f *flags) *cobra.Command {
	var replicas int
	c := &cobra.Command{
		Use:   "scale WORKLOAD --replicas N",
		Short: "Write the number of replicas into the workload's spec file",
		Long: `Write the number of replicas into the workload's spec file, where every other byte stays as it is. A controller that
runs does the rest.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if !c.Flags().Changed("replicas") {
				return usage(c, errors.New("the number of replicas is missing: add --replicas N"))
			}
			if f.server != "" {
				return scaleElsewhere(c, f, args[0], replicas)
			}
			// The file is here, whether a controller runs or not; a controller that
			// runs sees the change.
			path, err := edit.Scale(c.Context(), f.spec, args[0], replicas, nil)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "%s: %d replicas, in %s\n", args[0], replicas, path)
			return err
		},
	}
	c.Flags().IntVar(&replicas, "replicas", 0, "number of replicas")
	return c
}

// scaleElsewhere has the controller that --server names write the number into its file.
func scaleElsewhere(c *cobra.Command, f *flags, workload string, replicas int) error {
	controller, err := f.dial()
	if err != nil {
		return err
	}
	if _, err := controller.Scale(c.Context(), workload, replicas); err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.OutOrStdout(), "%s: %d replicas\n", workload, replicas)
	return err
}
