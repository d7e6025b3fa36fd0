package e2e_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/tendhq/tend/e2e/kit"
)

// daemon is an engine of the test's own.
type daemon struct {
	*kit.Engine
	t      *testing.T
	engine engine
	flags  []string
	loaded bool
}

// newDaemon prepares an engine that keeps its data in root; start starts it.
func newDaemon(t *testing.T, root string) *daemon {
	t.Parallel()
	e, err := kit.NewEngine(t.TempDir(), root)
	require.NoError(t, err)
	t.Cleanup(func() { e.Close() })
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the engine's log:\n%s", e.Log())
		}
	})
	d := &daemon{Engine: e, t: t, engine: engine{e.Client}}
	t.Cleanup(d.stop)
	return d
}

func (d *daemon) start() {
	d.t.Helper()
	require.NoError(d.t, d.Start(d.t.Context(), d.flags...))
	if !d.loaded {
		d.load(probe)
		d.loaded = true
	}
}

func (d *daemon) stop() {
	d.t.Helper()
	assert.NoError(d.t, d.Stop())
}

// load brings images from the machine's engine.
func (d *daemon) load(images ...string) {
	d.t.Helper()
	require.NoError(d.t, d.Copy(d.t.Context(), docker.Client, images...))
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
	require.NoError(d.t, d.Kill())
	// Without its shim nobody tells the next engine how the container has ended.
	require.NoError(d.t, syscall.Kill(shim, syscall.SIGKILL))
	require.NoError(d.t, syscall.Kill(pid, syscall.SIGKILL))
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
	r := p.tend("run", "--data-dir", filepath.Join(data, "tend"))
	assert.Equal(t, 1, r.code, "%s", r)
	assert.Contains(t, r.errOut, "no space left on device")
	assert.Contains(t, r.errOut, data)
	assert.Empty(t, p.replicas(""))
}
