package postgres_test

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/docker"
	"github.com/tendhq/tend/controller/postgres"
	"github.com/tendhq/tend/controller/spec"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	serverImage = "postgres:15-bookworm"
	patience    = 2 * time.Minute
)

// servers counts the servers of this process.
var servers atomic.Int64

// fixture is the real engine and a project of its own.
type fixture struct {
	*testing.T
	engine  engine.Engine
	project string
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	e, err := docker.New("")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	_, err = e.Image(t.Context(), serverImage)
	require.NoError(t, err, "these tests need a running Docker Engine with the image %s; make setup makes both", serverImage)
	f := &fixture{T: t, engine: e, project: fmt.Sprintf("tendpg-%d-%d", os.Getpid(), servers.Add(1))}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		containers, err := e.Containers(ctx, f.project)
		require.NoError(t, err)
		for _, c := range containers {
			require.NoError(t, e.Stop(ctx, c.ID, 0))
			require.NoError(t, e.Remove(ctx, c.ID, true))
		}
	})
	return f
}

// server starts a server whose user and database are not the default ones, and
// whose password is in a file, as in the shop.
func (f *fixture) server() (id string) {
	f.Helper()
	password := filepath.Join(f.TempDir(), "password")
	require.NoError(f, os.WriteFile(password, []byte("s3cret\n"), 0o644)) //nolint:gosec // the server's user reads it
	user, database, file := "keeper", "the shop", "/run/secrets/password"
	name := fmt.Sprintf("%s-%d", f.project, servers.Add(1))
	id, err := f.engine.Create(f.Context(), engine.ContainerSpec{
		Name: name, Project: f.project,
		Labels: map[string]string{spec.LabelProject: f.project, spec.LabelOneoff: "False"},
		Service: types.ServiceConfig{
			Name: name, Image: serverImage, NetworkMode: "none",
			Environment: types.MappingWithEquals{"POSTGRES_USER": &user, "POSTGRES_DB": &database, "POSTGRES_PASSWORD_FILE": &file},
			Volumes:     []types.ServiceVolumeConfig{{Type: types.VolumeTypeBind, Source: password, Target: file, ReadOnly: true}},
		},
	})
	require.NoError(f, err)
	require.NoError(f, f.engine.Start(f.Context(), id))
	// The server of the init phase does not listen on TCP.
	require.Eventually(f, func() bool {
		code, err := f.engine.Exec(f.Context(), id, engine.ExecSpec{Command: []string{"pg_isready", "--host=127.0.0.1"}})
		return err == nil && code == 0
	}, patience, 50*time.Millisecond)
	return id
}

// sql runs statements and returns their output.
func (f *fixture) sql(id, statements string) string {
	f.Helper()
	var output bytes.Buffer
	code, err := f.engine.Exec(f.Context(), id, engine.ExecSpec{
		Command: []string{"psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-U", "keeper", "-d", "the shop"},
		Stdin:   strings.NewReader(statements), Stdout: &output, Stderr: &output,
	})
	require.NoError(f, err)
	require.Zero(f, code, output.String())
	return output.String()
}

const (
	fill = `
CREATE TABLE users (id bigint PRIMARY KEY, name text UNIQUE, at timestamptz NOT NULL);
CREATE TABLE orders (id bigserial PRIMARY KEY, buyer bigint REFERENCES users, note bytea);
INSERT INTO users SELECT n, md5(n::text), now() + n * interval '1 s' FROM generate_series(1, 20000) n;
INSERT INTO orders (buyer, note) SELECT n, sha256(n::text::bytea) FROM generate_series(1, 20000) n;
`
	content = `
SELECT count(*), md5(string_agg(users::text, '|' ORDER BY id)) FROM users;
SELECT count(*), md5(string_agg(orders::text, '|' ORDER BY id)) FROM orders;
SELECT nextval('orders_id_seq') > 20000;
`
)

func TestABackupRestoresIntoAnEmptyServer(t *testing.T) {
	f := newFixture(t)
	from, to := f.server(), f.server()
	f.sql(from, fill)
	data := t.TempDir()

	dump, err := postgres.Backup(t.Context(), f.engine, from, data, "user-db", 5, func(int64) {})
	require.NoError(t, err)
	info, err := os.Stat(dump.Path)
	require.NoError(t, err)
	require.Equal(t, info.Size(), dump.Size)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	want := f.sql(from, content)

	require.NoError(t, postgres.Restore(t.Context(), f.engine, to, dump.Path))
	require.Equal(t, want, f.sql(to, content))

	// Over what is there, it is as it was.
	f.sql(to, `DELETE FROM orders; UPDATE users SET name = 'x' || id; DROP INDEX IF EXISTS none;`)
	require.NoError(t, postgres.Restore(t.Context(), f.engine, to, dump.Path))
	require.Equal(t, want, f.sql(to, content))
	require.NoError(t, postgres.Checkpoint(t.Context(), f.engine, to))
}

func TestATruncatedDumpIsDetected(t *testing.T) {
	f := newFixture(t)
	id := f.server()
	f.sql(id, fill)
	data := t.TempDir()
	dir := postgres.Dir(data, "user-db")
	dump, err := postgres.Backup(t.Context(), f.engine, id, data, "user-db", 5, func(int64) {})
	require.NoError(t, err)
	want := f.sql(id, content)
	whole, err := os.ReadFile(dump.Path)
	require.NoError(t, err)

	for _, size := range []int{0, 100, len(whole) / 2, len(whole) - 1} {
		cut := filepath.Join(t.TempDir(), "cut.dump")
		require.NoError(t, os.WriteFile(cut, whole[:size], 0o600))
		err := postgres.Restore(t.Context(), f.engine, id, cut)
		require.ErrorContains(t, err, "nothing was changed", "of %d bytes %d", len(whole), size)
		require.Equal(t, want, f.sql(id, content))
	}

	_, err = postgres.Backup(t.Context(), lossy{f.engine}, id, data, "user-db", 5, func(int64) {})
	require.ErrorContains(t, err, "cannot be read back")
	requireFiles(t, dir, filepath.Base(dump.Path))
}

// lossy is an engine that loses the second half of a dump.
type lossy struct{ engine.Engine }

func (l lossy) Exec(ctx context.Context, id string, e engine.ExecSpec) (int, error) {
	if e.Stdin != nil {
		return l.Engine.Exec(ctx, id, e)
	}
	var all bytes.Buffer
	out := e.Stdout
	e.Stdout = &all
	code, err := l.Engine.Exec(ctx, id, e)
	if err == nil {
		_, err = out.Write(all.Bytes()[:all.Len()/2])
	}
	return code, err
}

func TestAFailedDumpLeavesNoFile(t *testing.T) {
	f := newFixture(t)
	id := f.server()
	require.NoError(t, f.engine.Stop(t.Context(), id, 10*time.Second))
	data := t.TempDir()
	dir := postgres.Dir(data, "user-db")
	_, err := postgres.Backup(t.Context(), f.engine, id, data, "user-db", 5, func(int64) {})
	require.Equal(t, engine.Conflict, engine.ClassOf(err), "%v", err)
	requireFiles(t, dir)
}

func TestAFolderWithoutRoomIsToldWithARemedy(t *testing.T) {
	f := newFixture(t)
	id := f.server()
	f.sql(id, fill)
	for name, c := range map[string]struct {
		flags   uintptr
		options string
		says    string
	}{
		"full":      {0, "size=64k,mode=700", "free some space"},
		"read-only": {syscall.MS_RDONLY, "", "must be able to write"},
	} {
		t.Run(name, func(t *testing.T) {
			data := t.TempDir()
			dir := postgres.Dir(data, "user-db")
			require.NoError(t, os.MkdirAll(dir, 0o700))
			require.NoError(t, syscall.Mount("tmpfs", dir, "tmpfs", c.flags, c.options), "this test mounts a file system: run it as root")
			t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, 0)) })
			_, err := postgres.Backup(t.Context(), f.engine, id, data, "user-db", 5, func(int64) {})
			require.ErrorContains(t, err, dir)
			require.ErrorContains(t, err, c.says)
			requireFiles(t, dir)
		})
	}
}

func TestTheNewestDumpsAreKeptAndLeftoversRemoved(t *testing.T) {
	f := newFixture(t)
	id := f.server()
	data := t.TempDir()
	dir := postgres.Dir(data, "user-db")
	require.NoError(t, os.MkdirAll(dir, 0o700))
	for _, name := range []string{
		"20200101T000000.000Z.dump", "20200102T000000.000Z.dump", "20200103T000000.000Z.dump", "mine.dump",
		".20200104T000000.000Z.dump.partial-1", ".20200104T000000.000Z.dump.partial-2",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
	}
	writing, err := os.Open(filepath.Join(dir, ".20200104T000000.000Z.dump.partial-2"))
	require.NoError(t, err)
	defer writing.Close()
	require.NoError(t, syscall.Flock(int(writing.Fd()), syscall.LOCK_EX))

	dump, err := postgres.Backup(t.Context(), f.engine, id, data, "user-db", 2, func(int64) {})
	require.NoError(t, err)
	requireFiles(t, dir, ".20200104T000000.000Z.dump.partial-2", "20200103T000000.000Z.dump", filepath.Base(dump.Path), "mine.dump")
}

func requireFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	require.ElementsMatch(t, want, names)
}

func TestAServerAndItsImageAreDescribedAlike(t *testing.T) {
	f := newFixture(t)
	running, err := postgres.Describe(t.Context(), f.engine, f.server())
	require.NoError(t, err)
	require.Equal(t, 15, running.Major)
	require.Equal(t, "debian", running.Distribution)
	require.Equal(t, "12", running.Release)
	require.Equal(t, "glibc 2.36", running.Libc)
	require.Equal(t, "72", running.ICU)
	require.Contains(t, running.Collations, postgres.Collation{Database: "the shop", Recorded: "2.36", Actual: "2.36"})

	name := f.project + "-preflight"
	// A killed call has left a container of the name behind.
	_, err = f.engine.Create(t.Context(), engine.ContainerSpec{
		Name: name, Project: f.project, Service: types.ServiceConfig{Name: name, Image: serverImage, NetworkMode: "none"},
		Labels: map[string]string{spec.LabelProject: f.project, spec.LabelOneoff: "True"},
	})
	require.NoError(t, err)
	image, err := postgres.DescribeImage(t.Context(), f.engine, f.project, name, serverImage)
	require.NoError(t, err)
	containers, err := f.engine.Containers(t.Context(), f.project)
	require.NoError(t, err)
	require.Len(t, containers, 1, "the image's container was not removed")

	require.NoError(t, postgres.Check("user-db", running, image))
	running.Collations = nil
	require.Equal(t, running, image)
}

func TestStaleIndexesAreSeen(t *testing.T) {
	f := newFixture(t)
	id := f.server()
	f.sql(id, `UPDATE pg_database SET datcollversion = '2.31' WHERE datname = 'the shop'`)
	running, err := postgres.Describe(t.Context(), f.engine, id)
	require.NoError(t, err)
	require.Contains(t, running.Collations, postgres.Collation{Database: "the shop", Recorded: "2.31", Actual: "2.36"})
	require.ErrorContains(t, postgres.Check("user-db", running, running), `REINDEX DATABASE "the shop"`)
	f.sql(id, `REINDEX DATABASE "the shop"; ALTER DATABASE "the shop" REFRESH COLLATION VERSION;`)
	running, err = postgres.Describe(t.Context(), f.engine, id)
	require.NoError(t, err)
	require.NoError(t, postgres.Check("user-db", running, running))
}

func TestAnImageOfANewerMajorIsRefused(t *testing.T) {
	f := newFixture(t)
	newer := f.build("newer", "FROM "+serverImage+"\n"+
		`RUN printf '#!/bin/sh\necho "postgres (PostgreSQL) 16.4 (Debian 16.4-1)"\n' >/usr/local/bin/postgres && chmod +x /usr/local/bin/postgres`)
	image, err := postgres.DescribeImage(t.Context(), f.engine, f.project, f.project+"-preflight", newer)
	require.NoError(t, err)
	require.Equal(t, 16, image.Major)
	running, err := postgres.DescribeImage(t.Context(), f.engine, f.project, f.project+"-preflight", serverImage)
	require.NoError(t, err)
	require.ErrorContains(t, postgres.Check("user-db", running, image), "Postgres 16.4 cannot read its data")
}

func TestAnImageWithoutPostgresIsToldAsSuch(t *testing.T) {
	f := newFixture(t)
	other := f.build("other", "FROM "+serverImage+"\nRUN rm /usr/lib/postgresql/15/bin/postgres")
	_, err := postgres.DescribeImage(t.Context(), f.engine, f.project, f.project+"-preflight", other)
	require.ErrorContains(t, err, other)
	containers, err := f.engine.Containers(t.Context(), f.project)
	require.NoError(t, err)
	require.Empty(t, containers)
}

// build makes an image from a Dockerfile, and removes it when the test ends.
func (f *fixture) build(name, dockerfile string) (ref string) {
	f.Helper()
	cli, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	require.NoError(f, err)
	var files bytes.Buffer
	w := tar.NewWriter(&files)
	require.NoError(f, w.WriteHeader(&tar.Header{Name: "Dockerfile", Mode: 0o644, Size: int64(len(dockerfile))}))
	_, err = io.WriteString(w, dockerfile)
	require.NoError(f, err)
	require.NoError(f, w.Close())
	ref = f.project + "/" + name + ":1"
	answer, err := cli.ImageBuild(f.Context(), &files, build.ImageBuildOptions{Tags: []string{ref}, Remove: true, ForceRemove: true, NetworkMode: "none"})
	require.NoError(f, err)
	_, err = io.Copy(io.Discard, answer.Body)
	require.NoError(f, err)
	require.NoError(f, answer.Body.Close())
	f.Cleanup(func() {
		_, err := cli.ImageRemove(context.Background(), ref, image.RemoveOptions{Force: true})
		require.NoError(f, err)
		require.NoError(f, cli.Close())
	})
	return ref
}
