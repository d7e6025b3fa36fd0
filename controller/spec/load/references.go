package load

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/compose-spec/compose-go/v2/template"
	"go.yaml.in/yaml/v3"

	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/spec/syntax"
)

// namedFile is a file that a Compose file names.
type namedFile struct {
	path string
	node *yaml.Node // the node that names it
	// dir is where the relative paths in it start, where it is a Compose file, too.
	dir string
}

// readReferenced reads the files that the Compose files include or extend, and those
// that these include or extend in turn. It notes the env files and label files of all,
// and leaves a file that cannot be read to compose-go to refuse.
func (l *loading) readReferenced() (problems spec.Errors) {
	type open struct {
		source
		dir string
	}
	var queue []open
	for _, s := range l.sources {
		queue = append(queue, open{s, l.workingDir})
	}
	var found sources
	for len(queue) > 0 {
		from := queue[0]
		queue = queue[1:]
		for _, r := range l.references(from.root, from.dir) {
			isNew, problem := l.note(r, from.file)
			if problem != nil {
				problems = append(problems, problem)
				continue
			}
			if info, err := os.Stat(r.path); !isNew || r.dir == "" || err != nil || !info.Mode().IsRegular() {
				continue
			}
			_, roots, errs := l.readCompose(r.path)
			problems = append(problems, errs...)
			for _, root := range roots {
				s := source{file: r.path, root: root}
				found = append(found, s)
				queue = append(queue, open{s, r.dir})
			}
		}
	}
	// A Compose file is merged over the files that it includes.
	slices.Reverse(found)
	l.sources = append(found, l.sources...)
	return problems
}

// readTemplates notes the env files and label files that the specs name.
func (l *loading) readTemplates() (problems spec.Errors) {
	for _, d := range l.documents {
		for _, r := range l.serviceFiles(d.template, l.workingDir) {
			if _, problem := l.note(r, d.file); problem != nil {
				problems = append(problems, problem)
			}
		}
	}
	return problems
}

// note notes a file that another one names, and reports whether it is new. It refuses a
// file that compose-go should not open.
func (l *loading) note(r namedFile, by string) (isNew bool, problem *spec.Error) {
	if l.inputs.Files[r.path] {
		return false, nil
	}
	l.inputs.add(r.path)
	at := spec.Error{File: r.path}
	if r.node != nil {
		at = spec.Error{File: by, Line: r.node.Line, Column: r.node.Column}
		l.named[r.path] = at
	}
	if err := checkNamed(r.path); err != nil {
		e := fileError(r.path, err)
		at.Message, at.Hint = fmt.Sprintf("%s cannot be read: %s", r.path, e.Message), e.Hint
		return true, &at
	}
	if r.dir == "" {
		return true, l.lengths.checkEnvFile(r.path, l.options.Environment.Resolve)
	}
	return true, nil
}

// references are the files that a document names. Its relative paths start in dir.
func (l *loading) references(root *yaml.Node, dir string) (all []namedFile) {
	_, include := syntax.Entry(root, "include")
	for _, item := range items(include) {
		paths, envFiles := []*yaml.Node{item}, []*yaml.Node(nil)
		projectDirectory := ""
		if item.Kind == yaml.MappingNode {
			_, path := syntax.Entry(item, "path")
			_, envFile := syntax.Entry(item, "env_file")
			_, directory := syntax.Entry(item, "project_directory")
			paths, envFiles = items(path), items(envFile)
			projectDirectory = l.resolve(directory, dir)
		}
		for _, n := range paths {
			path := l.resolve(n, dir)
			if projectDirectory == "" {
				projectDirectory = filepath.Dir(path)
			}
			all = append(all, namedFile{path, n, projectDirectory})
		}
		for _, n := range envFiles {
			all = append(all, namedFile{path: l.resolve(n, dir), node: n})
		}
		if len(envFiles) == 0 {
			all = append(all, namedFile{path: filepath.Join(projectDirectory, ".env")})
		}
	}
	_, services := syntax.Entry(root, "services")
	for _, service := range syntax.Pairs(services) {
		_, extends := syntax.Entry(service, "extends")
		if _, file := syntax.Entry(extends, "file"); file != nil {
			path := l.resolve(file, dir)
			all = append(all, namedFile{path, file, filepath.Dir(path)})
		}
		all = append(all, l.serviceFiles(service, dir)...)
	}
	return slices.DeleteFunc(all, func(r namedFile) bool { return r.path == "" })
}

// serviceFiles are the env files and label files that a service names.
func (l *loading) serviceFiles(service *yaml.Node, dir string) (all []namedFile) {
	for _, key := range []string{"env_file", "label_file"} {
		_, files := syntax.Entry(service, key)
		for _, n := range items(files) {
			if _, path := syntax.Entry(n, "path"); path != nil {
				n = path
			}
			if path := l.resolve(n, dir); path != "" {
				all = append(all, namedFile{path: path, node: n})
			}
		}
	}
	return all
}

// resolve returns the absolute path that a node means, or "" where it means none.
func (l *loading) resolve(n *yaml.Node, dir string) string {
	n = syntax.Dereference(n)
	if n == nil || n.Kind != yaml.ScalarNode {
		return ""
	}
	path, err := template.Substitute(n.Value, func(name string) (string, bool) {
		value, ok := l.options.Environment[name]
		return value, ok
	})
	if err != nil || path == "" {
		return ""
	}
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(dir, path)
}

// items returns the items of a sequence, or a single node as the only item.
func items(n *yaml.Node) []*yaml.Node {
	n = syntax.Dereference(n)
	switch {
	case n == nil:
		return nil
	case n.Kind != yaml.SequenceNode:
		return []*yaml.Node{n}
	}
	nodes := make([]*yaml.Node, len(n.Content))
	for i, item := range n.Content {
		nodes[i] = syntax.Dereference(item)
	}
	return nodes
}
