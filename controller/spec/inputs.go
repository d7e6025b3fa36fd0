package spec

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
)

// inputs are what a project was read from.
type inputs struct {
	files []string // absolute
	specs string   // the folder of the spec files, whether it exists or not
}

func (in *inputs) add(files ...string) {
	for _, f := range files {
		if f == "" {
			continue
		}
		if abs, err := filepath.Abs(f); err == nil && !slices.Contains(in.files, abs) {
			in.files = append(in.files, abs)
		}
	}
}

// merge adds what others has.
func (in *inputs) merge(other *inputs) {
	in.add(other.files...)
	in.specs = cmp.Or(in.specs, other.specs)
}

// addDiscoverable adds the files that would be read if they existed.
func (in *inputs) addDiscoverable(o Options, workingDir string, composeFiles []string) {
	if len(o.EnvFiles) == 0 {
		in.add(filepath.Join(workingDir, ".env"))
	}
	if len(o.Files) > 0 {
		return
	}
	if len(composeFiles) > 0 {
		workingDir = filepath.Dir(composeFiles[0])
	}
	for _, name := range slices.Concat(cli.DefaultFileNames, cli.DefaultOverrideFileNames) {
		in.add(filepath.Join(workingDir, name))
	}
}

// readSpecs reads the spec files of a folder, and in place of one of them a
// draft; without the folder there are none but that.
func (l *loading) readSpecs(dir string, d *draft) (files []string, problems Errors) {
	l.inputs.specs = dir
	decode := func(path string, content []byte) {
		files = append(files, path)
		documents, errs := decodeSpecs(path, content)
		l.documents = append(l.documents, documents...)
		problems = append(problems, errs...)
	}
	if d != nil {
		decode(d.path, d.content)
	}
	root, err := os.OpenRoot(dir)
	if errors.Is(err, os.ErrNotExist) {
		return files, problems
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
		path := filepath.Join(dir, e.Name())
		if !isSpecFile(e.Name()) || d != nil && d.path == path {
			continue
		}
		content, err := readRegular(root, e.Name())
		if errors.Is(err, os.ErrNotExist) && e.Type()&fs.ModeSymlink == 0 {
			continue // removed since the folder was listed
		}
		if err != nil {
			problems = append(problems, &Error{File: path, Message: err.Error(),
				Hint: "only regular files inside the folder are read"})
			continue
		}
		decode(path, content)
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
