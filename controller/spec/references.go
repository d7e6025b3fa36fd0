package spec

import (
	"os"
	"path/filepath"
	"slices"

	"github.com/compose-spec/compose-go/v2/template"
	"go.yaml.in/yaml/v3"
)

// namedFile is a file that a Compose file names.
type namedFile struct {
	path string
	node *yaml.Node // that names it
	// dir is where the relative paths in it start, if it is a Compose file too.
	dir string
}

// readReferenced reads the files that the Compose files include or extend,
// and those that these do in turn, and notes the env files and label files of
// all. What cannot be read is left to compose-go to refuse.
func (l *loading) readReferenced() (problems Errors) {
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
			known := slices.Contains(l.inputs.files, r.path)
			l.inputs.add(r.path)
			if !known && r.node != nil {
				l.named[r.path] = Error{File: from.file, Line: r.node.Line, Column: r.node.Column}
			}
			if info, err := os.Stat(r.path); known || r.dir == "" || err != nil || !info.Mode().IsRegular() {
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
	// A Compose file is merged over what it includes.
	slices.Reverse(found)
	l.sources = append(found, l.sources...)
	return problems
}

// references are the files that a document names, its relative paths starting
// in dir.
func (l *loading) references(root *yaml.Node, dir string) (all []namedFile) {
	_, include := entry(root, "include")
	for _, item := range items(include) {
		paths, envFiles := []*yaml.Node{item}, []*yaml.Node(nil)
		projectDirectory := ""
		if item.Kind == yaml.MappingNode {
			_, path := entry(item, "path")
			_, envFile := entry(item, "env_file")
			_, directory := entry(item, "project_directory")
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
	_, services := entry(root, "services")
	for _, service := range pairs(services) {
		_, extends := entry(service, "extends")
		if _, file := entry(extends, "file"); file != nil {
			path := l.resolve(file, dir)
			all = append(all, namedFile{path, file, filepath.Dir(path)})
		}
		for _, key := range []string{"env_file", "label_file"} {
			_, files := entry(service, key)
			for _, n := range items(files) {
				if _, path := entry(n, "path"); path != nil {
					n = path
				}
				all = append(all, namedFile{path: l.resolve(n, dir), node: n})
			}
		}
	}
	return slices.DeleteFunc(all, func(r namedFile) bool { return r.path == "" })
}

// resolve returns the absolute path that a node stands for, or "" where it
// stands for none.
func (l *loading) resolve(n *yaml.Node, dir string) string {
	n = dereference(n)
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

// items returns those of a sequence, or the one that stands for it.
func items(n *yaml.Node) []*yaml.Node {
	n = dereference(n)
	switch {
	case n == nil:
		return nil
	case n.Kind != yaml.SequenceNode:
		return []*yaml.Node{n}
	}
	nodes := make([]*yaml.Node, len(n.Content))
	for i, item := range n.Content {
		nodes[i] = dereference(item)
	}
	return nodes
}
