// Package process is the command that the conformance suite runs in containers:
// the same code in a real one and in the model's.
package process

import (
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/tendhq/tend/controller/engine"
)

// Program is its path in a container.
const Program = "/probe"

// Run behaves as the flags of the command say: [Program, "exec", flag...]. It
// returns the code to exit with, and how long to wait before.
func Run(e engine.ExecSpec) (code int, after time.Duration) {
	if len(e.Command) < 2 || e.Command[0] != Program {
		return 127, 0
	}
	flags := flag.NewFlagSet(Program, flag.ContinueOnError)
	flags.SetOutput(e.Stderr)
	say := flags.String("say", "", "text to write to the output")
	warn := flags.String("warn", "", "text to write to the error output")
	env := flags.String("env", "", "variable to write to the output")
	user := flags.Bool("user", false, "write the user to the output")
	echo := flags.Bool("echo", false, "write the input to the output")
	flags.IntVar(&code, "code", 0, "code to exit with")
	flags.DurationVar(&after, "after", 0, "when to exit")
	if err := flags.Parse(e.Command[2:]); err != nil {
		return 2, 0
	}
	fmt.Fprint(e.Stdout, *say)
	fmt.Fprint(e.Stderr, *warn)
	for _, v := range e.Env {
		if name, value, _ := strings.Cut(v, "="); *env != "" && name == *env {
			fmt.Fprint(e.Stdout, value)
		}
	}
	if *user {
		fmt.Fprint(e.Stdout, e.User)
	}
	if *echo {
		if _, err := io.Copy(e.Stdout, e.Stdin); err != nil {
			fmt.Fprint(e.Stderr, err)
			return 1, 0
		}
	}
	return code, after
}
