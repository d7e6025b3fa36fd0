// Package datadir opens the data directory and the files in it. What is not tend's own
// there is refused, so that nobody can have tend write elsewhere.
package datadir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// RefusedError reports that the data directory, or a file in it, is not as tend makes it.
type RefusedError struct{ Path, Reason, Remedy string }

func (e *RefusedError) Error() string {
	return fmt.Sprintf("%s %s: %s", e.Path, e.Reason, e.Remedy)
}

// Make makes a data directory where it is missing.
func Make(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return fmt.Errorf("make the data directory: %w; name another one with --data-dir", err)
	}
	return nil
}

// Open opens a data directory. It must be a folder itself, of the user that tend runs as,
// which nobody else may write in. root may open that of another user, as `tend up` gives
// it to the controller's.
func Open(path string) (*os.Root, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("open the data directory: %w; name another one with --data-dir", err)
	}
	if err := check(path, root); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return root, nil
}

func check(path string, root *os.Root) error {
	named, err := os.Lstat(path)
	opened, openErr := root.Stat(".")
	if err := errors.Join(err, openErr); err != nil {
		return fmt.Errorf("open the data directory: %w", err)
	}
	owner, self := ownerOf(opened), os.Geteuid()
	switch {
	case !os.SameFile(named, opened):
		return &RefusedError{path, "is a symbolic link, and the data directory must be a folder", "name the folder that it leads to with --data-dir"}
	case self != 0 && owner != self:
		return &RefusedError{path, fmt.Sprintf("belongs to the user %d, and tend runs as %d", owner, self),
			"run tend as that user, or name another data directory with --data-dir"}
	case opened.Mode().Perm()&0o022 != 0:
		return &RefusedError{path, "can be written by others", "chmod go-w it, or name another data directory with --data-dir"}
	}
	return nil
}

// OpenFolder opens a folder of a data directory, and makes both where they are missing.
// A symbolic link that leads out of the data directory is not followed.
func OpenFolder(dataDir, folder string) (*os.Root, error) {
	if err := Make(dataDir); err != nil {
		return nil, err
	}
	root, err := Open(dataDir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }() // nothing was written
	var opened *os.Root
	if err = root.MkdirAll(folder, 0o700); err == nil {
		opened, err = root.OpenRoot(folder)
	}
	path := filepath.Join(dataDir, folder)
	if errno := syscall.Errno(0); err != nil && !errors.As(err, &errno) { // not the kernel's, but that of os.Root
		return nil, &RefusedError{path, "leads out of the data directory", remove}
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return opened, nil
}

// remove is the remedy where something in the data directory is not tend's own.
const remove = "look at where it leads, and remove it"

// OpenFile opens a regular file of a data directory with a flag of os.OpenFile other than
// os.O_TRUNC, and makes it with mode 0600 where the flag says so. A file under another
// name too, by a symbolic or a hard link, is refused.
func OpenFile(dataDir, name string, flag int) (*os.File, error) {
	root, err := Open(dataDir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }() // nothing was written
	path := filepath.Join(dataDir, name)
	refused := &RefusedError{path, "is not a file of tend's own", remove}
	named, err := root.Lstat(name)
	if err == nil && !named.Mode().IsRegular() {
		return nil, refused // a named pipe would be waited for
	}
	f, err := root.OpenFile(name, flag|noFollow, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%w; tend must be able to write in its data directory", err)
	}
	named, err = root.Lstat(name)
	opened, openErr := f.Stat()
	switch err := errors.Join(err, openErr); {
	case err != nil:
		return nil, errors.Join(err, f.Close())
	case !os.SameFile(named, opened), linksOf(opened) != 1:
		return nil, errors.Join(refused, f.Close())
	}
	return f, nil
}
