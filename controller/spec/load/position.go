package load

import (
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/spec/syntax"
)

// source is one document of a file that the project was read from.
type source struct {
	file string
	root *yaml.Node
	// at is the path of root in the merged Compose model: empty for a Compose file,
	// services.NAME for the template of a spec.
	at []string
}

// sources are all documents, in merge order: the last one wins.
type sources []source

// locate returns an Error at the most telling place of a path in the Compose model: the
// deepest key of it that is written somewhere, in the last document that has it. It
// also looks where a service takes keys from another by extends.
func (s sources) locate(path ...string) *spec.Error {
	e, depth := s.place(path, nil)
	if depth == 0 {
		e.Line, e.Column = 0, 0
	}
	if len(path) > 1 && path[0] == "services" {
		e.Workload = path[1]
	}
	return e
}

func (s sources) place(path, visited []string) (*spec.Error, int) {
	best, deepest := &spec.Error{}, 0
	for _, one := range slices.Backward(s) {
		rest := path
		if n := len(one.at); n > 0 {
			if len(path) < n || !slices.Equal(path[:n], one.at) {
				continue
			}
			rest = path[n:]
		}
		node, depth := find(one.root, rest...)
		depth += len(one.at)
		if best.File == "" || depth > deepest {
			best, deepest = &spec.Error{File: one.file, Line: node.Line, Column: node.Column}, depth
		}
	}
	if deepest == len(path) || len(path) < 3 || path[0] != "services" || slices.Contains(visited, path[1]) {
		return best, deepest
	}
	for _, base := range s.extended(path[1]) {
		elsewhere := slices.Concat([]string{"services", base}, path[2:])
		if e, depth := s.place(elsewhere, append(visited, path[1])); depth > deepest {
			best, deepest = e, depth
		}
	}
	return best, deepest
}

// extended names the services that a service extends, in whichever file.
func (s sources) extended(service string) (names []string) {
	for _, one := range s {
		if len(one.at) > 0 {
			continue
		}
		_, services := syntax.Entry(one.root, "services")
		_, definition := syntax.Entry(services, service)
		_, extends := syntax.Entry(definition, "extends")
		if extends = syntax.Dereference(extends); extends == nil {
			continue
		}
		if extends.Kind == yaml.ScalarNode {
			names = append(names, extends.Value)
		} else if _, name := syntax.Entry(extends, "service"); name != nil {
			names = append(names, name.Value)
		}
	}
	return names
}

// containing returns an Error at the last value that contains a text, or nil.
func (s sources) containing(text string) *spec.Error {
	var search func(n *yaml.Node) *yaml.Node
	search = func(n *yaml.Node) *yaml.Node {
		if n.Kind == yaml.ScalarNode && strings.Contains(n.Value, text) {
			return n
		}
		for _, child := range slices.Backward(n.Content) {
			if found := search(child); found != nil {
				return found
			}
		}
		return nil
	}
	for _, one := range slices.Backward(s) {
		if n := search(one.root); n != nil {
			return &spec.Error{File: one.file, Line: n.Line, Column: n.Column}
		}
	}
	return nil
}

// services names all services that are written in a Compose file, sorted.
func (s sources) services() (names []string) {
	for _, one := range s {
		if len(one.at) > 0 {
			continue
		}
		_, services := syntax.Entry(one.root, "services")
		for key := range syntax.Pairs(services) {
			names = append(names, key.Value)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// find follows a path of keys and indices. It returns the deepest node that exists, the
// key rather than the value, and how many steps led to it.
func find(n *yaml.Node, path ...string) (at *yaml.Node, depth int) {
	at = n
	for i, step := range path {
		if place, err := strconv.Atoi(step); err == nil && n.Kind == yaml.SequenceNode && place < len(n.Content) {
			at, n = n.Content[place], n.Content[place]
			continue
		}
		key, value := syntax.Entry(n, step)
		if key == nil {
			return at, i
		}
		at, n = key, value
	}
	return at, len(path)
}
