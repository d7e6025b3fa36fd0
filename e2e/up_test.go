package e2e_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/docker/docker/api/types/image"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// ownService is the service tend, as a Compose file writes it.
const ownService = `
  tend:
    image: ${TEND_IMAGE}
    x-tend: {managed: false}
    command: [run, --project-directory, "${DIR}"]
    user: "65532:65532"
    group_add: ["${GROUP}"]
    restart: unless-stopped
    read_only: true
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
    volumes:
      - ${SOCKET}:/var/run/docker.sock
      - ${DIR}:${DIR}:ro
      - ${DIR}/.tend:${DIR}/.tend
`

// engineSocket is the engine's socket, and the group that may use it.
func engineSocket(t *testing.T) (path, group string) {
	t.Helper()
	path, isUnix := strings.CutPrefix(docker.DaemonHost(), "unix://")
	require.True(t, isUnix, "a controller in a container needs the engine's Unix socket")
	info, err := os.Stat(path)
	require.NoError(t, err)
	return path, fmt.Sprint(info.Sys().(*syscall.Stat_t).Gid)
}

func TestTheControllerRunsInAContainer(t *testing.T) {
	for name, service := range map[string]string{"the built-in one": "", "that of compose.yaml": ownService} {
		t.Run(name, func(t *testing.T) {
			p := newProject(t, files{"compose.yaml": web + "    volumes: [\"data:/data\"]\n" + service + "volumes: {data: {}}\n", "specs/web.yaml": specOf("replicas: 2")})
			socket, group := engineSocket(t)
			p.write(".env", p.read(".env")+fmt.Sprintf("DIR=%s\nSOCKET=%s\nGROUP=%s\n", p.dir, socket, group))
			up := p.tend("up", "--image", tendImage)
			require.Zero(t, up.code, "%s", up)
			p.requireReadyNow("web", 2)

			t.Log("it has no right that it does not need")
			controller := p.replica("tend")
			assert.Equal(t, tendImage, controller.Config.Image)
			assert.Equal(t, "65532:65532", controller.Config.User)
			assert.True(t, controller.HostConfig.ReadonlyRootfs)
			assert.False(t, controller.HostConfig.Privileged)
			assert.Equal(t, []string{"ALL"}, []string(controller.HostConfig.CapDrop))
			assert.Empty(t, controller.HostConfig.CapAdd)
			assert.Equal(t, []string{group}, controller.HostConfig.GroupAdd)
			assert.Contains(t, controller.HostConfig.SecurityOpt, "no-new-privileges:true")
			assert.Equal(t, "unless-stopped", string(controller.HostConfig.RestartPolicy.Name), "nobody but the engine supervises the controller")
			mounts := map[string]string{}
			for _, m := range controller.Mounts {
				mounts[m.Source] = fmt.Sprintf("%s writable=%t", m.Destination, m.RW)
			}
			want := map[string]string{
				socket:          "/var/run/docker.sock writable=true",
				p.dir:           p.dir + " writable=false", // at its own path, so that hashes are the same
				p.path(".tend"): p.path(".tend") + " writable=true",
			}
			for _, trusted := range []string{"/etc/ssl/certs/ca-certificates.crt", "/etc/docker/certs.d"} {
				if _, err := os.Stat(trusted); err == nil && service == "" {
					want[trusted] = trusted + " writable=false"
				}
			}
			assert.Equal(t, want, mounts)

			t.Log("the commands on the host ask it")
			assert.Contains(t, strings.Join(lines(p.mustTend("get", "workloads"))[1], " "), "web Deployment 2/2 2 2 yes")
			p.mustTend("apply")
			p.mustTend("up", "--image", tendImage)
			assert.Equal(t, controller.ID, p.replica("tend").ID, "a second up changes nothing")

			t.Log("a spec is taken up")
			p.write("specs/web.yaml", specOf("replicas: 3"))
			p.awaitReady("web", 3)

			t.Log("killed, it is started again by the engine")
			kill(t, controller)
			p.await(func() error {
				if r := p.replica("tend"); !r.State.Running || r.State.StartedAt == controller.State.StartedAt {
					return fmt.Errorf("it is not back: %s", r)
				}
				return nil
			})
			p.write("specs/web.yaml", specOf("replicas: 1"))
			p.awaitReady("web", 1)
			p.mustTend("apply")

			p.mustTend("down")
			assert.Empty(t, p.replicas(""))
			left := p.leftovers()
			assert.Len(t, left, 1, "%v", left)
			assert.Contains(t, left, "volume "+p.name+"_data")
			p.mustTend("down", "-v")
			assert.Empty(t, p.leftovers())
		})
	}
}

// requireReadyNow is awaitReady without the wait.
func (p *project) requireReadyNow(service string, n int) {
	p.t.Helper()
	all := p.replicas(service)
	require.Len(p.t, all, n)
	for _, r := range all {
		require.True(p.t, r.ready(), "%s", r)
	}
}

// kill ends the process of a container from outside the engine, so that its
// restart policy holds.
func kill(t *testing.T, r replica) {
	t.Helper()
	require.NoError(t, syscall.Kill(r.State.Pid, syscall.SIGKILL))
}

func TestUpRefusesAServiceTendThatItWouldKeepItself(t *testing.T) {
	p := newProject(t, files{"compose.yaml": "services: {tend: {image: \"${PROBE}\"}}\n"})
	up := p.tend("up")
	assert.Equal(t, 1, up.code)
	assert.Contains(t, up.errOut, "x-tend: {managed: false}")
	assert.Empty(t, p.replicas(""))
}

func TestUpFailsWithTheReasonAfterItsTimeout(t *testing.T) {
	p := newProject(t, files{"compose.yaml": web})
	p.mustTend("up", "--image", tendImage)
	controller := p.replica("tend")
	p.edit("compose.yaml", `VERSION: "1"`, "HEALTH: never")
	up := p.tend("up", "--image", tendImage, "--timeout", "5s")
	assert.Equal(t, 1, up.code, "%s", up)
	assert.Contains(t, up.errOut, "web: ")
	assert.Contains(t, up.errOut, "5s")
	assert.Equal(t, controller.State.StartedAt, p.replica("tend").State.StartedAt, "the controller goes on")
}

func TestWithoutItsImageTheControllerRunsFromTheProgramItself(t *testing.T) {
	p := newProject(t, files{"compose.yaml": web})
	program := p.path("bin/tend")
	require.NoError(t, os.MkdirAll(p.path("bin"), 0o755))
	build := exec.Command("go", "build", "-C", repository, "-trimpath", "-ldflags=-s -w -X main.version=9.9.9", "-o", program, "./cmd/tend")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	cmd := p.command(program, "up")
	out, err = cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	p.requireReadyNow("web", 1)
	controller := p.replica("tend")
	assert.Contains(t, controller.Config.Image, "tend/ingress:")
	assert.Nil(t, controller.State.Health)
	t.Cleanup(func() {
		_, _ = docker.ImageRemove(context.Background(), controller.Config.Image, image.RemoveOptions{Force: true}) // the ingresses of others may have it
	})
	assert.Contains(t, strings.Join(lines(p.mustTend("get", "workloads"))[1], " "), "web Deployment 1/1")
}
