package e2e_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/stdcopy"
	"github.com/docker/go-connections/nat"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/ingress"
	ingressimage "github.com/tendhq/tend/ingress/image"
)

// An ingress in a container, which is spoken to through the engine alone.
func TestAnIngressInAContainer(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cli := docker.Client
	executable, err := os.Open(tend)
	require.NoError(t, err)
	defer executable.Close()
	img, err := ingressimage.New(executable)
	require.NoError(t, err)
	loadIngress(ctx, t, cli, img)

	// In a network of its own nobody else gets its address: Engine 20.10 now and then
	// gives one twice.
	own, err := cli.NetworkCreate(ctx, fmt.Sprint("tend-e2e-ingress-", strings.ToLower(rand.Text()[:10])), network.CreateOptions{})
	require.NoError(t, err)
	t.Cleanup(func() { _ = cli.NetworkRemove(context.WithoutCancel(ctx), own.ID) })

	port := nat.Port("80/tcp")
	created, err := cli.ContainerCreate(ctx, &container.Config{
		Image: img.Name, Cmd: []string{"--listen", ":80"}, OpenStdin: true, ExposedPorts: nat.PortSet{port: {}},
	}, &container.HostConfig{
		PortBindings: nat.PortMap{port: {{HostIP: "127.0.0.1"}}},
		NetworkMode:  container.NetworkMode(own.ID),
		LogConfig:    container.LogConfig{Type: "none"},
		CapDrop:      []string{"ALL"},
		SecurityOpt:  []string{"no-new-privileges"},
	}, nil, nil, "")
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = cli.ContainerRemove(context.WithoutCancel(ctx), created.ID, container.RemoveOptions{Force: true})
	})
	require.NoError(t, cli.ContainerStart(ctx, created.ID, container.StartOptions{}))

	replica := echoAt(ctx, t, cli, own.ID)
	config := ingress.Config{Protocol: ingress.TCP, Endpoints: []ingress.Endpoint{{ID: "a", Address: replica, State: ingress.Ready}}}
	speaking := attach(ctx, t, cli, created.ID)
	speaking.apply(config, 1)
	address := publishedAt(ctx, t, cli, created.ID, port)
	exchangeAt(t, address)

	// Another tend comes, after the one before has died in the middle of a line.
	_, err = speaking.conn.Conn.Write([]byte(`{"config":`))
	require.NoError(t, err)
	speaking.conn.Close()
	exchangeAt(t, address)
	speaking = attach(ctx, t, cli, created.ID)
	speaking.apply(config, 2)

	// The proxy is killed.
	inspected, err := cli.ContainerInspect(ctx, created.ID)
	require.NoError(t, err)
	first := inspected.State.Pid
	require.NoError(t, syscall.Kill(proxyOf(ctx, t, cli, created.ID, first), syscall.SIGKILL))
	for range 100 {
		exchangeAt(t, address)
	}
	speaking.await(func(s ingress.Status) bool { return s.Restarts == 1 && s.Proxies == 1 })

	// Another executable takes its place.
	require.NoError(t, cli.CopyToContainer(ctx, created.ID, "/state", archiveOf(t, "next", tend), container.CopyToContainerOptions{}))
	require.NoError(t, ingress.Write(speaking.conn.Conn, ingress.Request{Upgrade: "/state/next"}))
	require.Eventually(t, func() bool {
		exchangeAt(t, address)
		target, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", first))
		return err == nil && target == "/state/next"
	}, time.Minute, 20*time.Millisecond)
	speaking.apply(config, 3)
	speaking.conn.Close()

	// A restart goes on without tend. Docker's own proxy is there before the ingress.
	require.NoError(t, cli.ContainerRestart(ctx, created.ID, container.StopOptions{}))
	address = publishedAt(ctx, t, cli, created.ID, port)
	require.Eventually(t, func() bool { return tryExchange(address) == nil }, time.Minute, 50*time.Millisecond)
}

func loadIngress(ctx context.Context, t *testing.T, cli *client.Client, img *ingressimage.Image) {
	t.Helper()
	reader, writer := io.Pipe()
	go func() {
		_, err := img.WriteTo(writer)
		_ = writer.CloseWithError(err)
	}()
	loaded, err := cli.ImageLoad(ctx, reader)
	require.NoError(t, err)
	defer loaded.Body.Close()
	_, err = io.Copy(io.Discard, loaded.Body)
	require.NoError(t, err)
	t.Cleanup(func() {
		_, _ = cli.ImageRemove(context.WithoutCancel(ctx), img.Name, image.RemoveOptions{})
	})
	found, err := cli.ImageInspect(ctx, img.Name)
	require.NoError(t, err)
	assert.Contains(t, found.RepoTags, img.Name)
}

// echoAt is a server on the host, at the address that containers on a network reach it at.
func echoAt(ctx context.Context, t *testing.T, cli *client.Client, on string) string {
	t.Helper()
	bridge, err := cli.NetworkInspect(ctx, on, network.InspectOptions{})
	require.NoError(t, err)
	require.NotEmpty(t, bridge.IPAM.Config)
	l, err := net.Listen("tcp", net.JoinHostPort(bridge.IPAM.Config[0].Gateway, "0"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	return l.Addr().String()
}

func publishedAt(ctx context.Context, t *testing.T, cli *client.Client, id string, port nat.Port) string {
	t.Helper()
	inspected, err := cli.ContainerInspect(ctx, id)
	require.NoError(t, err)
	require.NotEmpty(t, inspected.NetworkSettings.Ports[port])
	return net.JoinHostPort("127.0.0.1", inspected.NetworkSettings.Ports[port][0].HostPort)
}

func exchangeAt(t *testing.T, address string) {
	t.Helper()
	require.NoError(t, tryExchange(address))
}

func tryExchange(address string) error {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return err
	}
	if _, err := c.Write([]byte("hello")); err != nil {
		return err
	}
	answer := make([]byte, 5)
	if _, err := io.ReadFull(c, answer); err != nil {
		return err
	}
	if string(answer) != "hello" {
		return fmt.Errorf("answered %q", answer)
	}
	return nil
}

// attached speaks to an ingress as tend does.
type attached struct {
	t        *testing.T
	conn     types.HijackedResponse
	statuses *ingress.Reader[ingress.Status]
}

func attach(ctx context.Context, t *testing.T, cli *client.Client, id string) *attached {
	t.Helper()
	conn, err := cli.ContainerAttach(ctx, id, container.AttachOptions{Stream: true, Stdin: true, Stdout: true})
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	require.NoError(t, conn.Conn.SetDeadline(time.Now().Add(time.Minute)))
	reader, writer := io.Pipe()
	go func() {
		_, err := stdcopy.StdCopy(writer, io.Discard, conn.Reader)
		_ = writer.CloseWithError(err)
	}()
	return &attached{t: t, conn: conn, statuses: ingress.NewReader[ingress.Status](reader)}
}

func (a *attached) await(ok func(ingress.Status) bool) {
	a.t.Helper()
	for {
		s, malformed, err := a.statuses.Next()
		require.NoError(a.t, err)
		if malformed == nil && ok(s) {
			return
		}
	}
}

func (a *attached) apply(config ingress.Config, generation int64) {
	a.t.Helper()
	config.Generation = generation
	require.NoError(a.t, ingress.Write(a.conn.Conn, ingress.Request{Config: &config}))
	a.await(func(s ingress.Status) bool { return s.Generation == generation })
}

// proxyOf is the process of a container that is not its first one.
func proxyOf(ctx context.Context, t *testing.T, cli *client.Client, id string, first int) int {
	t.Helper()
	top, err := cli.ContainerTop(ctx, id, nil)
	require.NoError(t, err)
	column := slices.Index(top.Titles, "PID")
	require.GreaterOrEqual(t, column, 0)
	for _, process := range top.Processes {
		var pid int
		_, err := fmt.Sscan(process[column], &pid)
		require.NoError(t, err)
		if pid != first && strings.Contains(strings.Join(process, " "), "ingress proxy") {
			return pid
		}
	}
	require.Fail(t, "no proxy runs", "%v", top.Processes)
	return 0
}

func archiveOf(t *testing.T, name, path string) io.Reader {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	require.NoError(t, w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(content))}))
	_, err = w.Write(content)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return &archive
}
