package watch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/tendhq/tend/controller/spec/load"
)

// An editor or a checkout makes many events out of one change. The change is over when
// nothing has happened for quietPeriod, and at the latest after longestBurst.
const (
	quietPeriod  = 10 * time.Millisecond
	longestBurst = 200 * time.Millisecond
)

// watcher tells when a file that a project was read from may have changed. It watches
// folders, because the usual way to save a file is to put another in its place.
type watcher struct {
	fs *fsnotify.Watcher
	// files are what the project was read from, and specs is the folder of its specs.
	files map[string]bool
	specs string
	// above are the folders above the inputs, up to the root.
	above   map[string]bool
	folders map[string]os.FileInfo
}

func newWatcher() (*watcher, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watch files: %w", limited(err))
	}
	return &watcher{fs: w, folders: map[string]os.FileInfo{}}, nil
}

func (w *watcher) close() error { return w.fs.Close() }

// watch sets the files to watch. It returns true where it watches folders that it did
// not watch before, as earlier changes in them went unseen.
func (w *watcher) watch(in *load.Inputs) (added bool, err error) {
	w.files, w.specs = maps.Clone(in.Files), in.Specs
	if in.Specs != "" {
		// The folder is found by its name in the folder above, too.
		w.files[in.Specs] = true
		w.files[filepath.Join(in.Specs, "*")] = true
	}
	// The target of a symbolic link is watched as well.
	for f := range w.files {
		if target, err := filepath.EvalSymlinks(f); err == nil {
			w.files[target] = true
		}
	}
	w.above = map[string]bool{}
	wanted := map[string]bool{}
	for _, f := range slices.Sorted(maps.Keys(w.files)) {
		for folder := filepath.Dir(f); !w.above[folder]; folder = filepath.Dir(folder) {
			w.above[folder] = true
		}
		folder, info, err := nearestFolder(filepath.Dir(f))
		if err != nil {
			return false, fmt.Errorf("watch %s: %w", f, err)
		}
		if wanted[folder] {
			continue
		}
		wanted[folder] = true
		if before := w.folders[folder]; before != nil && os.SameFile(before, info) {
			continue
		}
		if err := w.fs.Add(folder); err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return true, nil // gone in this moment: the caller has to come again
			}
			return false, fmt.Errorf("watch %s: %w", folder, limited(err))
		}
		w.folders[folder] = info
		added = true
	}
	for folder := range w.folders {
		if !wanted[folder] {
			delete(w.folders, folder)
			_ = w.fs.Remove(folder) // fails where the watch ended with the folder
		}
	}
	return added, nil
}

// limited explains an error of one of inotify's limits.
func limited(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return errors.New("the system's limit on watched folders is reached: raise fs.inotify.max_user_watches with sysctl")
	case errors.Is(err, syscall.EMFILE):
		return errors.New("the system's limit on inotify instances, or this process' on open files, is reached: raise fs.inotify.max_user_instances with sysctl, or ulimit -n")
	}
	return err
}

// nearestFolder is the folder itself, or the first one above it that exists.
func nearestFolder(path string) (string, os.FileInfo, error) {
	for {
		info, err := os.Stat(path)
		if err == nil && info.IsDir() {
			return path, info, nil
		}
		parent := filepath.Dir(path)
		if parent == path {
			return "", nil, err
		}
		path = parent
	}
}

// relevant reports whether an event concerns the project: a file that it was read from,
// a folder above one, or what would be a spec file.
func (w *watcher) relevant(path string) bool {
	if filepath.Dir(path) == w.specs {
		return load.IsSpecFile(filepath.Base(path))
	}
	return w.files[path] || w.above[path]
}

// waited is why a wait is over.
type waited int

const (
	ended     waited = iota // the context has ended
	changed                 // something has changed
	unchanged               // nothing has changed for the time asked for
	demanded                // Reload was called
)

// wait returns when something has changed and settled, at a demand, or after atMost
// without a change, unless that is 0.
func (w *watcher) wait(ctx context.Context, atMost time.Duration, demands <-chan struct{}) (waited, error) {
	var idle, quiet, latest <-chan time.Time
	if atMost > 0 {
		idle = time.After(atMost)
	}
	for {
		select {
		case <-ctx.Done():
			return ended, nil
		case <-idle:
			return unchanged, nil
		case <-demands:
			return demanded, nil
		case <-quiet:
			return changed, nil
		case <-latest:
			return changed, nil
		case e, open := <-w.fs.Events:
			if !open {
				return ended, errors.New("watch files: the watcher was closed")
			}
			if e.Op == fsnotify.Chmod || !w.relevant(e.Name) {
				continue
			}
			if e.Has(fsnotify.Remove) || e.Has(fsnotify.Rename) {
				delete(w.folders, e.Name) // the watch ended with the folder
			}
		case err := <-w.fs.Errors:
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				return ended, fmt.Errorf("watch files: %w", err)
			}
			// Events were lost, so everything counts as changed.
		}
		idle, quiet = nil, time.After(quietPeriod)
		if latest == nil {
			latest = time.After(longestBurst)
		}
	}
}
