package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// raw prints the answer to a GET of a path of the API as it comes.
func raw(c *cobra.Command, f *flags, path string) error {
	if !strings.HasPrefix(path, "/") {
		return usage(c, fmt.Errorf("--raw takes a path as /api/v1/workloads, and not %q", path))
	}
	controller, err := f.dial()
	if err != nil {
		return err
	}
	body, err := controller.Raw(c.Context(), path)
	if err != nil {
		return err
	}
	_, err = io.Copy(c.OutOrStdout(), body)
	return errors.Join(err, body.Close())
}
