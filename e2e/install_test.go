package e2e_test

import (
	"context"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// installTime is how long it may take from the package to a project that runs.
const installTime = time.Minute

// A bare Debian root is given the package and somebody's compose.yaml. It has no engine of
// its own but the machine's socket.
func TestTheDebKeepsAProjectOnABareDebian(t *testing.T) {
	p := newProject(t, files{"compose.yaml": web})
	packages := packageOf(t, tend)
	socket, _ := engineSocket(t)
	ctx := t.Context()
	made, err := docker.ContainerCreate(ctx,
		&container.Config{Image: "tend/debian:bookworm", Cmd: []string{"sleep", "infinity"}},
		&container.HostConfig{Init: new(true), Binds: []string{socket + ":/var/run/docker.sock", p.dir + ":" + p.dir, packages + ":/packages:ro"}},
		nil, nil, p.name+"-debian")
	require.NoError(t, err)
	t.Cleanup(func() {
		assert.NoError(t, docker.ContainerRemove(context.Background(), made.ID, container.RemoveOptions{Force: true}))
	})
	require.NoError(t, docker.ContainerStart(ctx, made.ID, container.StartOptions{}))
	in := func(command ...string) string {
		t.Helper()
		out, err := exec.CommandContext(ctx, "docker", append([]string{"exec", made.ID}, command...)...).CombinedOutput()
		require.NoError(t, err, "%s", out)
		return string(out)
	}

	began := time.Now()
	in("sh", "-c", "dpkg --install /packages/*.deb")
	in("sh", "-c", "tend run --project-directory "+p.dir+" >/tmp/log 2>&1 &")
	replicas := p.awaitReady("web", 1)
	took := time.Since(began)
	t.Logf("from dpkg --install to a project that runs: %s", took.Round(time.Millisecond))
	assert.Less(t, took, installTime)
	assert.Contains(t, in("tend", "get", "workloads", "--project-directory", p.dir), "web")

	t.Log("what is installed is where it is looked for")
	contents := in("dpkg", "--contents", "/packages/tend_1.2.3_"+runtime.GOARCH+".deb")
	for _, path := range []string{
		"./usr/lib/systemd/system/tend@.service", "./usr/share/man/man1/tend.1.gz", "./usr/share/man/man1/tend-rollout-undo.1.gz",
		"./usr/share/bash-completion/completions/tend", "./usr/share/zsh/vendor-completions/_tend",
		"./usr/share/fish/vendor_completions.d/tend.fish", "./usr/share/doc/tend/copyright", "./usr/share/doc/tend/tend.cdx.json",
	} {
		assert.Contains(t, contents, path+"\n")
	}

	t.Log("it goes, and the project stays")
	in("dpkg", "--purge", "tend")
	assert.Equal(t, replicas[0].ID, p.replica("web").ID)
}

// packageOf makes the packages of a program, as a release does, and returns their folder.
func packageOf(t *testing.T, program string) string {
	t.Helper()
	dir := t.TempDir()
	named := filepath.Join(dir, "tend-linux-"+runtime.GOARCH)
	for _, command := range [][]string{
		{"cp", program, named},
		{"go", "-C", "tools", "run", "./sbom", named},
		{"deploy/release/package.sh", "1.2.3", runtime.GOARCH, dir},
	} {
		cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
		cmd.Dir = repository
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s: %s", command, out)
	}
	return dir
}
