package docker_test

import (
	"archive/tar"
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/docker/docker/api/types/image"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tendhq/tend/controller/engine/docker"
	"github.com/tendhq/tend/controller/engine/enginetest"
	"github.com/tendhq/tend/controller/engine/model"
)

func TestMain(m *testing.M) {
	// What the command line says comes later, and wins.
	if err := flag.Set("rapid.checks", "6"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// projects tells apart the projects of one run; the process does those of runs
// side by side.
var projects atomic.Int64

func newProject() string {
	return fmt.Sprintf("tendtest-%d-%d", os.Getpid(), projects.Add(1))
}

func TestConformance(t *testing.T) {
	o := newOutsider(t)
	images := o.buildImages(t)
	enginetest.Run(t, func(t *testing.T) enginetest.Harness {
		l := newLine(t, o.cli.Dialer())
		e, err := docker.New("unix://" + l.path)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, e.Close()) })
		project := newProject()
		t.Cleanup(func() { o.clean(t, project) })
		return enginetest.Harness{Engine: e, Project: project, Image: images, Outsider: o, Line: l}
	})
}

// buildImages makes an image for each behaviour of the suite from one static
// binary, removes them when the test ends, and returns their references by name.
func (o outsider) buildImages(t *testing.T) (ref func(name string) string) {
	t.Helper()
	ref = func(name string) string { return fmt.Sprintf("tend-enginetest/%s:%d", name, os.Getpid()) }
	root := probeRoot(t)
	for name, behavior := range enginetest.Images {
		body, err := o.cli.ImageImport(t.Context(),
			image.ImportSource{Source: bytes.NewReader(root), SourceName: "-"}, ref(name),
			image.ImportOptions{Changes: o.understood(instructions(behavior))})
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, body)
		require.NoError(t, err)
		require.NoError(t, body.Close())
		t.Cleanup(func() {
			_, err := o.cli.ImageRemove(context.Background(), ref(name), image.RemoveOptions{Force: true})
			require.NoError(t, err)
		})
	}
	return ref
}

// understood are the instructions that the engine's import takes: Podman's has no HEALTHCHECK.
func (o outsider) understood(instructions []string) []string {
	return slices.DeleteFunc(instructions, func(i string) bool { return o.podman && strings.HasPrefix(i, "HEALTHCHECK ") })
}

// probeRoot is a file system, as a tar, that holds the probe alone.
func probeRoot(t *testing.T) []byte {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "probe")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags=-s -w", "-o", binary, "../enginetest/probe")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	output, err := build.CombinedOutput()
	require.NoError(t, err, string(output))
	content, err := os.ReadFile(binary)
	require.NoError(t, err)

	var root bytes.Buffer
	w := tar.NewWriter(&root)
	require.NoError(t, w.WriteHeader(&tar.Header{Name: "probe", Mode: 0o755, Size: int64(len(content))}))
	_, err = w.Write(content)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return root.Bytes()
}

// instructions are those of a Dockerfile for an image of the given behaviour.
func instructions(b model.Behavior) []string {
	program := "/probe"
	if b.CannotStart {
		program = "/absent"
	}
	entrypoint := fmt.Sprintf("%q, %q, %q, %q, %q, %q, %q, %q, %q, %q, %q", program,
		fmt.Sprintf("-exits=%t", b.Exits), fmt.Sprintf("-after=%s", b.After), fmt.Sprintf("-code=%d", b.Code),
		fmt.Sprintf("-ignores-stop=%t", b.IgnoresStop), fmt.Sprintf("-stop-after=%s", b.StopAfter),
		fmt.Sprintf("-stop-code=%d", b.StopCode),
		fmt.Sprintf("-health-after=%s", b.HealthAfter), fmt.Sprintf("-sick=%t", b.Sick),
		fmt.Sprintf("-cores=%g", b.Cores), fmt.Sprintf("-memory=%d", b.Memory))
	for _, line := range b.Output {
		entrypoint += fmt.Sprintf(", %q", line)
	}
	instructions := []string{"ENTRYPOINT [" + entrypoint + "]"}
	if b.HealthCheck {
		// Failures in the start period do not count.
		period := "20s"
		if b.Sick {
			period = "1ms"
		}
		instructions = append(instructions,
			`HEALTHCHECK --interval=200ms --retries=1 --start-period=`+period+` CMD ["/probe", "health"]`)
	}
	return instructions
}
