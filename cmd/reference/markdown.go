package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tendhq/tend/cmd/cli"
)

// The lines of a document between which it is made from the commands.
const (
	begin = "<!-- Made by: go run ./cmd/reference markdown docs/reference/cli.md -->\n"
	end   = "<!-- The end of what is made from the commands. -->\n"
)

// rewrite writes what the commands say of themselves into a document.
func rewrite(file string) error {
	before, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	after, err := renewed(string(before))
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return os.WriteFile(file, []byte(after), 0o644) //nolint:gosec // everyone may read a document
}

// renewed returns a document in which the generated part is made anew from the commands.
func renewed(document string) (string, error) {
	head, rest, begun := strings.Cut(document, begin)
	_, tail, ended := strings.Cut(rest, end)
	if !begun || !ended {
		return "", fmt.Errorf("it has no lines %q and %q", strings.TrimSpace(begin), strings.TrimSpace(end))
	}
	var made strings.Builder
	describe(&made, cli.New("VERSION"))
	return head + begin + made.String() + end + tail, nil
}

// describe writes a command, and those under it that people run.
func describe(out *strings.Builder, c *cobra.Command) {
	fmt.Fprintf(out, "\n### %s\n\n```\n%s\n```\n\n%s\n", c.CommandPath(), c.UseLine(), text(c))
	if c.Example != "" {
		fmt.Fprintf(out, "\n```sh\n%s\n```\n", strings.TrimRight(c.Example, "\n"))
	}
	var flags strings.Builder
	c.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Name != "help" && !f.Hidden {
			flags.WriteString(row(f))
		}
	})
	if flags.Len() > 0 {
		fmt.Fprintf(out, "\n| flag | says |\n| --- | --- |\n%s", flags.String())
	}
	for _, sub := range c.Commands() {
		if !sub.Hidden {
			describe(out, sub)
		}
	}
}

// text is what a command says of itself, as Markdown.
func text(c *cobra.Command) string {
	if c.Long != "" {
		return escape(c.Long)
	}
	return escape(c.Short) + "."
}

// row is a flag as a row of a table.
func row(f *pflag.Flag) string {
	argument, says := pflag.UnquoteUsage(f)
	name := "--" + f.Name
	if f.Shorthand != "" {
		name = "-" + f.Shorthand + "`, `" + name
	}
	if argument != "" {
		name += " " + argument
	}
	if d := f.DefValue; d != "" && d != "false" && d != "0" && d != "[]" {
		says += " (default: " + d + ")"
	}
	return fmt.Sprintf("| `%s` | %s |\n", name, strings.ReplaceAll(escape(says), "|", `\|`))
}

// escape keeps Markdown from taking a < for HTML.
func escape(text string) string { return strings.ReplaceAll(text, "<", "&lt;") }
