package cli

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const commandReference = "../../docs/reference/cli.md"

// everywhere is how the reference calls the commands of a flag that all take.
const everywhere = "all"

// The reference names each command and each flag that there is, and no other.
func TestTheCommandReferenceIsComplete(t *testing.T) {
	var commands, flags []string
	note := func(where string) func(*pflag.Flag) {
		return func(f *pflag.Flag) {
			if f.Name == "help" {
				return
			}
			flags = append(flags, where+" --"+f.Name)
			if f.Shorthand != "" {
				flags = append(flags, where+" -"+f.Shorthand)
			}
		}
	}
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		name := strings.TrimPrefix(c.CommandPath(), "tend ")
		if !c.HasSubCommands() {
			commands = append(commands, name)
			c.LocalNonPersistentFlags().VisitAll(note(name))
		}
		for _, sub := range c.Commands() {
			if !sub.Hidden { // tend alone runs those
				walk(sub)
			}
		}
	}
	root := New("test")
	walk(root)
	root.PersistentFlags().VisitAll(note(everywhere))

	text, err := os.ReadFile(commandReference)
	require.NoError(t, err)
	byHand, _, _ := strings.Cut(string(text), "\n## Each command\n") // what follows is made from the commands
	var writtenCommands, writtenFlags []string
	for line := range strings.Lines(byHand) {
		cells := strings.Split(strings.ReplaceAll(line, `\|`, "/"), "|")
		if len(cells) < 4 {
			continue
		}
		spans := code.FindAllStringSubmatch(cells[1], -1)
		for _, span := range spans {
			first, _, _ := strings.Cut(span[1], " ")
			if !strings.HasPrefix(first, "-") {
				writtenCommands = append(writtenCommands, commandsOf(span[1])...)
				continue
			}
			for where := range strings.SplitSeq(cells[2], ",") {
				writtenFlags = append(writtenFlags, strings.Trim(where, " `")+" "+first)
			}
		}
	}
	slices.Sort(writtenCommands)
	assert.ElementsMatch(t, commands, slices.Compact(writtenCommands))
	assert.ElementsMatch(t, flags, writtenFlags)
}

// code is what stands between backquotes.
var code = regexp.MustCompile("`([^`]+)`")

// commandsOf are the commands that a line of the reference stands for: the words before
// its arguments and flags. The last word may be several, with a / between them.
func commandsOf(usage string) (commands []string) {
	var words []string
	for word := range strings.FieldsSeq(usage) {
		if word != strings.ToLower(word) || strings.HasPrefix(word, "-") {
			break
		}
		words = append(words, word)
	}
	if words[0] != "rollout" && words[0] != "token" && words[0] != "export" {
		return words[:1] // the rest are arguments
	}
	for last := range strings.SplitSeq(words[1], "/") {
		commands = append(commands, words[0]+" "+last)
	}
	return commands
}
