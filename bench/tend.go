package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/docker/docker/api/types/events"
)

const tendProject = prefix + "tend"

// stopTimeout is how long a controller may take to end.
const stopTimeout = 30 * time.Second

// tend does the work with a running controller, which follows the saved specs.
type tend struct {
	watch   *watch
	program string
	dir     string
	host    string // the engine, or empty for the default
	run     *exec.Cmd
	ended   chan error
	log     *os.File
}

func (t *tend) project() string { return tendProject }

func (t *tend) begin(ctx context.Context) error {
	if err := writeCompose(t.dir, tendProject, 1); err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(t.dir, "specs"), 0o700); err != nil {
		return err
	}
	mark := t.watch.mark()
	if _, err := t.save(few); err != nil {
		return err
	}
	if err := t.start(); err != nil {
		return err
	}
	return t.wait(ctx, mark, events.ActionStart, few)
}

// scale saves the spec and waits until the events say that it is in force.
func (t *tend) scale(ctx context.Context, from, to int) error {
	mark := t.watch.mark()
	if _, err := t.save(to); err != nil {
		return err
	}
	if to < from {
		return t.wait(ctx, mark, events.ActionDestroy, from-to)
	}
	return t.wait(ctx, mark, events.ActionStart, to-from)
}

// wait waits for events, and tells what the controller said where they do not
// come in time.
func (t *tend) wait(ctx context.Context, mark int, action events.Action, n int) error {
	_, err := t.watch.await(ctx, mark, tendProject, action, n)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return errors.Join(err, t.said())
	}
	return err
}

// save puts the spec in the place of the one before, as editors do, and
// returns the instant before.
func (t *tend) save(replicas int) (time.Time, error) {
	content := fmt.Sprintf("apiVersion: tend/v1\nkind: Deployment\nmetadata: {name: %s}\nspec: {replicas: %d}\n", serviceName, replicas)
	file := filepath.Join(t.dir, "specs", serviceName+".yaml")
	if err := os.WriteFile(file+".new", []byte(content), 0o600); err != nil {
		return time.Time{}, err
	}
	saved := time.Now()
	return saved, os.Rename(file+".new", file)
}

// start starts the controller.
func (t *tend) start() (err error) {
	if t.log, err = os.OpenFile(filepath.Join(t.dir, "run.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
		return err
	}
	t.run = exec.Command(t.program, "run", "--listen", "")
	t.run.Dir, t.run.Env, t.run.Stdout, t.run.Stderr = t.dir, environment(t.host), t.log, t.log
	if err := t.run.Start(); err != nil {
		return errors.Join(err, t.log.Close())
	}
	t.ended = make(chan error, 1)
	go func() { t.ended <- t.run.Wait() }()
	return nil
}

// stop ends the controller, if it runs. What it keeps goes on running.
func (t *tend) stop() error {
	if t.run == nil {
		return nil
	}
	defer t.log.Close()
	_ = t.run.Process.Signal(syscall.SIGTERM) // fails where it has ended already
	select {
	case err := <-t.ended:
		t.run = nil
		return err
	case <-time.After(stopTimeout):
		err := errors.Join(errors.New("tend run did not end, and was killed"), t.run.Process.Kill(), <-t.ended)
		t.run = nil
		return err
	}
}

// restart starts the controller anew, with the engine at host.
func (t *tend) restart(host string) error {
	if err := t.stop(); err != nil {
		return errors.Join(err, t.said())
	}
	t.host = host
	return t.start()
}

func (t *tend) apply(ctx context.Context) error {
	return command(ctx, t.dir, t.host, t.program, "apply")
}

// saidLimit is how many bytes of the controller's log an error shows.
const saidLimit = 4000

// said is the end of what the controller said.
func (t *tend) said() error {
	log, err := os.ReadFile(filepath.Join(t.dir, "run.log"))
	if err != nil {
		return err
	}
	return fmt.Errorf("tend run said:\n%s", log[max(0, len(log)-saidLimit):])
}
