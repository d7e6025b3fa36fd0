package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tendhq/tend/e2e/kit"
)

// startTimeout bounds for how long the engine is started again and again.
const startTimeout = 3 * time.Minute

// daemon is the engine of the run.
type daemon struct {
	*kit.Engine

	dir     string
	journal *journal
	judge   *judge
	witness *witness

	// using is held for reading by who asks the engine, and for writing while
	// it is away.
	using   sync.RWMutex
	watched sync.WaitGroup
}

func newDaemon(dir string, j *journal, judge *judge) (*daemon, error) {
	e, err := kit.NewEngine(dir, filepath.Join(dir, "disk", "docker"))
	if err != nil {
		return nil, err
	}
	return &daemon{Engine: e, dir: dir, journal: j, judge: judge, witness: newWitness(dir, e.Dialer(), judge)}, nil
}

// up starts the engine, again and again where it cannot, as on a full disk.
// Nobody but the judge can reach it before the judge has seen what runs.
func (d *daemon) up(ctx context.Context, liveRestore bool) error {
	began := time.Now()
	for {
		d.judge.engineStarts()
		err := d.StartHere(ctx, "--cgroup-parent", "/"+cgroupOf(d.dir), "--exec-opt", "native.cgroupdriver=cgroupfs",
			fmt.Sprintf("--live-restore=%t", liveRestore))
		if err == nil {
			break
		}
		d.journal.note("chaos", "the engine does not start: %v", err)
		if time.Since(began) > startTimeout {
			return err
		}
		if err := kit.Pause(ctx, time.Second); err != nil {
			return err
		}
	}
	if err := d.sweep(ctx, began); err != nil {
		return err
	}
	if err := d.watch(ctx); err != nil {
		return err
	}
	d.journal.note("chaos", "the engine answers, %s after its start", time.Since(began).Round(time.Millisecond))
	return d.witness.open()
}

// sweep removes the network namespaces from before a time that belong to no running
// container. An Engine 20.10 that was killed while it made or ended one forgets it, and
// gives its addresses to other containers; then both answer, and only a restart of the
// machine helps.
func (d *daemon) sweep(ctx context.Context, before time.Time) error {
	used := map[string]bool{"default": true} // that of the machine
	all, err := kit.Containers(ctx, d)
	if err != nil {
		return err
	}
	for _, c := range all {
		used[filepath.Base(c.NetworkSettings.SandboxKey)] = true
	}
	// The containers' network namespaces.
	namespaces := filepath.Join(d.ExecRoot(), "netns")
	entries, err := os.ReadDir(namespaces)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || used[e.Name()] || info.ModTime().After(before) {
			continue // err: the engine has just taken it away
		}
		path := filepath.Join(namespaces, e.Name())
		if unix.Unmount(path, unix.MNT_DETACH) == nil { // else nothing is mounted there any more
			d.journal.note("chaos", "the engine has left the network namespace %s", e.Name())
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// restart kills the engine and starts it again after a while.
func (d *daemon) restart(ctx context.Context, after time.Duration, liveRestore bool) error {
	d.using.Lock()
	defer d.using.Unlock()
	if err := d.Kill(); err != nil {
		return err
	}
	d.witness.close()
	d.watched.Wait()
	if err := kit.Pause(ctx, after); err != nil {
		return err
	}
	return d.up(ctx, liveRestore)
}

// loadImages brings in the images of the run.
func (d *daemon) loadImages(ctx context.Context) error {
	path := filepath.Join(d.dir, "images.tar")
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := d.Load(ctx, file); err != nil {
		return err
	}
	for _, image := range images {
		if _, err := d.ImageInspect(ctx, image); err != nil {
			return err
		}
	}
	return os.Remove(path)
}

// lockedUp is after what time without an answer an engine counts as locked up.
const lockedUp = time.Minute

// useless reports whether the engine has ended, or does not answer for one of its
// containers.
func (d *daemon) useless(parent context.Context) bool {
	d.using.RLock()
	defer d.using.RUnlock()
	ctx, cancel := context.WithTimeout(parent, lockedUp)
	defer cancel()
	_, err := kit.Containers(ctx, d)
	select {
	case <-d.Ended():
		return true
	default:
		return err != nil && ctx.Err() != nil
	}
}
