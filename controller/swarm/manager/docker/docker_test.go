package docker_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/swarm"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tendhq/tend/controller/engine/enginetest"
	"github.com/tendhq/tend/controller/swarm/manager/docker"
	"github.com/tendhq/tend/controller/swarm/manager/managertest"
	"github.com/tendhq/tend/e2e/kit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	node, outside := startEngine(t), startEngine(t)
	_, err := node.SwarmInit(t.Context(), swarm.InitRequest{ListenAddr: "127.0.0.1:2377", AdvertiseAddr: "127.0.0.1"})
	require.NoError(t, err)
	importImages(t, node)
	in, out := connect(t, node), connect(t, outside)
	var projects atomic.Int64
	// The parallel cases end before the engines do.
	t.Run("cases", func(t *testing.T) {
		managertest.Run(t, func(*testing.T) managertest.Harness {
			return managertest.Harness{Manager: in, Outside: out, Project: fmt.Sprintf("p%d", projects.Add(1)), Image: imageOf}
		})
	})
}

// startEngine starts an engine in namespaces of its own, which ends with the test.
func startEngine(t *testing.T) *kit.Engine {
	t.Helper()
	// The path of a socket must be short: t.TempDir holds the test's name.
	folder, err := os.MkdirTemp("", "tend")
	require.NoError(t, err)
	e, err := kit.NewEngine(folder, filepath.Join(folder, "root"))
	require.NoError(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the engine's log:\n%s", e.Log())
		}
		assert.NoError(t, e.Stop())
		assert.NoError(t, e.Close())
		assert.NoError(t, os.RemoveAll(folder))
	})
	require.NoError(t, e.Start(t.Context()))
	return e
}

func connect(t *testing.T, e *kit.Engine) *docker.Manager {
	t.Helper()
	m, err := docker.New(e.DaemonHost())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Close()) })
	return m
}

func imageOf(name string) string { return "tend-managertest/" + name + ":1" }

// importImages makes an image for each behaviour of the suite.
func importImages(t *testing.T, e *kit.Engine) {
	t.Helper()
	root := enginetest.Root(t)
	for name, behavior := range managertest.Images {
		body, err := e.ImageImport(context.Background(), image.ImportSource{Source: bytes.NewReader(root), SourceName: "-"}, imageOf(name),
			image.ImportOptions{Changes: enginetest.Instructions(behavior)})
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, body)
		require.NoError(t, err)
		require.NoError(t, body.Close())
	}
}
