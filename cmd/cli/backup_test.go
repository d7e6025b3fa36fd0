package cli

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/docker"
)

// TestADatabaseIsBackedUpAndRestored runs the shop's kind of database on the
// real engine.
func TestADatabaseIsBackedUpAndRestored(t *testing.T) {
	dir := t.TempDir()
	name := fmt.Sprintf("tendbackup-%d", os.Getpid())
	write(t, dir, "compose.yaml", `
name: `+name+`
services:
  db:
    image: postgres:15-bookworm
    network_mode: none
    environment: {POSTGRES_PASSWORD: s3cret, POSTGRES_DB: users}
    volumes: [data:/var/lib/postgresql/data]
  web: {image: "postgres:15-bookworm", network_mode: none}
volumes: {data: {}}
`)
	write(t, dir, "specs/db.yaml", `
apiVersion: tend/v1
kind: Database
metadata: {name: db}
spec: {engine: postgres, backup: {keep: 2}}
`)
	write(t, dir, "specs/web.yaml", `
apiVersion: tend/v1
kind: Deployment
metadata: {name: web}
spec: {replicas: 0}
`)
	tend := func(ctx context.Context, args ...string) (stdout, stderr string, err error) {
		var out, errs bytes.Buffer
		root := New("test")
		root.SetOut(&out)
		root.SetErr(&errs)
		root.SetArgs(append([]string{"--project-directory", dir}, args...))
		err = root.ExecuteContext(ctx)
		return out.String(), errs.String(), err
	}

	_, _, err := tend(t.Context(), "backup", "db")
	require.ErrorContains(t, err, "no container of db runs: start it with tend apply")
	_, _, err = tend(t.Context(), "apply")
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		_, _, err := tend(ctx, "down", "-v")
		require.NoError(t, err)
	})
	server := awaitServer(t, name)
	server.sql("CREATE TABLE users (name text); INSERT INTO users VALUES ('ada'), ('grace')")

	stdout, stderr, err := tend(t.Context(), "backup", "db")
	require.NoError(t, err)
	require.Contains(t, stderr, "dumping db (Postgres 15.")
	require.Contains(t, stderr, "read back and kept")
	path := strings.TrimSpace(stdout)
	require.Equal(t, filepath.Join(dir, ".tend", "backups", "db"), filepath.Dir(path))

	server.sql("DELETE FROM users")
	_, stderr, err = tend(t.Context(), "restore", "db", path)
	require.NoError(t, err)
	require.Contains(t, stderr, "db is as in "+path)
	require.Equal(t, "ada,grace\n", server.sql("SELECT string_agg(name, ',' ORDER BY name) FROM users"))

	// An update makes a dump of its own.
	write(t, dir, "specs/db.yaml", `
apiVersion: tend/v1
kind: Database
metadata: {name: db}
spec: {engine: postgres, backup: {keep: 2}, template: {command: [postgres, -c, work_mem=8MB]}}
`)
	_, _, err = tend(t.Context(), "apply")
	require.NoError(t, err)
	server = awaitServer(t, name)
	require.Equal(t, "8MB\n", server.sql("SHOW work_mem"))
	require.Equal(t, "ada,grace\n", server.sql("SELECT string_agg(name, ',' ORDER BY name) FROM users"))
	dumps, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, dumps, 2)

	_, _, err = tend(t.Context(), "restore", "db", path+"x")
	require.ErrorContains(t, err, "no such file")
	_, _, err = tend(t.Context(), "backup", "none")
	require.ErrorContains(t, err, `there is no workload "none"`)
	_, _, err = tend(t.Context(), "backup", "web")
	require.ErrorContains(t, err, "web is a Deployment: only a Database")
}

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	path := filepath.Join(dir, name)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
}

// server is the running database of a project.
type server struct {
	t      *testing.T
	engine engine.Engine
	id     string
}

// awaitServer waits until the server is there. That of the image's init phase
// does not listen on TCP.
func awaitServer(t *testing.T, project string) *server {
	t.Helper()
	e, err := docker.New("")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	containers, err := e.Containers(t.Context(), project)
	require.NoError(t, err)
	require.Len(t, containers, 1)
	s := &server{t, e, containers[0].ID}
	require.Eventually(t, func() bool {
		code, err := e.Exec(t.Context(), s.id, engine.ExecSpec{Command: []string{"pg_isready", "--host=127.0.0.1"}})
		return err == nil && code == 0
	}, 2*time.Minute, 50*time.Millisecond)
	return s
}

func (s *server) sql(statement string) string {
	s.t.Helper()
	var output bytes.Buffer
	code, err := s.engine.Exec(s.t.Context(), s.id, engine.ExecSpec{
		Command: []string{"psql", "-XAtq", "-U", "postgres", "-d", "users", "-c", statement},
		Stdout:  &output, Stderr: &output,
	})
	require.NoError(s.t, err)
	require.Zero(s.t, code, output.String())
	return output.String()
}
