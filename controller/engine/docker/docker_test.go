package docker_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/docker/docker/api/types/image"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tendhq/tend/controller/engine/docker"
	"github.com/tendhq/tend/controller/engine/enginetest"
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
	root := enginetest.Root(t)
	for name, behavior := range enginetest.Images {
		body, err := o.cli.ImageImport(t.Context(),
			image.ImportSource{Source: bytes.NewReader(root), SourceName: "-"}, ref(name),
			image.ImportOptions{Changes: o.understood(enginetest.Instructions(behavior))})
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
