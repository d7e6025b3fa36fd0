package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/docker/docker/api/types/events"
)

const tendProject = prefix + "tend"

// revisionVariable is in the environment of each replica. Another value makes
// another revision.
const revisionVariable = "REVISION"

// tend does the work with a running controller, which follows the saved specs.
type tend struct {
	watch   *watch
	program string
	dir     string
	host    string // the engine, or empty for the default
	// policy is what the spec says besides the number of replicas, as YAML.
	policy string
	// before is what the controller is started with: a command and its arguments.
	before []string
	// listen is where the controller serves endpoints, or empty.
	listen             string
	replicas, revision int
	run                *program
}

func (b *bench) newTend(folder string) (*tend, error) {
	dir, err := b.folder(folder)
	return &tend{watch: b.watch, program: filepath.Join(b.bin, "tend"), dir: dir}, err
}

func (t *tend) project() string { return tendProject }

func (t *tend) begin(ctx context.Context) error { return t.beginWith(ctx, few) }

// beginWith sets the project up and starts the controller.
func (t *tend) beginWith(ctx context.Context, replicas int) error {
	if err := writeCompose(t.dir, tendProject, 1, 0); err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(t.dir, "specs"), 0o700); err != nil {
		return err
	}
	mark := t.watch.mark()
	if _, err := t.save(replicas); err != nil {
		return err
	}
	if err := t.start(); err != nil {
		return err
	}
	return t.wait(ctx, mark, events.ActionStart, replicas)
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

// roll changes what the replicas are made from.
func (t *tend) roll(context.Context) error {
	t.revision++
	_, err := t.save(t.replicas)
	return err
}

func (t *tend) settled(context.Context) error { return nil }

// wait waits for events, and tells what the controller said where they do not
// come in time.
func (t *tend) wait(ctx context.Context, mark int, action events.Action, n int) error {
	_, err := t.watch.await(ctx, mark, tendProject, action, n)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return errors.Join(err, t.run.said())
	}
	return err
}

// save puts the spec in the place of the one before, as editors do, and
// returns the instant before.
func (t *tend) save(replicas int) (time.Time, error) {
	t.replicas = replicas
	content := fmt.Sprintf(`apiVersion: tend/v1
kind: Deployment
metadata: {name: %s}
spec:
  replicas: %d
  template: {environment: {%s: "%d"}}
%s`, serviceName, replicas, revisionVariable, t.revision, t.policy)
	file := filepath.Join(t.dir, "specs", serviceName+".yaml")
	if err := os.WriteFile(file+".new", []byte(content), 0o600); err != nil {
		return time.Time{}, err
	}
	saved := time.Now()
	return saved, os.Rename(file+".new", file)
}

// start starts the controller.
func (t *tend) start() (err error) {
	command := slices.Concat(t.before, []string{t.program, "run", "--endpoints-listen", t.listen, "--anonymous-read"})
	t.run, err = startProgram(t.dir, "run.log", environment(t.host), command...)
	return err
}

// stop ends the controller, if it runs. What it keeps goes on running.
func (t *tend) stop() error {
	if t.run == nil {
		return nil
	}
	run := t.run
	t.run = nil
	if err := run.stop(); err != nil {
		return errors.Join(err, run.said())
	}
	return nil
}

// restart starts the controller anew, with the engine at host.
func (t *tend) restart(host string) error {
	if err := t.stop(); err != nil {
		return err
	}
	t.host = host
	return t.start()
}

func (t *tend) apply(ctx context.Context) error {
	return command(ctx, t.dir, t.host, t.program, "apply")
}
