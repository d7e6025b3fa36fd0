package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/client"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// daemon is a Docker Engine of the test's own, to do harm to. It has a network
// namespace of its own: an engine that starts makes or removes the bridge
// docker0 and changes the firewall, which would cut off the machine's engine.
type daemon struct {
	t         *testing.T
	dir, root string
	flags     []string
	engine    engine
	cmd       *exec.Cmd
	log       *buffer
	loaded    bool
}

// newDaemon prepares an engine that keeps its data in root; start starts it.
func newDaemon(t *testing.T, root string) *daemon {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Fatal("starting an engine takes root")
	}
	dir := t.TempDir()
	d := &daemon{t: t, dir: dir, root: root, log: &buffer{}}
	cli, err := client.NewClientWithOpts(client.WithHost("unix://"+filepath.Join(dir, "socket")), client.WithAPIVersionNegotiation())
	require.NoError(t, err)
	t.Cleanup(func() { cli.Close() })
	d.engine = engine{cli}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the engine's log:\n%s", d.log)
		}
	})
	t.Cleanup(d.stop)
	return d
}

func (d *daemon) start() {
	t := d.t
	t.Helper()
	// The shell becomes dockerd: its process is the one to stop.
	d.cmd = exec.Command("unshare", append([]string{"--net", "sh", "-c", `ip link set lo up && exec dockerd "$@"`, "sh",
		"--host", d.engine.DaemonHost(), "--data-root", d.root,
		"--exec-root", filepath.Join(d.dir, "exec"), "--pidfile", filepath.Join(d.dir, "pid")}, d.flags...)...)
	d.cmd.Stdout, d.cmd.Stderr = d.log, d.log
	require.NoError(t, d.cmd.Start())
	require.Eventually(t, func() bool {
		_, err := d.engine.Ping(context.Background())
		return err == nil
	}, patience, glance)
	if !d.loaded {
		d.load(probe)
		d.loaded = true
	}
}

// stop ends the engine and all its containers. It may have ended already.
func (d *daemon) stop() {
	if d.cmd == nil || d.cmd.ProcessState != nil {
		return
	}
	assert.NoError(d.t, d.cmd.Process.Signal(syscall.SIGTERM))
	ended := make(chan struct{})
	go func() { defer close(ended); _ = d.cmd.Wait() }()
	select {
	case <-ended:
	case <-time.After(patience):
		_ = d.cmd.Process.Kill()
		<-ended
		d.t.Error("the engine does not stop")
	}
}

// loseMachine ends the engine and a container so that neither cleans up anything.
func (d *daemon) loseMachine(r replica) {
	d.t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", r.State.Pid))
	require.NoError(d.t, err)
	var pid, shim int
	var name, state string
	_, err = fmt.Sscan(string(stat), &pid, &name, &state, &shim)
	require.NoError(d.t, err)
	require.NoError(d.t, d.cmd.Process.Kill())
	_ = d.cmd.Wait()
	// Without its shim nobody tells the next engine how the container has ended.
	require.NoError(d.t, syscall.Kill(shim, syscall.SIGKILL))
	require.NoError(d.t, syscall.Kill(pid, syscall.SIGKILL))
	require.NoError(d.t, unix.Unmount(d.root, unix.MNT_DETACH)) // an engine mounts its folder over itself
	// The next one would wait for the containerd that has died with this one.
	require.NoError(d.t, os.RemoveAll(filepath.Join(d.dir, "exec", "containerd", "containerd.pid")))
}

// load brings an image from the machine's engine.
func (d *daemon) load(ref string) {
	t := d.t
	t.Helper()
	saved, err := docker.ImageSave(t.Context(), []string{ref})
	require.NoError(t, err)
	defer saved.Close()
	loaded, err := d.engine.ImageLoad(t.Context(), saved)
	require.NoError(t, err)
	defer loaded.Body.Close()
	_, err = io.Copy(io.Discard, loaded.Body)
	require.NoError(t, err)
}

func TestAnEngineThatIsAwayIsWaitedFor(t *testing.T) {
	d := newDaemon(t, t.TempDir())
	p := newProjectOn(t, d.engine, files{"compose.yaml": plain + "    scale: 2\n"})

	t.Log("not running at the start")
	for _, command := range []string{"apply", "diff", "down"} {
		r := p.tend(command)
		assert.NotZero(t, r.code, command)
		assert.Contains(t, r.errOut, "no container engine answers", command)
		assert.Contains(t, r.errOut, "DOCKER_HOST", command)
	}
	tend := p.run()
	tend.awaitEvent("", "EngineUnavailable", "nothing is changed until the engine answers")
	d.start()
	tend.awaitEvent("", "EngineReachable")
	before := p.awaitReady("web", 2)

	t.Log("gone, with all its containers, and back")
	tend.forget()
	d.stop()
	tend.awaitEvent("", "EngineUnavailable")
	p.edit("compose.yaml", "scale: 2", "scale: 3")
	tend.awaitEvent("web", "SpecChanged", "replicas 2 → 3")
	d.start()
	tend.awaitEvent("", "EngineReachable")
	after := p.awaitReady("web", 3)
	for i, r := range before {
		assert.Equal(t, r.ID, after[i].ID, "it is started again, not made anew")
	}
	tend.stop()
	p.mustTend("down")
}

// Neither tend nor the engine ends in order, as when a machine loses its power: the
// engine that comes back starts what was written to be restarted.
func TestWhatRanIsBackAfterARebootWithoutTend(t *testing.T) {
	d := newDaemon(t, t.TempDir())
	d.start()
	p := newProjectOn(t, d.engine, files{"compose.yaml": plain + "    restart: unless-stopped\n"})
	tend := p.run()
	before := p.awaitReady("web", 1)[0]
	tend.end(syscall.SIGKILL)
	d.loseMachine(before)
	d.start()
	p.awaitOtherThan(before, "web", 1)

	t.Log("a tend that comes back finds nothing to do")
	back := p.identities()
	p.mustTend("apply")
	p.assertSame(back, "after tend apply")
	p.mustTend("down")
}

// tmpfs mounts a file system of a size in MiB.
func tmpfs(t *testing.T, mib int) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", mib)))
	t.Cleanup(func() { assert.NoError(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	return dir
}

// fill writes a file until its file system is full.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	require.NoError(t, err)
	defer f.Close()
	for size := 1 << 20; size > 0; {
		if _, err := f.Write(bytes.Repeat([]byte{1}, size)); err != nil {
			require.ErrorIs(t, err, syscall.ENOSPC)
			size /= 2
		}
	}
}

func TestAFullDiskStopsNothingThatRuns(t *testing.T) {
	root := tmpfs(t, 64)
	d := newDaemon(t, root)
	d.start()
	p := newProjectOn(t, d.engine, files{"compose.yaml": plain, "specs/web.yaml": specOf("replicas: 2")})
	tend := p.run()
	p.awaitReady("web", 2)
	before := p.identities()
	fill(t, filepath.Join(root, "filler"))
	p.write("specs/web.yaml", specOf("replicas: 3"))
	tend.awaitEvent("web", "CreateFailed", "no space left on device")
	tend.awaitEvent("web", "BackOff", "no space left on device")
	after := p.identities()
	for name, was := range before {
		assert.Equal(t, was, after[name])
	}
	require.NoError(t, os.Remove(filepath.Join(root, "filler")))
	p.awaitReady("web", 3)
	tend.stop()
	p.mustTend("down")
}

func TestAFullDiskUnderTheDataDirectoryIsTold(t *testing.T) {
	p := newProject(t, files{"compose.yaml": plain})
	data := tmpfs(t, 1)
	fill(t, filepath.Join(data, "filler"))
	r := p.tend("run", "--listen", "", "--data-dir", filepath.Join(data, "tend"))
	assert.Equal(t, 1, r.code, "%s", r)
	assert.Contains(t, r.errOut, "no space left on device")
	assert.Contains(t, r.errOut, data)
	assert.Empty(t, p.replicas(""))
}
