package watch

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/spec/load"
)

// many is how many files the folders of these tests have.
const many = 10_000

// numbered writes a project of n services, and for each a file with the result of spec.
// It returns the folder.
func numbered(t testing.TB, n int, spec func(name string) string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "big")
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "specs"), 0o755))
	var compose strings.Builder
	compose.WriteString("services:\n")
	for i := range n {
		name := fmt.Sprintf("s%05d", i)
		fmt.Fprintf(&compose, "  %s: {image: \"web:1\"}\n", name)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "specs", name+".yaml"), []byte(spec(name)), 0o600))
	}
	write(t, filepath.Join(dir, "compose.yaml"), compose.String())
	return dir
}

func deployment(name string) string {
	return "apiVersion: tend/v1\nkind: Deployment\nmetadata: {name: " + name + "}\nspec: {replicas: 2, template: {environment: {A: b}}}\n"
}

// allocated is how many bytes something allocates.
func allocated(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// held is how many bytes more are in use after something than before it, once
// all garbage has gone.
func held(do func()) int64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	do()
	runtime.GC()
	runtime.ReadMemStats(&after)
	return int64(after.HeapAlloc) - int64(before.HeapAlloc)
}

// The cost of a project grows with its services, and no faster: 190 kB are allocated
// for a service, most of it by compose-go, and 4 kB of that are kept. Whoever edits one
// of ten thousand files has everything read once more. Only the folder is watched, not
// its files, so that the system's limit on watches is far.
func TestTenThousandSpecsCostTenTimesAThousand(t *testing.T) {
	cost := func(n int) (first, edit uint64, kept int64) {
		dir := numbered(t, n, deployment)
		s := NewSource(load.Options{ProjectDirectory: dir})
		var r *running
		var u Update
		kept = held(func() {
			first = allocated(func() {
				r = runSource(t, s, dir)
				u = <-r.updates
			})
		})
		require.NoError(t, u.Err)
		assert.Len(t, u.Project.Workloads, n)
		assert.Len(t, u.Project.SpecFiles, n)
		edit = allocated(func() {
			write(t, r.path("specs/s00007.yaml"), strings.Replace(deployment("s00007"), "replicas: 2", "replicas: 3", 1))
			u = <-r.updates
		})
		require.NoError(t, u.Err)
		for name, w := range u.Project.Workloads {
			require.Equal(t, name == "s00007", w.Replicas == 3, name)
		}
		r.stop()
		assert.Empty(t, r.updates)

		w, err := newWatcher()
		require.NoError(t, err)
		defer func() { require.NoError(t, w.close()) }()
		_, err = w.watch(s.inputs)
		require.NoError(t, err)
		assert.Len(t, w.folders, 2, "the project's and that of its specs")
		t.Logf("%d services: each costs %d bytes, of which %d are kept, and %d at an edit", n, first/uint64(n), kept/int64(n), edit/uint64(n))
		return first, edit, kept
	}
	firstOfFew, _, _ := cost(many / 10)
	first, edit, kept := cost(many)
	assert.Less(t, first, 15*firstOfFew)
	assert.Less(t, edit, first*3/2, "more than one load was made")
	assert.Less(t, kept, int64(many*16<<10))
}

// limitedSource makes the test's program a Source of a folder in a user namespace with
// a limit of its own. Its value is the limit's name, its number, and the folder. The
// program prints each of its updates.
const limitedSource = "SPEC_TEST_LIMITED_SOURCE"

func watchWithin() {
	value := strings.SplitN(os.Getenv(limitedSource), " ", 3)
	err := os.WriteFile("/proc/sys/user/"+value[0], []byte(value[1]), 0)
	if err == nil {
		ctx, cancel := context.WithCancel(context.Background())
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin) // until the test closes it
			cancel()
		}()
		err = NewSource(load.Options{ProjectDirectory: value[2]}).Run(ctx, func(u Update) {
			fmt.Printf("%d workloads, %v\n", len(u.Project.Workloads), u.Err)
		})
	}
	fmt.Println("ended:", err)
}

// inotify gives so many watches to a user and no more.
func TestALimitOfInotifyIsNamedAndEndsNoSourceThatRuns(t *testing.T) {
	const plain, named = "services: {web: {image: \"web:1\"}}\n", "services: {web: {image: \"web:1\", env_file: env/web.env}}\n"
	begin := func(limit, compose string) (dir string, next func() string, stop func()) {
		dir = filepath.Join(t.TempDir(), "demo")
		write(t, filepath.Join(dir, "specs", "web.yaml"), fmt.Sprintf(webSpec, 2))
		write(t, filepath.Join(dir, "env", "web.env"), "A=b\n")
		write(t, filepath.Join(dir, "compose.yaml"), compose)
		c := exec.CommandContext(t.Context(), os.Args[0]) //nolint:gosec // the test's own program
		c.Env = append(os.Environ(), limitedSource+"="+limit+" "+dir)
		c.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}, GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
			Pdeathsig: syscall.SIGKILL,
		}
		in, err := c.StdinPipe()
		require.NoError(t, err)
		out, err := c.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, c.Start())
		lines := bufio.NewScanner(out)
		next = func() string {
			require.True(t, lines.Scan(), "it has ended")
			return lines.Text()
		}
		return dir, next, func() {
			require.NoError(t, in.Close())
			require.NoError(t, c.Wait())
		}
	}
	dir, next, stop := begin("max_inotify_watches 2", plain)
	require.Equal(t, "1 workloads, <nil>", next())
	write(t, filepath.Join(dir, "compose.yaml"), named)
	require.Equal(t, "1 workloads, watch "+dir+"/env: the system's limit on watched folders is reached: raise fs.inotify.max_user_watches with sysctl", next())
	write(t, filepath.Join(dir, "compose.yaml"), plain)
	require.Equal(t, "1 workloads, <nil>", next())
	stop()

	dir, next, stop = begin("max_inotify_watches 2", named)
	require.Equal(t, "ended: watch "+dir+"/env: the system's limit on watched folders is reached: raise fs.inotify.max_user_watches with sysctl", next())
	stop()
	_, next, stop = begin("max_inotify_instances 0", plain)
	require.Equal(t, "ended: watch files: the system's limit on inotify instances, or this process' on open files, is reached: raise fs.inotify.max_user_instances with sysctl, or ulimit -n", next())
	stop()
}
