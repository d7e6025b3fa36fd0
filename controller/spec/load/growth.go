package load

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/template"
	"go.yaml.in/yaml/v3"

	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/spec/syntax"
)

// These bound what becomes of a small file, so that none takes the controller's memory or
// time. They are far above what people write.
const (
	// maxFilled is how many bytes the values of all Compose files, or of an env file, have
	// with their variables filled in.
	maxFilled = 8 << 20
	// maxSteps bounds the time in which that is done, which grows with the cube of how many
	// variables with a default one value has: 2,000 of them take a second or two.
	maxSteps = 4_000_000_000
	// maxCommand is how many bytes a command has that is written as one text: compose-go
	// splits it in a time that grows with the square.
	maxCommand = 32 << 10
	// maxPorts is how many ports a project publishes or exposes, its ranges expanded.
	maxPorts = 1 << 14
)

var (
	reference = regexp.MustCompile(`\$\{?([A-Za-z_][A-Za-z0-9_]*)`)
	// expression begins a variable in braces that has a default or the like.
	expression = regexp.MustCompile(`\$\{\w*[^\w}]`)
	portRange  = regexp.MustCompile(`(\d+)-(\d+)`)
)

// filling estimates from above what it takes to fill in variables.
type filling struct {
	// size returns how long a variable's value is at most, in bytes.
	size         func(name string) int
	bytes, steps int
}

// add adds a value, and returns how long it becomes at most and what is wrong with that,
// or nil.
func (f *filling) add(text string) (length int, problem *spec.Error) {
	length = len(text)
	for _, v := range reference.FindAllStringSubmatch(text, -1) {
		length += f.size(v[1])
	}
	braces := len(expression.FindAllStringIndex(text, -1))
	f.bytes += length
	f.steps += braces * braces * braces
	switch {
	case f.bytes > maxFilled:
		return length, &spec.Error{Message: "with the variables filled in, the values down to this one have more than " + strconv.Itoa(maxFilled) + " bytes",
			Hint: "write fewer variables, or shorter values for them"}
	case f.steps > maxSteps:
		return length, &spec.Error{Message: "the value has too many variables with defaults", Hint: "write fewer of them into one value"}
	}
	return length, nil
}

// lengths are how long the values of variables are at most, in bytes.
type lengths map[string]int

// checkEnvFile refuses an env file whose values would become too long. It leaves a file
// that it cannot read to compose-go, and adds the variables to those known.
func (known lengths) checkEnvFile(path string, lookUp func(name string) (string, bool)) *spec.Error {
	content, err := readRegular(anywhere{}, path)
	if failed := new(fs.PathError); errors.As(err, &failed) {
		return nil
	}
	text := strings.TrimPrefix(string(content), "\ufeff")
	f := filling{size: func(name string) int {
		value, _ := lookUp(name)
		return max(known[name], len(value))
	}}
	for at, statement := range statements(text) {
		length, problem := f.add(statement)
		if problem != nil {
			problem.File = path
			problem.Line, problem.Column = lineColumn(text, at)
			return problem
		}
		if m := variable.FindStringSubmatch(statement); m != nil {
			known[m[1]] = max(known[m[1]], length)
		}
	}
	return nil
}

// checkGrowth refuses Compose files whose variables or ports would become too many.
func (l *loading) checkGrowth() (problems spec.Errors) {
	environment := l.options.Environment
	f := filling{size: func(name string) int { return len(environment[name]) }}
	ports := 0
	for _, s := range l.sources {
		if problem := f.check("", s.root); problem != nil {
			problem.File = s.file
			return append(problems, problem)
		}
		services := map[string]*yaml.Node{}
		if len(s.at) > 0 {
			services[s.at[1]] = s.root
		} else {
			_, all := syntax.Entry(s.root, "services")
			for name, service := range syntax.Pairs(all) {
				services[name.Value] = service
			}
		}
		for _, name := range slices.Sorted(maps.Keys(services)) {
			for _, key := range []string{"ports", "expose"} {
				_, list := syntax.Entry(services[name], key)
				if ports += l.countPorts(list); ports > maxPorts {
					return append(problems, &spec.Error{File: s.file, Line: list.Line, Column: list.Column, Workload: name,
						Message: "with these ports the project has more than " + strconv.Itoa(maxPorts) + ", and the engine makes a rule of its own for each",
						Hint:    "write a smaller range, or have the service use the host's network with network_mode: host"})
				}
			}
		}
	}
	return nil
}

// check adds the values of a node that stands under a key; an alias adds those of its
// anchor once more, as compose-go fills them in once more.
func (f *filling) check(key string, n *yaml.Node) (problem *spec.Error) {
	at, n := n, syntax.Dereference(n)
	if n.Kind == yaml.ScalarNode {
		length, problem := f.add(n.Value)
		if problem == nil && length > maxCommand && slices.Contains(commands, key) {
			problem = &spec.Error{Message: fmt.Sprintf("the %s has more than %d bytes", key, maxCommand), Hint: "write it into a script, or as a list"}
		}
		if problem != nil {
			problem.Line, problem.Column = at.Line, at.Column
		}
		return problem
	}
	for i, child := range n.Content {
		under := ""
		if n.Kind == yaml.MappingNode && i%2 == 1 {
			under = n.Content[i-1].Value
		}
		if problem := f.check(under, child); problem != nil {
			return problem
		}
	}
	return nil
}

// commands are the keys of values that compose-go splits into words.
var commands = []string{"command", "entrypoint"}

// countPorts returns how many ports a list of ports has with its ranges expanded, and one
// that cannot be read counts as one.
func (l *loading) countPorts(list *yaml.Node) (n int) {
	for _, item := range items(syntax.Dereference(list)) {
		most := 1
		for _, text := range append([]*yaml.Node{item}, item.Content...) {
			value, err := template.Substitute(text.Value, l.options.Environment.Resolve)
			if err != nil {
				continue // compose-go says what is wrong with it
			}
			for _, m := range portRange.FindAllStringSubmatch(value, -1) {
				first, _ := strconv.Atoi(m[1])
				last, _ := strconv.Atoi(m[2])
				most = max(most, min(last-first+1, maxPorts+1))
			}
		}
		n += most
	}
	return n
}
