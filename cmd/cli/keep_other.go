//go:build !linux

package cli

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"
)

// keepers stand for the commands that keep a project, or look after its data directory:
// they need Linux, and say so.
func keepers(*flags) (commands []*cobra.Command) {
	for _, name := range []string{"up", "run", "apply", "diff", "simulate", "backup", "restore", "release", "migrate", "down", "token"} {
		commands = append(commands, &cobra.Command{
			Use:                name,
			Short:              "Not on this system: it needs Linux",
			DisableFlagParsing: true,
			RunE: func(c *cobra.Command, _ []string) error {
				return fmt.Errorf("%s needs Linux, and this is %s: run it where the project's engine is; its controller is asked from here with --server", c.CommandPath(), runtime.GOOS)
			},
		})
	}
	return commands
}

// findProgram has what is written told of as a controller on Linux would keep it, with
// ingresses.
func (f *flags) findProgram() { f.spec.IngressImage = "tend/ingress" }
