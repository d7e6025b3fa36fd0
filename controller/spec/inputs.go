package spec

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/template"
	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v3"
)

// inputs are what a project was read from.
type inputs struct {
	files []string // absolute
	specs string   // the folder of the spec files, whether it exists or not
}

func (in *inputs) add(files ...string) {
	for _, f := range files {
		if abs, err := filepath.Abs(f); err == nil && !slices.Contains(in.files, abs) {
			in.files = append(in.files, abs)
		}
	}
}

// readSpecs reads the spec files of a folder; without the folder there are none.
func (l *loading) readSpecs(dir string) (files []string, problems Errors) {
	l.inputs.specs = dir
	root, err := os.OpenRoot(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, Errors{{File: dir, Message: err.Error()}}
	}
	defer func() { _ = root.Close() }() // nothing was written
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return nil, Errors{{File: dir, Message: err.Error()}}
	}
	for _, e := range entries {
		if !isSpecFile(e.Name()) {
			continue
		}
		path := filepath.Join(dir, e.Name())
		content, err := readRegular(root, e.Name())
		if errors.Is(err, os.ErrNotExist) && e.Type()&fs.ModeSymlink == 0 {
			continue // removed since the folder was listed
		}
		if err != nil {
			problems = append(problems, &Error{File: path, Message: err.Error(),
				Hint: "only regular files inside the folder are read"})
			continue
		}
		files = append(files, path)
		documents, errs := decodeSpecs(path, content)
		l.documents = append(l.documents, documents...)
		problems = append(problems, errs...)
	}
	return files, problems
}

// isSpecFile tells spec files from what editors leave beside them: hidden
// files (.#x.yaml, .x.yaml.swp), backups (x.yaml~), probes (4913).
func isSpecFile(name string) bool {
	ext := filepath.Ext(name)
	return !strings.HasPrefix(name, ".") && !strings.HasPrefix(name, "#") && (ext == ".yaml" || ext == ".yml")
}

// readRegular reads a regular file; a symbolic link counts as what it points
// to, which must be inside root.
func readRegular(root *os.Root, name string) ([]byte, error) {
	info, err := root.Stat(name) // before opening, which would wait at a named pipe
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("not a regular file, but %s", info.Mode())
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // nothing was written
	return io.ReadAll(io.LimitReader(f, maxFileSize+1))
}

// readReferenced reads the files that the Compose files include or extend,
// and those that these do in turn. What cannot be read is left to compose-go
// to refuse, which knows better why it is needed.
func (l *loading) readReferenced() (problems Errors) {
	type reference struct {
		source
		dir string // where its relative paths start
	}
	var queue []reference
	for _, s := range l.sources {
		queue = append(queue, reference{s, l.workingDir})
	}
	var found sources
	for len(queue) > 0 {
		from := queue[0]
		queue = queue[1:]
		for path, dir := range l.references(from.root, from.dir) {
			if slices.Contains(l.inputs.files, path) {
				continue
			}
			if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
				l.inputs.add(path)
				continue
			}
			_, roots, errs := l.readCompose(path)
			problems = append(problems, errs...)
			for _, root := range roots {
				s := source{file: path, root: root}
				found = append(found, s)
				queue = append(queue, reference{s, dir})
			}
		}
	}
	// The Compose files are merged over what they include.
	slices.Reverse(found)
	l.sources = append(found, l.sources...)
	return problems
}

// references yields the files that a document includes or extends, each with
// the folder where that file's own relative paths start.
func (l *loading) references(root *yaml.Node, dir string) func(yield func(path, dir string) bool) {
	abs := func(n *yaml.Node) string {
		path, err := template.Substitute(n.Value, func(name string) (string, bool) {
			v, ok := l.options.Environment[name]
			return v, ok
		})
		if err != nil || path == "" {
			return ""
		}
		if filepath.IsAbs(path) {
			return filepath.Clean(path)
		}
		return filepath.Join(dir, path)
	}
	return func(yield func(path, dir string) bool) {
		_, include := entry(root, "include")
		if include = dereference(include); include != nil {
			for _, item := range include.Content {
				projectDirectory := ""
				if _, n := entry(item, "project_directory"); n != nil {
					projectDirectory = abs(n)
				}
				paths := scalars(item)
				if item.Kind == yaml.MappingNode {
					_, n := entry(item, "path")
					paths = scalars(n)
				}
				for _, n := range paths {
					path := abs(n)
					if path == "" {
						continue
					}
					if projectDirectory == "" {
						projectDirectory = filepath.Dir(path)
					}
					if !yield(path, projectDirectory) {
						return
					}
				}
			}
		}
		_, services := entry(root, "services")
		for _, service := range pairs(services) {
			_, extends := entry(service, "extends")
			if _, n := entry(extends, "file"); n != nil {
				if path := abs(n); path != "" && !yield(path, filepath.Dir(path)) {
					return
				}
			}
		}
	}
}

// scalars returns a scalar, or those in a sequence.
func scalars(n *yaml.Node) []*yaml.Node {
	n = dereference(n)
	switch {
	case n == nil:
		return nil
	case n.Kind == yaml.ScalarNode:
		return []*yaml.Node{n}
	case n.Kind == yaml.SequenceNode:
		return n.Content
	}
	return nil
}

// addReferenced adds the files that the services of a project read.
func (in *inputs) addReferenced(p *types.Project) {
	for _, s := range p.AllServices() {
		for _, f := range s.EnvFiles {
			in.add(f.Path)
		}
		in.add(s.LabelFiles...)
	}
	for _, s := range p.Secrets {
		if s.File != "" {
			in.add(s.File)
		}
	}
	for _, c := range p.Configs {
		if c.File != "" {
			in.add(c.File)
		}
	}
}
