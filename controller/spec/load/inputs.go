package load

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"

	"github.com/tendhq/tend/controller/spec"
)

// Inputs are the files that a project was read from.
type Inputs struct {
	// Files are the absolute paths of the files, also of those that would be read if
	// they existed.
	Files map[string]bool
	// Compose is the path of the first Compose file; empty where that is the standard
	// input.
	Compose string
	// Specs is the folder of the spec files, whether it exists or not.
	Specs string
}

func newInputs() *Inputs { return &Inputs{Files: map[string]bool{}} }

func (in *Inputs) add(files ...string) {
	for _, f := range files {
		if f == "" {
			continue
		}
		if abs, err := filepath.Abs(f); err == nil {
			in.Files[abs] = true
		}
	}
}

// addDiscoverable adds the files that would be read if they existed.
func (in *Inputs) addDiscoverable(o Options, workingDir string, composeFiles []string) {
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

// These bound a folder of specs, so that no content of it takes the controller's memory
// or time.
const (
	maxSpecFiles  = 20_000
	maxSpecBytes  = 32 << 20 // of all files together
	maxProblems   = 100_000  // that are collected
	folderEntries = 1000     // read at a time
)

// readSpecs reads the spec files of the project's folder, and drafts in place of some of
// them. Without the folder there are only the drafts.
func (l *loading) readSpecs() (files []string, problems spec.Errors) {
	dir, bytes := l.inputs.Specs, 0
	decode := func(path string, content []byte) {
		files = append(files, path)
		bytes += len(content)
		documents, errs := decodeSpecs(path, content)
		l.documents = append(l.documents, documents...)
		problems = append(problems, errs...)
	}
	drafted := map[string]bool{}
	for _, d := range l.drafts {
		if filepath.Dir(d.Path) == dir {
			decode(d.Path, d.Content)
			drafted[d.Path] = true
		}
	}
	root, err := os.OpenRoot(dir)
	if errors.Is(err, os.ErrNotExist) {
		return files, problems
	}
	if err != nil {
		return nil, spec.Errors{fileError(dir, err)}
	}
	defer func() { _ = root.Close() }() // nothing was written
	names, err := specFiles(root)
	if err != nil {
		return nil, spec.Errors{fileError(dir, err)}
	}
	for _, name := range names {
		path := filepath.Join(dir, name)
		if drafted[path] {
			continue
		}
		content, err := readRegular(root, name)
		if err != nil {
			if _, gone := root.Lstat(name); errors.Is(gone, os.ErrNotExist) {
				continue // removed since the folder was listed
			}
			problems = append(problems, fileError(path, err))
			continue
		}
		decode(path, content)
		switch {
		case bytes > maxSpecBytes:
			return files, append(problems, &spec.Error{File: path,
				Message: fmt.Sprintf("with this file the specs have more than %d bytes, the most that are read", maxSpecBytes),
				Hint:    "move what is no spec out of the folder, or divide the project"})
		case len(problems) > maxProblems:
			return files, append(problems, &spec.Error{File: path,
				Message: fmt.Sprintf("with this file there are more than %d problems; the files after it were not read", maxProblems),
				Hint:    "correct these first"})
		}
	}
	return files, problems
}

// specFiles lists the spec files of a folder by name.
func specFiles(root *os.Root) (names []string, err error) {
	folder, err := root.Open(".")
	if err != nil {
		return nil, err
	}
	defer func() { _ = folder.Close() }() // nothing was written
	for {
		entries, err := folder.ReadDir(folderEntries)
		for _, e := range entries {
			if IsSpecFile(e.Name()) {
				names = append(names, e.Name())
			}
		}
		switch {
		case len(names) > maxSpecFiles:
			return nil, &refusedFile{
				fmt.Sprintf("the folder has more than %d spec files, the most that are read", maxSpecFiles),
				"write several specs into one file, with --- between them, or divide the project"}
		case errors.Is(err, io.EOF):
			slices.Sort(names)
			return names, nil
		case err != nil:
			return nil, err
		}
	}
}

// SpecFiles lists the names of a project's spec files, valid or not.
func SpecFiles(o Options) ([]string, error) {
	in, err := Discover(o)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(in.Specs)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, spec.Errors{fileError(in.Specs, err)}
	}
	defer func() { _ = root.Close() }() // nothing was written
	names, err := specFiles(root)
	if err != nil {
		return nil, spec.Errors{fileError(in.Specs, err)}
	}
	return names, nil
}

// SpecFile returns the content of a spec file by its name. The error is os.ErrNotExist
// where there is none, and where the name is no spec file's.
func SpecFile(o Options, name string) ([]byte, error) {
	in, err := Discover(o)
	if err != nil {
		return nil, err
	}
	if !IsSpecFile(name) || name != filepath.Base(name) {
		return nil, os.ErrNotExist
	}
	root, err := os.OpenRoot(in.Specs)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }() // nothing was written
	content, err := readRegular(root, name)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, spec.Errors{fileError(filepath.Join(in.Specs, name), err)}
	}
	return content, err
}

// IsSpecFile reports whether a name is a spec file's, and not one that editors leave:
// hidden files (.#x.yaml, .x.yaml.swp), backups (x.yaml~), probes (4913).
func IsSpecFile(name string) bool {
	ext := filepath.Ext(name)
	return !strings.HasPrefix(name, ".") && !strings.HasPrefix(name, "#") && (ext == ".yaml" || ext == ".yml")
}
