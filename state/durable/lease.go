package durable

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/tendhq/tend/state/datadir"
)

// Lease is the right to act on a project, which one process at a time has.
type Lease interface {
	// Check returns nil while the right is held. It is asked immediately before
	// each write to the engine, so that a process that was frozen meanwhile
	// does not act when it wakes up.
	Check() error
	// Release gives the right up.
	Release() error
}

// ErrLost reports that the right to act is no longer held.
var ErrLost = errors.New("the right to act on this project is lost")

// HeldError reports that another process has the right to act.
type HeldError struct {
	// Holder names that process, for a person.
	Holder string
	// Elsewhere is true where it works with another data directory.
	Elsewhere bool
}

func (e *HeldError) Error() string {
	return fmt.Sprintf("another tend keeps this project (%s): stop that one first, or let it do the work", e.Holder)
}

// checkEvery is how often Guard asks whether a lease is still held.
const checkEvery = 250 * time.Millisecond

// Guard returns a context that ends with ErrLost as its cause when a lease is lost.
// stop ends Guard's goroutine.
func Guard(ctx context.Context, l Lease) (guarded context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(checkEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				if err := l.Check(); err != nil {
					cancel(err)
				}
			}
		}
	}()
	return ctx, func() {
		cancel(nil)
		<-done
	}
}

// Self is the name of this process, for those who wait for it.
func Self() string {
	host, _ := os.Hostname()
	return fmt.Sprintf("process %d on %s", os.Getpid(), host)
}

// Lock is the Lease of a data directory: a kernel lock on the file lock in it. It holds
// across containers, as they see the same file, and ends with the process, however that
// ends. A frozen process keeps it.
type Lock struct{ file *os.File }

// TakeLock makes the data directory where it is missing and takes its lock. The
// error is a *HeldError where another process has it.
func TakeLock(dataDir string) (*Lock, error) {
	if err := datadir.Make(dataDir); err != nil {
		return nil, err
	}
	f, err := datadir.OpenFile(dataDir, "lock", os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, fmt.Errorf("open the lock: %w", err)
	}
	if err := tryLock(f); err != nil {
		defer f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			holder, _ := io.ReadAll(io.LimitReader(f, 1024))
			return nil, &HeldError{Holder: strings.TrimSpace(string(holder))}
		}
		return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	l := &Lock{file: f}
	if err := l.Check(); err != nil { // the file was removed between the two
		return nil, errors.Join(err, l.Release())
	}
	if err := f.Truncate(0); err == nil {
		_, _ = fmt.Fprintln(f, Self())
	}
	return l, nil
}

// Check implements Lease. Removing the file lets the next process in.
func (l *Lock) Check() error {
	named, err := os.Lstat(l.file.Name())
	held, heldErr := l.file.Stat()
	if err := errors.Join(err, heldErr); err != nil || !os.SameFile(named, held) {
		return fmt.Errorf("%w: %s was removed", ErrLost, l.file.Name())
	}
	return nil
}

// Release implements Lease.
func (l *Lock) Release() error { return l.file.Close() }
