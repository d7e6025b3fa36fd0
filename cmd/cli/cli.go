// Package cli is the command line of tend: its commands, their flags and what they print.
package cli

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/tendhq/tend/cmd/terminal"
)

// The exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// exitError is an error that ends the program with a code of its own. It has no error
// where a person has been told already.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// Run runs one command line until it ends or a signal ends it, and returns the exit
// code. version is the program's.
func Run(version string, args []string) int {
	tellWarnings(func(warning string) { fmt.Fprintf(terminal.Writer(os.Stderr), "tend: warning: %s\n", warning) })
	root := New(version)
	root.SetArgs(args)
	err := root.ExecuteContext(untilSignalled(context.Background()))
	if err == nil {
		return exitDone
	}
	code := exitFailed
	var exit *exitError
	if errors.As(err, &exit) {
		code = exit.code
	}
	if text := err.Error(); text != "" {
		fmt.Fprintf(terminal.Writer(os.Stderr), "tend: %s\n", text)
	}
	return code
}

// New returns the command line of a version of tend, as its root command.
func New(version string) *cobra.Command {
	f := &flags{version: version}
	f.findProgram()
	root := &cobra.Command{
		Use:   "tend",
		Short: "Keep a Docker Compose project at its desired state",
		Long: `Keep a Docker Compose project at its desired state.

A command ends with 0 when it is done, with 1 when it has failed, and with 2 where there is a mistake in the command
line; diff, replay, simulate and validate say more with theirs.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage(c, fmt.Errorf("no such command: %s", args[0]))
			}
			return nil
		},
		// A command without RunE would take any argument for a request for help.
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.PersistentPreRunE = func(c *cobra.Command, _ []string) error { return f.chooseEngine(c) }
	// Flags before a command are the project's: there -f names a Compose file, and
	// after logs it means to follow, as with docker compose.
	root.TraverseChildren = true
	root.SetOut(terminal.Writer(os.Stdout))
	root.SetErr(terminal.Writer(os.Stderr))
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return usage(c, err) })
	f.register(root.PersistentFlags())
	root.AddCommand(keepers(f)...)
	root.AddCommand(
		newBuild(f), newPull(f), newInit(f), newValidate(f),
		newGet(f), newDescribe(f), newExplain(f), newEvents(f), newDoctor(f), newWatch(f), newLogs(f), newEndpoints(f), newDashboard(f),
		newScale(f), newKill(f), newRollout(f), newWait(f), newReplay(f), newExport(f), newVersion(f),
	)
	for _, c := range root.Commands() {
		checkArgs(c)
		f.complete(c)
	}
	return root
}

// checkArgs makes wrong arguments of a command, and of those under it, a mistake in the
// command line.
func checkArgs(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return usage(c, err)
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		checkArgs(sub)
	}
}

// usage is a mistake in the command line.
func usage(c *cobra.Command, err error) error {
	return &exitError{code: exitUsage, err: fmt.Errorf("%w; see %s --help", err, c.CommandPath())}
}
