package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/docker/docker/client"

	"github.com/tendhq/tend/e2e/kit"
)

// daemon is a Docker Engine of the benchmark's own, in a network namespace of
// its own. What could lock up an engine, as Compose's stop of thirty containers
// at the same moment, or changes it, as Swarm, is done there.
type daemon struct {
	*program
	cli  *client.Client
	host string
}

// startDaemon starts an engine that keeps its data in dir, and brings it the
// image of the replicas.
func startDaemon(ctx context.Context, dir string, from *client.Client) (d *daemon, err error) {
	if os.Getuid() != 0 {
		return nil, errors.New("starting an engine takes root")
	}
	d = &daemon{host: "unix://" + filepath.Join(dir, "socket")}
	if d.cli, err = client.NewClientWithOpts(client.WithHost(d.host), client.WithAPIVersionNegotiation()); err != nil {
		return nil, err
	}
	// Each program becomes the next: the process is dockerd's in the end.
	d.program, err = startProgram(dir, "log", nil, "unshare", "--net", "--mount", "sh", "-c", `ip link set lo up && exec dockerd "$@"`, "dockerd",
		"--host", d.host, "--data-root", filepath.Join(dir, "root"), "--exec-root", filepath.Join(dir, "exec"),
		"--pidfile", filepath.Join(dir, "pid"))
	if err != nil {
		return nil, errors.Join(err, d.cli.Close())
	}
	if err = within(ctx, d.awaitAnswer); err == nil {
		err = d.load(ctx, from)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start an engine: %w", err), d.said(), d.stop())
	}
	return d, nil
}

func (d *daemon) awaitAnswer(ctx context.Context) error {
	for {
		_, err := d.cli.Ping(ctx)
		if err == nil {
			return nil
		}
		if ended := kit.Pause(ctx, 100*time.Millisecond); ended != nil {
			return errors.Join(ended, err)
		}
	}
}

// load brings the image of the replicas from another engine.
func (d *daemon) load(ctx context.Context, from *client.Client) error {
	saved, err := from.ImageSave(ctx, []string{imageName})
	if err != nil {
		return err
	}
	defer saved.Close()
	loaded, err := d.cli.ImageLoad(ctx, saved)
	if err != nil {
		return err
	}
	defer loaded.Body.Close()
	_, err = io.Copy(io.Discard, loaded.Body)
	return err
}

// inside is the command that puts a program into the engine's network
// namespace, from which alone its containers can be reached.
func (d *daemon) inside() []string {
	return []string{"nsenter", fmt.Sprintf("--net=/proc/%d/ns/net", d.cmd.Process.Pid)}
}

// stop ends the engine and all its containers.
func (d *daemon) stop() error {
	return errors.Join(d.program.stop(), d.cli.Close())
}
