package execute_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/docker"
	"github.com/tendhq/tend/controller/execute"
	"github.com/tendhq/tend/controller/postgres"
	"github.com/tendhq/tend/controller/spec"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	serverImage = "postgres:15-bookworm"
	patience    = 2 * time.Minute
)

// TestAnUpdateIsPreparedOnTheRunningServer runs a server on a named volume and
// prepares it for one image after the other.
func TestAnUpdateIsPreparedOnTheRunningServer(t *testing.T) {
	e, err := docker.New("")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	project := &spec.Project{Name: fmt.Sprintf("tendprep-%d", os.Getpid()), WorkingDir: t.TempDir()}
	project.Volumes = map[string]spec.Volume{}
	project.Volumes[project.Name+"_data"] = spec.Volume{Key: "data", Name: project.Name + "_data"}
	server := startServer(t, e, project.Name, project.Name+"_data")

	minor := buildImage(t, project.Name+"/minor:1", "FROM "+serverImage+"\nLABEL minor=next")
	major := buildImage(t, project.Name+"/major:1", "FROM "+serverImage+"\n"+
		`RUN printf '#!/bin/sh\necho "postgres (PostgreSQL) 16.4 (Debian 16.4-1)"\n' >/usr/local/bin/postgres && chmod +x /usr/local/bin/postgres`)

	for name, c := range map[string]struct {
		image         string
		check, backup bool
		refused       string
		dumps         int
	}{
		"the same image, with a backup":     {serverImage, true, true, "", 1},
		"a newer minor, with a backup":      {minor, true, true, "", 1},
		"a newer minor, without":            {minor, true, false, "", 0},
		"a newer major":                     {major, true, true, "Postgres 16.4 cannot read its data", 0},
		"a newer major that is not checked": {major, false, true, "", 1},
		"an image that is not there":        {project.Name + "/absent:1", true, true, "absent", 0},
		"an image without Postgres inside":  {buildImage(t, project.Name+"/none:1", "FROM "+serverImage+"\nRUN rm /usr/lib/postgresql/15/bin/postgres"), true, true, "not found", 0},
	} {
		t.Run(name, func(t *testing.T) {
			dataDir := t.TempDir()
			w := &spec.Workload{
				Name: "db", Kind: spec.Database, Image: c.image,
				Backup: spec.Backup{BeforeUpdate: c.backup, Keep: 5},
			}
			action := core.Action{Kind: core.PrepareUpdate, Workload: "db", Object: server.Name, ID: server.ID, Spec: w, Check: c.check, Backup: c.backup}
			_, err := execute.New(e, dataDir, "").Do(t.Context(), action, project)
			if c.refused == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, c.refused)
				_, forGood := errors.AsType[*postgres.Refusal](err)
				require.Equal(t, name == "a newer major", forGood, "only a refusal is not tried again")
			}
			dumps, err := filepath.Glob(filepath.Join(dataDir, "backups", "db", "*.dump"))
			require.NoError(t, err)
			require.Len(t, dumps, c.dumps)
			containers, err := e.Containers(t.Context(), project.Name)
			require.NoError(t, err)
			require.Len(t, containers, 1, "the server alone is there afterwards")
			require.Equal(t, engine.Running, containers[0].State)
		})
	}

	t.Run("of a server that has exited the image is checked", func(t *testing.T) {
		require.NoError(t, e.Stop(t.Context(), server.ID, patience))
		check := func(image string) error {
			w := &spec.Workload{Name: "db", Kind: spec.Database, Image: image, Backup: spec.Backup{BeforeUpdate: true, Keep: 5}}
			_, err := execute.New(e, t.TempDir(), "").Do(t.Context(), core.Action{Kind: core.CheckUpdate, Workload: "db", ID: server.ID, Spec: w, Check: true}, project)
			return err
		}
		require.NoError(t, check(serverImage))
		require.NoError(t, check(minor))
		var refusal *postgres.Refusal
		require.ErrorAs(t, check(major), &refusal)
		containers, err := e.Containers(t.Context(), project.Name)
		require.NoError(t, err)
		require.Len(t, containers, 1, "it alone is there afterwards")
	})
}

// A server that cannot write out what it holds is not dumped at each try.
func TestAServerThatCannotBeStoppedWellIsNotDumped(t *testing.T) {
	e, err := docker.New("")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	project := &spec.Project{Name: fmt.Sprintf("tendprep-checkpoint-%d", os.Getpid()), WorkingDir: t.TempDir()}
	server := startServer(t, e, project.Name, project.Name+"_data")
	var out bytes.Buffer
	code, err := e.Exec(t.Context(), server.ID, engine.ExecSpec{
		Command: []string{"psql", "--username=postgres", "--command=ALTER ROLE postgres NOSUPERUSER"}, Stdout: &out, Stderr: &out,
	})
	require.NoError(t, err)
	require.Zero(t, code, out.String())

	dataDir := t.TempDir()
	w := &spec.Workload{Name: "db", Kind: spec.Database, Image: serverImage, Backup: spec.Backup{BeforeUpdate: true, Keep: 5}}
	_, err = execute.New(e, dataDir, "").Do(t.Context(), core.Action{Kind: core.PrepareUpdate, Workload: "db", ID: server.ID, Spec: w, Check: true, Backup: true}, project)
	require.ErrorContains(t, err, "checkpoint: ")
	require.NoDirExists(t, filepath.Join(dataDir, "backups"))
}

// startServer starts a server on a new volume and waits until it is there. It
// is removed when the test ends.
func startServer(t *testing.T, e engine.Engine, project, volume string) engine.Container {
	t.Helper()
	labels := map[string]string{spec.LabelProject: project, spec.LabelOneoff: "False"}
	require.NoError(t, e.CreateVolume(t.Context(), engine.VolumeSpec{Name: volume, Labels: labels}))
	password := "s3cret"
	id, err := e.Create(t.Context(), engine.ContainerSpec{
		Name: project + "-db-1", Project: project, Labels: labels, Volumes: map[string]string{"data": volume},
		Service: types.ServiceConfig{
			Name: "db", Image: serverImage, NetworkMode: "none",
			Environment: types.MappingWithEquals{"POSTGRES_PASSWORD": &password},
			Volumes:     []types.ServiceVolumeConfig{{Type: types.VolumeTypeVolume, Source: "data", Target: "/var/lib/postgresql/data"}},
		},
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		require.NoError(t, e.Stop(ctx, id, 0))
		require.NoError(t, e.Remove(ctx, id, true))
		require.NoError(t, e.RemoveVolume(ctx, volume))
	})
	require.NoError(t, e.Start(t.Context(), id))
	// The server of the init phase does not listen on TCP.
	require.Eventually(t, func() bool {
		code, err := e.Exec(t.Context(), id, engine.ExecSpec{Command: []string{"pg_isready", "--host=127.0.0.1"}})
		return err == nil && code == 0
	}, patience, 50*time.Millisecond)
	c, err := e.Container(t.Context(), id)
	require.NoError(t, err)
	return c
}

// buildImage makes an image from a Dockerfile, and removes it when the test ends.
func buildImage(t *testing.T, ref, dockerfile string) string {
	t.Helper()
	cli, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	require.NoError(t, err)
	var files bytes.Buffer
	w := tar.NewWriter(&files)
	require.NoError(t, w.WriteHeader(&tar.Header{Name: "Dockerfile", Mode: 0o644, Size: int64(len(dockerfile))}))
	_, err = io.WriteString(w, dockerfile)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	answer, err := cli.ImageBuild(t.Context(), &files, build.ImageBuildOptions{Tags: []string{ref}, Remove: true, ForceRemove: true, NetworkMode: "none"})
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, answer.Body)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	t.Cleanup(func() {
		_, err := cli.ImageRemove(context.Background(), ref, image.RemoveOptions{Force: true})
		require.NoError(t, err)
		require.NoError(t, cli.Close())
	})
	return ref
}
