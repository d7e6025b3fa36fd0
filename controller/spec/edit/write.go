package edit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/spec/load"
)

// Write writes a spec file of the project, whole or not at all, and returns its path. name
// is the file's in the folder of the specs. One call at a time edits a project, as with
// Scale. allow is asked with the present content, nil where there is no file, and its error
// is returned. Where the project would not be valid with the new content, the error is
// Errors and nothing is written. Where the file cannot be written, it is a *ReadOnlyError,
// and where it was changed meanwhile, a *ChangedError.
func Write(ctx context.Context, o load.Options, name string, content []byte, allow func(before []byte) error) (path string, err error) {
	in, err := load.Discover(o)
	if err != nil {
		return "", err
	}
	d := &draft{Draft: load.Draft{Path: filepath.Join(in.Specs, name), Content: content}}
	if !load.IsSpecFile(name) || name != filepath.Base(name) {
		return "", spec.Errors{{File: d.Path, Message: "no spec file can have this name", Hint: "end it with .yaml, and begin it with a letter"}}
	}
	unlock, err := lock(ctx, filepath.Dir(in.Specs))
	if err != nil {
		return "", fmt.Errorf("lock the project: %w", err)
	}
	defer unlock()
	if d.before, err = load.SpecFile(o, name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	if err := allow(d.before); err != nil {
		return "", err
	}
	const instead = "edit it as its owner, where the project is"
	// Whoever made a link had no other file in mind to be written from here.
	if info, err := os.Lstat(d.Path); err == nil && info.Mode()&os.ModeSymlink != 0 {
		return "", &ReadOnlyError{File: d.Path, Instead: instead, Err: errors.New("it is a symbolic link")}
	}
	o.Drafts = []load.Draft{d.Draft}
	if _, err := load.Project(ctx, o); err != nil {
		return "", err
	}
	if err := saved(save(d), d.Path, instead); err != nil {
		return "", err
	}
	return d.Path, nil
}
