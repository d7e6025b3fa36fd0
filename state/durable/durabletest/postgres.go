package durabletest

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// Password is the password of the server's user. It must never be seen in a log.
const Password = "c4n4ry pa$$word"

// binaries is where Debian's package postgresql-15 has its programs.
const binaries = "/usr/lib/postgresql/15/bin/"

// Postgres is a Postgres server of one test. It ends with the test.
type Postgres struct {
	t       *testing.T
	address string
	port    int
	cmd     *exec.Cmd
}

// StartPostgres starts a server on loopback.
func StartPostgres(t *testing.T) *Postgres {
	t.Helper()
	return StartPostgresAt(t, "127.0.0.1")
}

// StartPostgresAt starts a server at an address of the network namespace of this thread, to
// which the caller's goroutine is locked where that is not the machine's.
func StartPostgresAt(t *testing.T, address string) *Postgres {
	t.Helper()
	require.FileExists(t, binaries+"postgres", "these tests need Postgres: make setup, or apt-get install postgresql-15")
	dir, err := os.MkdirTemp("", "tend-postgres-") // not t.TempDir, which its user cannot enter
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	account := owner(t, dir)
	passwordFile := filepath.Join(dir, "password")
	require.NoError(t, os.WriteFile(passwordFile, []byte(Password), 0o644)) //nolint:gosec // its user reads it; the directory is closed
	run := func(program string, args ...string) *exec.Cmd {
		cmd := exec.Command(binaries+program, args...) //nolint:gosec // the test's own
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: account, Pdeathsig: syscall.SIGQUIT}
		return cmd
	}
	output, err := run("initdb", "--pgdata="+dir+"/data", "--username=tend", "--auth=scram-sha-256", "--pwfile="+passwordFile, "--no-sync").CombinedOutput()
	require.NoError(t, err, "%s", output)
	// initdb lets in who comes from the server's own addresses of loopback alone.
	require.NoError(t, os.WriteFile(dir+"/data/pg_hba.conf", []byte("host all all all scram-sha-256\n"), 0o644)) //nolint:gosec // its user reads it; the directory is closed

	free, err := net.Listen("tcp", address+":0")
	require.NoError(t, err)
	p := &Postgres{t: t, address: address, port: free.Addr().(*net.TCPAddr).Port}
	require.NoError(t, free.Close())
	p.cmd = run("postgres", "-D", dir+"/data", "-c", "listen_addresses="+address, "-c", fmt.Sprint("port=", p.port),
		"-c", "unix_socket_directories=", "-c", "shared_buffers=16MB", "-c", "fsync=off", "-c", "logging_collector=off")
	log, err := os.Create(filepath.Join(dir, "log"))
	require.NoError(t, err)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	require.NoError(t, p.cmd.Start())
	t.Cleanup(func() {
		p.signal(syscall.SIGCONT)
		p.signal(syscall.SIGINT) // a fast shutdown
		_ = p.cmd.Wait()
		_ = log.Close()
	})
	for deadline := time.Now().Add(time.Minute); !p.answers(); time.Sleep(50 * time.Millisecond) {
		require.True(t, time.Now().Before(deadline), "the server does not answer")
	}
	return p
}

func (p *Postgres) answers() bool {
	c, err := pgx.Connect(context.Background(), p.URL())
	return err == nil && c.Close(context.Background()) == nil
}

// URL is the connection string of the server's database.
func (p *Postgres) URL() string {
	return fmt.Sprintf("host=%s port=%d user=tend dbname=postgres password='%s' sslmode=disable", p.address, p.port, Password)
}

// Freeze has the server answer nobody, until Thaw.
func (p *Postgres) Freeze() { p.signal(syscall.SIGSTOP) }

// Thaw ends Freeze.
func (p *Postgres) Thaw() { p.signal(syscall.SIGCONT) }

// signal sends a signal to the server, and to its processes as well where the server
// does not pass it on.
func (p *Postgres) signal(s syscall.Signal) {
	if s == syscall.SIGSTOP || s == syscall.SIGCONT {
		path := fmt.Sprintf("/proc/%d/task/%[1]d/children", p.cmd.Process.Pid)
		children, err := os.ReadFile(path)
		require.NoError(p.t, err)
		for len(children) > 0 {
			var pid int
			if n, err := fmt.Sscan(string(children), &pid); n == 0 || err != nil {
				break
			}
			_ = syscall.Kill(pid, s)
			children = children[len(strconv.Itoa(pid))+1:]
		}
	}
	_ = p.cmd.Process.Signal(s)
}

// owner gives a directory to the user that runs Postgres. Where the test runs as root
// that is another one, as Postgres refuses to run as root.
func owner(t *testing.T, dir string) *syscall.Credential {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	account, err := user.Lookup("postgres")
	require.NoError(t, err)
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	require.NoError(t, err)
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	require.NoError(t, err)
	require.NoError(t, os.Chown(dir, int(uid), int(gid)))
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}
