package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/docker/docker/client"
	"golang.org/x/sys/unix"

	"github.com/tendhq/tend/e2e/kit"
)

// startTimeout bounds the start of the engine, which first ends or takes over
// the containers of its predecessor.
const startTimeout = 3 * time.Minute

// daemon is the engine of the run.
type daemon struct {
	*client.Client

	dir     string
	journal *journal
	judge   *judge
	witness *witness
	log     *os.File

	// using is held for reading by who asks the engine, and for writing while
	// it is away.
	using   sync.RWMutex
	cmd     *exec.Cmd
	ended   chan struct{}
	watched sync.WaitGroup
}

func newDaemon(dir string, j *journal, judge *judge, witness *witness) (*daemon, error) {
	cli, err := client.NewClientWithOpts(client.WithHost("unix://"+engineSocket(dir)), client.WithAPIVersionNegotiation())
	if err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "dockerd.log"))
	return &daemon{Client: cli, dir: dir, journal: j, judge: judge, witness: witness, log: log}, err
}

func engineSocket(dir string) string { return filepath.Join(dir, "docker.sock") }

// up starts the engine, again and again where it cannot, as on a full disk.
// Nobody but the judge can reach it before the judge has seen what runs.
func (d *daemon) up(ctx context.Context, liveRestore bool) error {
	began := time.Now()
	for {
		err := d.start(ctx, liveRestore)
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

// start starts the engine's process and waits until it answers.
func (d *daemon) start(ctx context.Context, liveRestore bool) error {
	d.cmd = exec.Command("dockerd", "--host", "unix://"+engineSocket(d.dir), "--data-root", filepath.Join(d.dir, "disk", "docker"),
		"--exec-root", "/run/docker", "--pidfile", pidFile, "--cgroup-parent", "/"+cgroupOf(d.dir),
		"--exec-opt", "native.cgroupdriver=cgroupfs", fmt.Sprintf("--live-restore=%t", liveRestore))
	d.cmd.Stdout, d.cmd.Stderr = d.log, d.log
	d.judge.engineStarts()
	if err := d.cmd.Start(); err != nil {
		return err
	}
	running, end := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	d.ended = ended
	go func() {
		defer close(ended)
		_ = d.cmd.Wait()
		end(errors.New("it has ended; see its log"))
	}()
	starting, cancel := kit.Patience(running, startTimeout)
	defer cancel()
	return kit.Await(starting, func() error {
		_, err := d.Ping(starting)
		return err
	})
}

// namespaces is where the engine keeps the containers' network namespaces.
const namespaces = "/run/docker/netns"

// sweep takes away the network namespaces from before a time of which no
// container runs. An Engine 20.10 that was killed while it made or ended one
// forgets it, and gives its addresses to other containers; both answer then, and
// nothing but a restart of the machine helps.
func (d *daemon) sweep(ctx context.Context, before time.Time) error {
	used := map[string]bool{"default": true} // that of the machine
	all, err := d.containers(ctx)
	if err != nil {
		return err
	}
	for _, c := range all {
		used[filepath.Base(c.NetworkSettings.SandboxKey)] = true
	}
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

// kill kills the engine, so that it cleans up nothing, its pid file included.
// It may have ended already.
func (d *daemon) kill() error {
	if err := d.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-d.ended
	d.witness.close()
	d.watched.Wait()
	return os.RemoveAll(pidFile)
}

const pidFile = "/run/docker.pid"

// restart kills the engine and starts it again after a while.
func (d *daemon) restart(ctx context.Context, after time.Duration, liveRestore bool) error {
	d.using.Lock()
	defer d.using.Unlock()
	if err := d.kill(); err != nil {
		return err
	}
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
	loaded, err := d.ImageLoad(ctx, file)
	if err != nil {
		return fmt.Errorf("load the shop's images: %w", err)
	}
	defer loaded.Body.Close()
	if _, err := io.Copy(io.Discard, loaded.Body); err != nil {
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

// useless says whether the engine does not answer for one of its containers, or
// has ended.
func (d *daemon) useless(parent context.Context) bool {
	d.using.RLock()
	defer d.using.RUnlock()
	ctx, cancel := context.WithTimeout(parent, lockedUp)
	defer cancel()
	_, err := d.containers(ctx)
	select {
	case <-d.ended:
		return true
	default:
		return err != nil && ctx.Err() != nil
	}
}
