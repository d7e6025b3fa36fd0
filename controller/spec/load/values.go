package load

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/tendhq/tend/controller/spec"
)

// maxSeconds is the largest number in Kubernetes, whose fields are an int32.
const maxSeconds = math.MaxInt32

// text reads a string, and refuses an empty one with the hint.
func (d *decoder) text(name string, n *yaml.Node, hint string) string {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" {
		d.wrongType(name, n, "a string")
		return ""
	}
	if n.Value == "" {
		d.fail(n, hint, "%s is empty", name)
	}
	return n.Value
}

// oneOf reads a string of a set; it returns "" for any other.
func (d *decoder) oneOf(name string, n *yaml.Node, allowed ...string) string {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" {
		d.wrongType(name, n, strings.Join(allowed, " or "))
		return ""
	}
	if !slices.Contains(allowed, n.Value) {
		d.fail(n, "write "+strings.Join(allowed, " or "), "%s cannot be %q", name, n.Value)
		return ""
	}
	return n.Value
}

func (d *decoder) boolean(name string, n *yaml.Node) *bool {
	var b bool
	if n.ShortTag() != "!!bool" || n.Decode(&b) != nil {
		d.wrongType(name, n, "true or false")
		return nil
	}
	return &b
}

func (d *decoder) count(name string, n *yaml.Node, least, most int) *int {
	if n.ShortTag() != "!!int" {
		d.wrongType(name, n, "a whole number")
		return nil
	}
	var i int
	if err := n.Decode(&i); err != nil || i < least || i > most {
		hint := fmt.Sprintf("write a number from %d to %d", least, most)
		if least == most {
			hint = fmt.Sprintf("write %d", least)
		}
		d.fail(n, hint, "%s cannot be %s", name, n.Value)
		return nil
	}
	return &i
}

// fraction reads seconds that need not be whole.
func (d *decoder) fraction(name string, n *yaml.Node, least float64) (time.Duration, bool) {
	if tag := n.ShortTag(); tag != "!!int" && tag != "!!float" {
		d.wrongType(name, n, "a number of seconds")
		return 0, false
	}
	var seconds float64
	if err := n.Decode(&seconds); err != nil || !(seconds >= least && seconds <= maxSeconds) {
		d.fail(n, fmt.Sprintf("write a number from %v to %d", least, maxSeconds), "%s cannot be %s", name, n.Value)
		return 0, false
	}
	return time.Duration(math.Round(seconds * float64(time.Second))), true
}

// command reads the words of a command line.
func (d *decoder) command(name string, n *yaml.Node) (words []string) {
	if n.Kind != yaml.SequenceNode {
		d.wrongType(name, n, "a list of words, as [migrate, up]")
		return nil
	}
	if len(n.Content) == 0 {
		d.fail(n, "write the command as a list of words", "%s is empty", name)
	}
	for i, word := range n.Content {
		if word.Kind != yaml.ScalarNode || word.ShortTag() != "!!str" {
			d.wrongType(fmt.Sprintf("%s[%d]", name, i), word, "a string")
			continue
		}
		words = append(words, word.Value)
	}
	return words
}

func (d *decoder) seconds(name string, n *yaml.Node, least int) *time.Duration {
	i := d.count(name, n, least, maxSeconds)
	if i == nil {
		return nil
	}
	seconds := time.Duration(*i) * time.Second
	return &seconds
}

func (d *decoder) amount(name string, n *yaml.Node, mostPercent int) *spec.Amount {
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str" {
		a, err := spec.ParsePercent(n.Value)
		if err != nil || a.Percent > mostPercent {
			d.fail(n, fmt.Sprintf("write a count, or a percentage from 0%% to %d%%", mostPercent),
				"%s cannot be %q", name, n.Value)
			return nil
		}
		return &a
	}
	count := d.count(name, n, 0, maxReplicas)
	if count == nil {
		return nil
	}
	return &spec.Amount{Count: *count}
}

func (d *decoder) wrongType(name string, n *yaml.Node, want string) {
	is := n.Value
	switch n.ShortTag() {
	case "!!map":
		is = "a mapping"
	case "!!seq":
		is = "a list"
	case "!!str":
		is = fmt.Sprintf("the string %q", n.Value)
	case "!!null":
		is = "empty"
	}
	d.fail(n, "write "+want, "%s is %s", name, is)
}

func (d *decoder) fail(n *yaml.Node, hint, format string, args ...any) {
	d.problems = append(d.problems, &spec.Error{
		File: d.file, Line: n.Line, Column: n.Column,
		Message: fmt.Sprintf(format, args...), Hint: hint,
	})
}
