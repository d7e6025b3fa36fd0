package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/docker/docker/client"

	"github.com/tendhq/tend/e2e/kit"
)

// images are those of the shop. They are taken from the machine's engine, which
// has no other part in this.
var images = []string{
	"shop/gateway:1.0.0", "shop/user-service:1.0.0", "shop/product-service:1.0.0", "shop/order-service:1.0.0",
	"shop/payment-service:1.0.0", "shop/notification-service:1.0.0", "shop/mailbox:1.0.0", "shop/web:1.0.0", "postgres:15-bookworm", "redis:7-bookworm",
}

// diskSize is the size of the file system with the engine's data, and dataSize of the
// one with tend's.
const (
	diskSize = 4 << 30
	dataSize = 256 << 20
)

// initialize prepares the namespaces and stays as their process 1, which reaps
// what the engine leaves behind. /run is hidden because the machine's engine is
// found there.
const initialize = `
set -eu
ip link set lo up
mount -t tmpfs tmpfs /run
mount -o loop "$1/disk.img" "$1/disk"
mount -t tmpfs -o size="$2" tmpfs "$1/data"
shift 2
"$@" || exit $?
exit 0
`

// outside prepares a folder with all that a run needs and runs it in namespaces
// of its own. When the run fails, its logs stay.
func outside(ctx context.Context, o options) (err error) {
	if os.Getuid() != 0 {
		return errors.New("starting an engine takes root")
	}
	dir, err := os.MkdirTemp("", "tend-chaos-")
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, removeCgroups(dir), cleanUp(dir, err == nil))
	}()
	if err := prepare(ctx, o, dir); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
		"bash", "-c", initialize, "bash", dir, fmt.Sprint(dataSize),
		self, "-inside", dir, "-duration", o.duration.String(), "-round", o.round.String(), "-seed", fmt.Sprint(o.seed),
		"-rate", fmt.Sprint(o.rate), "-repository", o.repository, "-tend", o.tend)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("seed %d: the run failed (%w); its logs are in %s", o.seed, err, dir)
	}
	return nil
}

func prepare(ctx context.Context, o options, dir string) error {
	for _, name := range []string{"disk", "data", "project"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			return err
		}
	}
	disk := filepath.Join(dir, "disk.img")
	if err := errors.Join(os.WriteFile(disk, nil, 0o600), os.Truncate(disk, diskSize)); err != nil {
		return err
	}
	if output, err := exec.CommandContext(ctx, "mkfs.ext4", "-q", "-m", "0", disk).CombinedOutput(); err != nil {
		return fmt.Errorf("make a file system: %w\n%s", err, output)
	}
	// The repository's own program may be built anew while the run lasts.
	if err := copyFile(o.tend, filepath.Join(dir, "tend"), 0o755); err != nil {
		return err
	}
	if err := writeProject(ctx, o.repository, filepath.Join(dir, "project")); err != nil {
		return fmt.Errorf("copy the shop: %w", err)
	}
	return saveImages(ctx, filepath.Join(dir, "images.tar"))
}

// volumesOf is where the engine has its volumes.
func volumesOf(dir string) string { return filepath.Join(dir, "disk", "docker", "volumes") }

func saveImages(ctx context.Context, file string) error {
	machine, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		return err
	}
	defer machine.Close()
	saved, err := machine.ImageSave(ctx, images)
	if err != nil {
		return fmt.Errorf("take the shop's images: %w; make images builds them", err)
	}
	defer saved.Close()
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, saved)
	return errors.Join(err, f.Close())
}

func copyFile(from, to string, mode fs.FileMode) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, content, mode)
}

// cleanUp removes the folder, or only what is no log.
func cleanUp(dir string, all bool) error {
	if all {
		return os.RemoveAll(dir)
	}
	var errs []error
	for _, name := range []string{"disk", "data", "exec", "disk.img", "images.tar", "tend"} {
		errs = append(errs, os.RemoveAll(filepath.Join(dir, name)))
	}
	return errors.Join(errs...)
}

// cgroupOf is the cgroup of a run's containers, which nothing removes when the
// engine is killed.
func cgroupOf(dir string) string { return filepath.Base(dir) }

// removeCgroups waits until those who were killed have left them.
func removeCgroups(dir string) error {
	ctx, cancel := kit.Patience(context.Background(), dyingTimeout)
	defer cancel()
	return kit.Await(ctx, func() error {
		var errs []error
		for _, pattern := range []string{"/sys/fs/cgroup/", "/sys/fs/cgroup/*/"} {
			roots, err := filepath.Glob(pattern + cgroupOf(dir))
			errs = append(errs, err)
			for _, root := range roots {
				errs = append(errs, removeTree(root))
			}
		}
		return errors.Join(errs...)
	})
}

// dyingTimeout bounds the end of processes that were killed.
const dyingTimeout = 30 * time.Second

// removeTree removes cgroups, the innermost first; their files cannot be removed
// and need not be. What a paused container runs does not die before it goes on.
func removeTree(root string) error {
	entries, err := os.ReadDir(root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // known by two names
	}
	errs := []error{err}
	for file, goOn := range map[string]string{"freezer.state": "THAWED", "cgroup.freeze": "0"} {
		// One of the two at most is there.
		_ = os.WriteFile(filepath.Join(root, file), []byte(goOn), 0)
	}
	for _, e := range entries {
		if e.IsDir() {
			errs = append(errs, removeTree(filepath.Join(root, e.Name())))
		}
	}
	return errors.Join(append(errs, os.Remove(root))...)
}
