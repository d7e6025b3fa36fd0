//go:build linux

package cli

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/tendhq/tend/api"
	"github.com/tendhq/tend/controller/spec/load"
)

func newToken(f *flags) *cobra.Command {
	c := &cobra.Command{
		Use:   "token",
		Short: "Replace the tokens that the API wants over TCP",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("no such command: %s", args[0])
			}
			return errors.New("a command is missing: rotate")
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newTokenRotate(f))
	return c
}

func newTokenRotate(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:       "rotate [read|admin]",
		Short:     "Replace a token, or both; the old one is refused from then on, and nothing is restarted",
		ValidArgs: []string{string(api.Reader), string(api.Admin)},
		Args:      cobra.MatchAll(cobra.MaximumNArgs(1), cobra.OnlyValidArgs),
		RunE: func(c *cobra.Command, args []string) error {
			folder, err := load.Folder(f.spec)
			if err != nil {
				return err
			}
			roles := api.Roles
			if len(args) > 0 {
				roles = []api.Role{api.Role(args[0])}
			}
			for _, role := range roles {
				data := f.data(folder)
				if err := api.RotateToken(data, role); err != nil {
					return err
				}
				if _, err := fmt.Fprintf(c.OutOrStdout(), "the %s token is another one now: %s\n", role, filepath.Join(data, api.TokenFile(role))); err != nil {
					return err
				}
			}
			return nil
		},
	}
}
