// Package images tests what the shop relies on in the images postgres:15-bookworm
// and redis:7-bookworm, whether they were pulled or built by this folder.
package images

import (
	"bytes"
	"compress/gzip"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	postgres = "postgres:15-bookworm"
	redis    = "redis:7-bookworm"
)

// try runs the docker command and returns all it printed.
func try(args ...string) (string, error) {
	out, err := exec.Command("docker", args...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// docker is try for a command that must succeed.
func docker(t *testing.T, args ...string) string {
	t.Helper()
	out, err := try(args...)
	if err != nil {
		t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// start runs a container until the test ends and returns its ID.
func start(t *testing.T, args ...string) string {
	t.Helper()
	id := docker(t, append([]string{"run", "--detach"}, args...)...)
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := try("logs", id)
			t.Logf("container %s:\n%s", id, out)
		}
		remove(id)
	})
	return id
}

func remove(id string) {
	_, _ = try("rm", "--force", "--volumes", id)
}

func volume(t *testing.T) string {
	t.Helper()
	name := docker(t, "volume", "create")
	t.Cleanup(func() { _, _ = try("volume", "rm", "--force", name) })
	return name
}

// await runs the command in the container until it succeeds.
func await(t *testing.T, id string, command ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	poll := time.NewTicker(100 * time.Millisecond)
	defer poll.Stop()
	for {
		out, err := try(append([]string{"exec", id}, command...)...)
		if err == nil {
			return
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			t.Fatalf("%s does not succeed: %v\n%s", strings.Join(command, " "), err, out)
		}
	}
}

func write(t *testing.T, path string, content []byte, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, content, mode); err != nil {
		t.Fatal(err)
	}
}

func equal(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s is %q, want %q", what, got, want)
	}
}

// hardened are the limits that compose.yaml sets on a database.
var hardened = []string{
	"--user", "postgres", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges:true",
	"--tmpfs", "/run/postgresql", "--tmpfs", "/tmp",
}

func awaitPostgres(t *testing.T, id string) {
	t.Helper()
	await(t, id, "pg_isready", "--host=127.0.0.1", "--username=postgres")
}

func query(t *testing.T, id, sql string) string {
	t.Helper()
	return docker(t, "exec", "--env", "PGPASSWORD=right", id, "psql", "--no-psqlrc", "--tuples-only", "--no-align",
		"--host=127.0.0.1", "--username=postgres", "--dbname=catalogue", "--command="+sql)
}

func TestPostgresInitializesOnceAndKeepsItsData(t *testing.T) {
	files := t.TempDir()
	write(t, filepath.Join(files, "password"), []byte("right\n"), 0o644)
	init := filepath.Join(files, "init")
	if err := os.Mkdir(init, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(init, "1.sql"), []byte("CREATE TABLE ran (file text);\nINSERT INTO ran VALUES ('sql');\n"), 0o644)
	var compressed bytes.Buffer
	z := gzip.NewWriter(&compressed)
	if _, err := z.Write([]byte("INSERT INTO ran VALUES ('gz');")); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(init, "2.sql.gz"), compressed.Bytes(), 0o644)
	write(t, filepath.Join(init, "3.sh"), []byte(`#!/bin/sh
set -e
! pg_isready --host=127.0.0.1 --quiet
psql --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" --command "INSERT INTO ran VALUES ('sh')"
`), 0o755)
	data := volume(t) + ":/var/lib/postgresql/data"

	id := start(t, append(hardened,
		"--env", "POSTGRES_PASSWORD_FILE=/password", "--env", "POSTGRES_DB=catalogue", "--env", "POSTGRES_INITDB_ARGS=--data-checksums",
		"--volume", filepath.Join(files, "password")+":/password:ro",
		"--volume", init+":/docker-entrypoint-initdb.d:ro", "--volume", data, postgres)...)
	awaitPostgres(t, id)
	equal(t, "what the init folder wrote", query(t, id, "SELECT string_agg(file, ' ') FROM ran"), "sql gz sh")
	equal(t, "data_checksums, of POSTGRES_INITDB_ARGS,", query(t, id, "SHOW data_checksums"), "on")
	equal(t, "the collation", query(t, id, "SHOW lc_collate"), "en_US.utf8")
	// The loopback addresses are trusted; any other is asked for the password.
	address := docker(t, "inspect", "--format", "{{.NetworkSettings.IPAddress}}", id)
	for password, want := range map[string]bool{"right": true, "wrong": false} {
		out, err := try("run", "--rm", "--env", "PGPASSWORD="+password, postgres,
			"psql", "--host="+address, "--username=postgres", "--dbname=catalogue", "--command=SELECT 1")
		if (err == nil) != want {
			t.Errorf("with the %s password: %v\n%s", password, err, out)
		}
	}
	query(t, id, "INSERT INTO ran VALUES ('client')")

	docker(t, "stop", "--time", "60", id)
	equal(t, "the exit code after docker stop", docker(t, "inspect", "--format", "{{.State.ExitCode}}", id), "0")
	if logs := docker(t, "logs", id); !strings.Contains(logs, "received fast shutdown request") {
		t.Errorf("docker stop asked for no fast shutdown:\n%s", logs)
	}
	remove(id)

	id = start(t, append(hardened, "--volume", init+":/docker-entrypoint-initdb.d:ro", "--volume", data, postgres)...)
	awaitPostgres(t, id)
	equal(t, "the data after a second start, without a password,", query(t, id, "SELECT string_agg(file, ' ') FROM ran"), "sql gz sh client")
}

func TestPostgresRefusesANewDatabaseWithoutAPassword(t *testing.T) {
	out, err := try("run", "--rm", postgres)
	if err == nil || !strings.Contains(out, "POSTGRES_PASSWORD") {
		t.Errorf("want a refusal that names POSTGRES_PASSWORD, got %v:\n%s", err, out)
	}
}

func TestPostgresRefusesASettingGivenTwice(t *testing.T) {
	out, err := try("run", "--rm", "--env", "POSTGRES_PASSWORD=a", "--env", "POSTGRES_PASSWORD_FILE=/etc/hostname", postgres)
	if err == nil || !strings.Contains(out, "POSTGRES_PASSWORD_FILE") {
		t.Errorf("want a refusal that names POSTGRES_PASSWORD_FILE, got %v:\n%s", err, out)
	}
}

func TestPostgresStartedAsRootDropsIt(t *testing.T) {
	id := start(t, "--env", "POSTGRES_PASSWORD=right", "--env", "POSTGRES_USER=owner", "--env", "POSTGRES_DB=catalogue", postgres, "-c", "max_connections=7")
	await(t, id, "pg_isready", "--host=127.0.0.1")
	equal(t, "the owner of process 1", docker(t, "exec", id, "stat", "--format=%u:%g", "/proc/1"), "999:999")
	equal(t, "max_connections, an option of the command,",
		docker(t, "exec", id, "psql", "--username=owner", "--dbname=catalogue", "--tuples-only", "--no-align", "--command=SHOW max_connections"), "7")
}

func TestPostgresDeclaresItsContract(t *testing.T) {
	equal(t, "the contract", docker(t, "image", "inspect", "--format",
		"{{.Config.StopSignal}} {{json .Config.Volumes}} {{json .Config.ExposedPorts}} {{json .Config.Entrypoint}} {{json .Config.Cmd}}", postgres),
		`SIGINT {"/var/lib/postgresql/data":{}} {"5432/tcp":{}} ["docker-entrypoint.sh"] ["postgres"]`)
	docker(t, "run", "--rm", postgres, "sh", "-c", "command -v psql && command -v pg_dump && command -v pg_restore && test $PGDATA = /var/lib/postgresql/data")
}

func TestRedisServesOtherContainersAndDropsRoot(t *testing.T) {
	id := start(t, redis)
	await(t, id, "redis-cli", "ping")
	address := docker(t, "inspect", "--format", "{{.NetworkSettings.IPAddress}}", id)
	equal(t, "the answer to another container", docker(t, "run", "--rm", redis, "redis-cli", "-h", address, "ping"), "PONG")
	equal(t, "the owner of process 1", docker(t, "exec", id, "stat", "--format=%u:%g", "/proc/1"), "999:999")
}

func TestRedisKeepsItsDataAndTakesOptions(t *testing.T) {
	data := volume(t) + ":/data"
	id := start(t, "--volume", data, redis, "--requirepass", "right")
	await(t, id, "redis-cli", "ping")
	if out := docker(t, "exec", id, "redis-cli", "get", "k"); !strings.Contains(out, "NOAUTH") {
		t.Errorf("without the password: %s", out)
	}
	docker(t, "exec", "--env", "REDISCLI_AUTH=right", id, "redis-cli", "set", "k", "v")
	docker(t, "exec", "--env", "REDISCLI_AUTH=right", id, "redis-cli", "save")
	docker(t, "stop", "--time", "30", id)
	equal(t, "the exit code after docker stop", docker(t, "inspect", "--format", "{{.State.ExitCode}}", id), "0")
	remove(id)

	id = start(t, "--volume", data, "--user", "redis", "--read-only", "--cap-drop", "ALL", redis)
	await(t, id, "redis-cli", "ping")
	equal(t, "the data after a second start", docker(t, "exec", id, "redis-cli", "get", "k"), "v")
}
