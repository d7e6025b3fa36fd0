package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// lock makes sure that one controller at a time acts on a project. The kernel
// frees it when the process ends, however it ends; it holds across containers,
// as they see the same file.
type lock struct{ file *os.File }

// errLocked says that another controller holds the lock.
type errLocked struct{ holder string }

func (e *errLocked) Error() string {
	return fmt.Sprintf("another tend keeps this project (%s): stop that one first, or let it do the work", e.holder)
}

// takeLock makes the data directory when it is missing and takes its lock.
func takeLock(dataDir string) (*lock, error) {
	if err := os.MkdirAll(dataDir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data directory: %w; name another one with --data-dir", err)
	}
	f, err := os.OpenFile(filepath.Join(dataDir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock: %w; tend must be able to write in its data directory", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			holder, _ := os.ReadFile(f.Name())
			return nil, &errLocked{holder: strings.TrimSpace(string(holder))}
		}
		return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	host, _ := os.Hostname()
	if err := f.Truncate(0); err == nil {
		_, _ = fmt.Fprintf(f, "process %d on %s\n", os.Getpid(), host)
	}
	return &lock{file: f}, nil
}

func (l *lock) release() { _ = l.file.Close() }
