package load

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"

	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/spec/syntax"
)

var mention = regexp.MustCompile(`\$\{?([A-Za-z_][A-Za-z0-9_]*)`)

// words are the parts of a value by which a message could give it away. The expression is
// large, and needed only where something is wrong.
var words = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\pL{3,}|\pN{3,}`) })

// conceal takes the values of variables out of problems: they come from the environment
// and from .env, where secrets are. A whole value becomes ${NAME}; a message that quotes
// a part of one is replaced.
func (l *loading) conceal(problems spec.Errors) {
	nodes := l.sources.byPlace()
	mentioned := map[place][]string{}
	for _, e := range problems {
		at := place{e.File, e.Line, e.Column}
		names, seen := mentioned[at]
		if !seen {
			names = mentions(nodes[at])
			mentioned[at] = names
		}
		if len(names) > 0 {
			l.concealValues(e, names)
		}
	}
}

func (l *loading) concealValues(e *spec.Error, names []string) {
	var pairs []string
	for _, name := range slices.SortedFunc(slices.Values(names), func(a, b string) int {
		return len(l.options.Environment[b]) - len(l.options.Environment[a]) // one may contain another
	}) {
		if value := l.options.Environment[name]; len(words().FindString(value)) > 0 {
			pairs = append(pairs, value, "${"+name+"}")
		}
	}
	r := strings.NewReplacer(pairs...)
	e.Message, e.Hint = r.Replace(e.Message), r.Replace(e.Hint)
	said := mention.ReplaceAllString(e.Message+" "+e.Hint, "")
	for _, name := range names {
		if l.quotes(e.File, said, name) {
			e.Message = fmt.Sprintf("with the variable %s filled in, this is not what Compose takes here", name)
			e.Hint = "look at the variable's value"
			return
		}
	}
}

// quotes reports whether a message may show a part of a variable's value. What an included
// file takes from an env file of its own is not known here.
func (l *loading) quotes(file, message, name string) bool {
	value, known := l.options.Environment[name]
	if _, included := l.named[file]; included && !known {
		return true
	}
	return slices.ContainsFunc(words().FindAllString(value, -1), func(word string) bool { return strings.Contains(message, word) })
}

// place is where a node is written. Line 0 stands for the whole file.
type place struct {
	file         string
	line, column int
}

// byPlace returns what is written at each place that a problem can have.
func (s sources) byPlace() map[place][]*yaml.Node {
	all := map[place][]*yaml.Node{}
	for _, one := range s {
		add := func(at *yaml.Node, nodes ...*yaml.Node) {
			p := place{one.file, at.Line, at.Column}
			all[p] = append(all[p], nodes...)
		}
		var walk func(n *yaml.Node)
		walk = func(n *yaml.Node) {
			for i, child := range n.Content {
				switch {
				case n.Kind == yaml.MappingNode && i%2 == 0:
					add(child, child, n.Content[i+1])
				case n.Kind == yaml.SequenceNode, child.Kind == yaml.ScalarNode:
					add(child, child)
				}
				walk(child)
			}
		}
		walk(one.root)
		add(&yaml.Node{}, one.root)
	}
	return all
}

// mentions names the variables that are filled in in nodes and below them, sorted.
func mentions(nodes []*yaml.Node) (names []string) {
	var collect func(n *yaml.Node)
	collect = func(n *yaml.Node) {
		n = syntax.Dereference(n)
		for _, m := range mention.FindAllStringSubmatch(n.Value, -1) {
			names = append(names, m[1])
		}
		for _, child := range n.Content {
			collect(child)
		}
	}
	for _, n := range nodes {
		collect(n)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
