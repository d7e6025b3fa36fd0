package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
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
	m := newMachine(t, p, "tend/debian:bookworm", []string{"sleep", "infinity"}, container.HostConfig{Init: new(true), Binds: []string{p.dir + ":" + p.dir}})

	began := time.Now()
	m.run("sh", "-c", "dpkg --install /packages/*.deb")
	m.run("sh", "-c", "tend run --project-directory "+p.dir+" >/tmp/log 2>&1 &")
	replicas := p.awaitReady("web", 1)
	took := time.Since(began)
	t.Logf("from dpkg --install to a project that runs: %s", took.Round(time.Millisecond))
	assert.Less(t, took, installTime)
	assert.Contains(t, m.run("tend", "get", "workloads", "--project-directory", p.dir), "web")

	t.Log("what is installed is where it is looked for")
	contents := m.run("dpkg", "--contents", "/packages/tend_1.2.3_"+runtime.GOARCH+".deb")
	for _, path := range installed {
		assert.Contains(t, contents+"\n", "."+path+"\n")
	}

	t.Log("it goes, and the project stays")
	m.run("dpkg", "--purge", "tend")
	assert.Equal(t, replicas[0].ID, p.replica("web").ID)
}

// installed are some of the files of a package.
var installed = []string{
	"/usr/lib/systemd/system/tend@.service", "/usr/share/man/man1/tend.1.gz", "/usr/share/man/man1/tend-rollout-undo.1.gz",
	"/usr/share/bash-completion/completions/tend", "/usr/share/zsh/vendor-completions/_tend",
	"/usr/share/fish/vendor_completions.d/tend.fish", "/usr/share/doc/tend/copyright", "/usr/share/doc/tend/tend.cdx.json",
}

// systemd itself runs the unit: its sandbox, its restarts, and what a package does to it.
func TestSystemdKeepsAProjectByTheUnit(t *testing.T) {
	p := newProject(t, files{"compose.yaml": web})
	folder := "/srv/" + p.name
	m := newMachine(t, p, "tend/systemd:bookworm", nil, container.HostConfig{
		// What systemd needs in a container: its own mounts, and its control group.
		CapAdd: []string{"SYS_ADMIN"}, SecurityOpt: []string{"seccomp=unconfined", "apparmor=unconfined"}, CgroupnsMode: container.CgroupnsModeHost,
		Tmpfs: map[string]string{"/run": "", "/run/lock": "", "/tmp": ""},
		Binds: []string{"/sys/fs/cgroup:/sys/fs/cgroup", p.dir + ":" + folder},
	})
	p.await(func() error { return m.try("systemctl", "is-system-running") })
	m.run("sh", "-c", "dpkg --install /packages/*.deb")
	unit := m.run("systemd-escape", "--path", "--template=tend@.service", folder)
	pid := func() string { return m.run("systemctl", "show", "--property", "MainPID", "--value", unit) }
	awaitAnother := func(before string) string {
		t.Helper()
		p.await(func() error {
			if now := pid(); now == before || now == "0" {
				return fmt.Errorf("its process is %s", now)
			}
			return m.try("tend", "get", "workloads", "--project-directory", folder)
		})
		return pid()
	}

	m.run("systemctl", "enable", "--now", unit)
	web := p.awaitReady("web", 1)[0]
	first := pid()

	t.Log("a reload has everything read again")
	m.run("systemctl", "reload", unit)
	p.await(func() error {
		if journal := m.run("journalctl", "--unit", unit); !strings.Contains(journal, "SIGHUP: reading what is written again") {
			return errors.New("its journal does not say so: " + journal)
		}
		return nil
	})
	assert.Equal(t, first, pid())

	t.Log("whatever ends it, it comes back")
	m.run("systemctl", "kill", "--signal", "KILL", unit)
	second := awaitAnother(first)

	t.Log("another version is installed, and runs")
	m.run("sh", "-c", "dpkg --install /packages/*.deb")
	awaitAnother(second)

	t.Log("it is stopped, and what runs goes on")
	m.run("systemctl", "disable", "--now", unit)
	require.Error(t, m.try("systemctl", "is-active", unit))
	assert.Equal(t, web.ID, p.replica("web").ID)
	assert.True(t, p.replica("web").State.Running)

	t.Log("the .rpm does the same")
	m.run("dpkg", "--purge", "tend")
	m.run("sh", "-c", "rpm --install --nodeps /packages/*.rpm") // rpm does not know what dpkg has installed
	listed := m.run("rpm", "--query", "--list", "tend")
	for _, path := range installed {
		path = strings.Replace(path, "vendor-completions", "site-functions", 1)
		assert.Contains(t, listed+"\n", path+"\n")
	}
	m.run("systemctl", "enable", "--now", unit)
	p.await(func() error { return m.try("tend", "get", "workloads", "--project-directory", folder) })
	m.run("rpm", "--erase", "tend")
	require.Error(t, m.try("systemctl", "is-active", unit))
	assert.Equal(t, web.ID, p.replica("web").ID)
}

// machine is a container that stands for a machine: it has the machine's engine, and the
// packages of the program under test in /packages.
type machine struct {
	t  *testing.T
	id string
}

func newMachine(t *testing.T, p *project, image string, command []string, host container.HostConfig) *machine {
	t.Helper()
	socket, _ := engineSocket(t)
	host.Binds = append(host.Binds, socket+":/var/run/docker.sock", packageOf(t, tend)+":/packages:ro")
	made, err := docker.ContainerCreate(t.Context(), &container.Config{Image: image, Cmd: command}, &host, nil, nil, p.name+"-machine")
	require.NoError(t, err)
	m := &machine{t: t, id: made.ID}
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := exec.CommandContext(context.Background(), "docker", "exec", m.id, "journalctl", "--no-pager", "--lines", "100").CombinedOutput()
			t.Logf("its journal:\n%s", out)
		}
		assert.NoError(t, docker.ContainerRemove(context.Background(), m.id, container.RemoveOptions{Force: true}))
	})
	require.NoError(t, docker.ContainerStart(t.Context(), m.id, container.StartOptions{}))
	return m
}

// run returns what a command prints there, and ends the test where it fails.
func (m *machine) run(command ...string) string {
	m.t.Helper()
	out, err := m.output(command)
	require.NoError(m.t, err)
	return out
}

// try returns how a command fails.
func (m *machine) try(command ...string) error {
	_, err := m.output(command)
	return err
}

func (m *machine) output(command []string) (string, error) {
	out, err := exec.CommandContext(m.t.Context(), "docker", append([]string{"exec", m.id}, command...)...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(command, " "), err, out)
	}
	return strings.TrimSpace(string(out)), nil
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
