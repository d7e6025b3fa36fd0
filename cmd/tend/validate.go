package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tendhq/tend/controller/spec"
)

func newValidate(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:   "validate",
		Short: "Check compose.yaml and the specs, without asking an engine",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			p, err := f.load(c.Context())
			var problems spec.Errors
			if errors.As(err, &problems) { // here each of them is said
				return errors.Join(append(problems.Unwrap(), errors.New(problems.Count()))...)
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "project %s is valid: %d workloads, %d spec files\n", p.Name, len(p.Workloads), len(p.SpecFiles))
			return err
		},
	}
}

func newVersion(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(c.OutOrStdout(), "tend %s\n", version)
			return err
		},
	}
}
