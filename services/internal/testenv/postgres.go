package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Postgres is a Postgres 15 server that listens on a Unix socket only.
type Postgres struct {
	// Dir holds the data and the socket; it is the DB_HOST of services.
	Dir       string
	binary    string
	attr      *syscall.SysProcAttr
	log       *os.File
	process   *process
	databases atomic.Int64
}

// startPostgres makes a cluster and starts it. Its data outlive the test that
// asked first, so they are not in that test's directory.
func startPostgres(t testing.TB) *Postgres {
	t.Helper()
	const install = "postgresql-15"
	initdb := find(t, install, "/usr/lib/postgresql/15/bin/initdb", "initdb")
	dir, err := os.MkdirTemp("", "testenv-postgres-")
	if err != nil {
		t.Fatal(err)
	}
	p := &Postgres{
		Dir:    dir,
		binary: find(t, install, "/usr/lib/postgresql/15/bin/postgres", "postgres"),
		attr:   unprivileged(t, dir),
	}
	if p.log, err = os.Create(filepath.Join(dir, "log")); err != nil {
		t.Fatal(err)
	}
	passwordFile := filepath.Join(dir, "password") // Postgres' own user reads it; dir is closed to others
	if err := os.WriteFile(passwordFile, []byte(Password+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(initdb, "--pgdata", filepath.Join(dir, "data"), "--username=postgres",
		"--auth=scram-sha-256", "--pwfile="+passwordFile, "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync")
	cmd.SysProcAttr = p.attr
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, output)
	}
	p.Start(t)
	return p
}

// Start starts the server again after Stop, and returns when it answers.
func (p *Postgres) Start(t testing.TB) {
	t.Helper()
	attr := *p.attr
	cmd := exec.Command(p.binary, "-D", filepath.Join(p.Dir, "data"),
		"-c", "listen_addresses=", "-c", "unix_socket_directories="+p.Dir, "-c", "unix_socket_permissions=0777",
		"-c", "fsync=off", "-c", "max_connections=100", "-c", "shared_buffers=16MB")
	cmd.SysProcAttr = &attr
	var err error
	if p.process, err = start(cmd, p.log); err != nil {
		t.Fatal(err)
	}
	Await(t, "Postgres starts", func() error {
		conn, err := pgx.Connect(context.Background(), p.URL("postgres"))
		if err != nil {
			return err
		}
		return conn.Close(context.Background())
	})
}

// Stop ends the server as a container's stop does (fast shutdown).
func (p *Postgres) Stop(t testing.TB) {
	t.Helper()
	if err := p.process.signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
}

// URL returns the connection string of a database.
func (p *Postgres) URL(database string) string {
	return fmt.Sprintf(`host='%s' dbname='%s' user=postgres password='test \'password\' \\ with quotes' sslmode=disable`, p.Dir, database)
}

// NewDatabase makes an empty database of the test's own and returns its name.
func (p *Postgres) NewDatabase(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test%d", p.databases.Add(1))
	p.MakeDatabase(t, name)
	return name
}

// MakeDatabase makes an empty database, and the role that a service has in it, by the
// script that makes it in compose.yaml. The role has the database's name.
func (p *Postgres) MakeDatabase(t testing.TB, name string) {
	t.Helper()
	p.Exec(t, "postgres", "CREATE DATABASE "+name)
	p.MakeRole(t, name)
}

// MakeRole runs the script for a database.
func (p *Postgres) MakeRole(t testing.TB, name string) {
	t.Helper()
	_, here, _, _ := runtime.Caller(0)
	cmd := exec.Command("sh", filepath.Join(filepath.Dir(here), "../../../deploy/postgres/service-role.sh"))
	cmd.Env = append(os.Environ(), "PGHOST="+p.Dir, "PGPASSWORD="+Password, "POSTGRES_DB="+name,
		"SERVICE_ROLE="+name, "SERVICE_PASSWORD_FILE="+File(t, ServicePassword+"\n"))
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make the role %s: %v\n%s", name, err, output)
	}
}

// Exec runs a statement in a database.
func (p *Postgres) Exec(t testing.TB, database, sql string, args ...any) {
	t.Helper()
	p.with(t, database, func(conn *pgx.Conn) error {
		_, err := conn.Exec(t.Context(), sql, args...)
		return err
	})
}

// QueryRow scans the one row of a query in a database into targets.
func (p *Postgres) QueryRow(t testing.TB, database, sql string, targets ...any) {
	t.Helper()
	p.with(t, database, func(conn *pgx.Conn) error { return conn.QueryRow(t.Context(), sql).Scan(targets...) })
}

// with runs use with a connection to a database.
func (p *Postgres) with(t testing.TB, database string, use func(*pgx.Conn) error) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), p.URL(database))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(use(conn), conn.Close(context.Background())); err != nil {
		t.Fatal(err)
	}
}

// Env returns the variables that lead a service to a database, with the role that it has there.
func (p *Postgres) Env(t testing.TB, database string) map[string]string {
	t.Helper()
	return map[string]string{"DB_HOST": p.Dir, "DB_NAME": database, "DB_USER": database, "DB_PASSWORD_FILE": File(t, ServicePassword+"\n")}
}

func (p *Postgres) close() error {
	return errors.Join(p.process.signal(syscall.SIGINT), p.log.Close(), os.RemoveAll(p.Dir))
}
