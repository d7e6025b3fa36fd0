package docker_test

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/enginetest"
	"github.com/tendhq/tend/controller/engine/enginetest/process"
)

// outsider drives the engine through a client of its own.
type outsider struct {
	cli    *client.Client
	podman bool
}

func newOutsider(t *testing.T) outsider {
	t.Helper()
	cli, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cli.Close()) })
	_, err = cli.Ping(t.Context())
	require.NoError(t, err, "these tests need a running Docker Engine; start one, or set DOCKER_HOST")
	cli.NegotiateAPIVersion(t.Context())
	version, err := cli.ServerVersion(t.Context())
	require.NoError(t, err)
	podman := slices.ContainsFunc(version.Components, func(c types.ComponentVersion) bool { return c.Name == "Podman Engine" })
	return outsider{cli, podman}
}

// clean removes what is left of a project. It outlives the test's context.
func (o outsider) clean(t enginetest.T, project string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	labelled := filters.NewArgs(filters.Arg("label", engine.ProjectLabel+"="+project))
	containers, err := o.cli.ContainerList(ctx, container.ListOptions{All: true, Filters: labelled})
	require.NoError(t, err)
	for _, c := range containers {
		require.NoError(t, o.cli.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: true, RemoveVolumes: true}))
	}
	networks, err := o.cli.NetworkList(ctx, network.ListOptions{Filters: labelled})
	require.NoError(t, err)
	for _, n := range networks {
		require.NoError(t, o.cli.NetworkRemove(ctx, n.ID))
	}
	volumes, err := o.cli.VolumeList(ctx, volume.ListOptions{Filters: labelled})
	require.NoError(t, err)
	for _, v := range volumes.Volumes {
		require.NoError(t, o.cli.VolumeRemove(ctx, v.Name, false))
	}
}

func (o outsider) Kill(t enginetest.T, id string) {
	require.NoError(t, o.cli.ContainerKill(t.Context(), id, "KILL"))
}

func (o outsider) Exit(t enginetest.T, id string, code int) {
	// The command may end with the container.
	_ = o.run(t, id, "tell", "exit", strconv.Itoa(code))
}

func (o outsider) Exhaust(t enginetest.T, id string) {
	// The command may end with the container.
	_ = o.run(t, id, "tell", "exhaust")
}

func (o outsider) SetHealth(t enginetest.T, id string, h engine.Health) {
	how := "sick"
	if h == engine.Healthy {
		how = "well"
	}
	require.NoError(t, o.run(t, id, "tell", how))
}

// run runs the suite's program in a container.
func (o outsider) run(t enginetest.T, id string, args ...string) error {
	created, err := o.cli.ContainerExecCreate(t.Context(), id, container.ExecOptions{
		Cmd: append([]string{process.Program}, args...), AttachStdout: true, AttachStderr: true,
	})
	if err != nil {
		return err
	}
	stream, err := o.cli.ContainerExecAttach(t.Context(), created.ID, container.ExecAttachOptions{})
	if err != nil {
		return err
	}
	defer stream.Close()
	if _, err := io.Copy(io.Discard, stream.Reader); err != nil {
		return err
	}
	for {
		command, err := o.cli.ContainerExecInspect(t.Context(), created.ID)
		switch {
		case err != nil:
			return err
		case !command.Running && command.ExitCode != 0:
			return fmt.Errorf("%v: code %d", args, command.ExitCode)
		case !command.Running:
			return nil
		}
	}
}

// Pause asks again where runc has given up to freeze processes that were busy in the kernel
// (cgroup v1), as a person would.
func (o outsider) Pause(t enginetest.T, id string) {
	var err error
	require.Eventually(t, func() bool {
		err = o.cli.ContainerPause(t.Context(), id)
		return err == nil || !strings.Contains(err.Error(), "unable to freeze")
	}, time.Minute, 10*time.Millisecond)
	require.NoError(t, err)
}

func (o outsider) Unpause(t enginetest.T, id string) {
	require.NoError(t, o.cli.ContainerUnpause(t.Context(), id))
	// An Engine 20.10 hears of a pause from containerd, too; if that comes late, it
	// takes the container for paused again until it hears of the end. It hears all in
	// order, and has heard that when it has heard of the end of a command.
	require.Eventually(t, func() bool { return o.run(t, id, "exec") == nil }, time.Minute, 10*time.Millisecond)
}

func (o outsider) Rename(t enginetest.T, id, name string) {
	require.NoError(t, o.cli.ContainerRename(t.Context(), id, name))
}

func (o outsider) Join(t enginetest.T, id, network string) {
	require.NoError(t, o.cli.NetworkConnect(t.Context(), network, id, nil))
}

func (o outsider) Leave(t enginetest.T, id, network string) {
	require.NoError(t, o.cli.NetworkDisconnect(t.Context(), network, id, false))
}

func (o outsider) Tag(t enginetest.T, source, ref string) {
	require.NoError(t, o.cli.ImageTag(t.Context(), source, ref))
	t.Cleanup(func() {
		// A second tag of the same reference has nothing left to remove.
		_, err := o.cli.ImageRemove(context.Background(), ref, image.RemoveOptions{})
		if !errdefs.IsNotFound(err) {
			require.NoError(t, err)
		}
	})
}

func (o outsider) Remove(t enginetest.T, id string) {
	require.NoError(t, o.cli.ContainerRemove(t.Context(), id, container.RemoveOptions{Force: true}))
}

func (o outsider) CreateRestarting(t enginetest.T, project, name, image string) string {
	created, err := o.cli.ContainerCreate(t.Context(),
		&container.Config{Image: image, Labels: map[string]string{engine.ProjectLabel: project}},
		&container.HostConfig{
			NetworkMode:   "none",
			RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyAlways},
		}, nil, nil, name)
	require.NoError(t, err)
	return created.ID
}

func (o outsider) File(t enginetest.T, id, path string) string {
	archive, _, err := o.cli.CopyFromContainer(t.Context(), id, path)
	require.NoError(t, err)
	defer archive.Close()
	r := tar.NewReader(archive)
	_, err = r.Next()
	require.NoError(t, err)
	content, err := io.ReadAll(r)
	require.NoError(t, err)
	return string(content)
}

func (o outsider) FreePort(t enginetest.T) int {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func (o outsider) HoldPort(t enginetest.T, port int) {
	l, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
}
