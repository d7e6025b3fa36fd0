// Package testenv gives tests a Postgres, a Redis and a RabbitMQ of their own: processes
// that the test run starts, on data of its own, and ends.
package testenv

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

const startTimeout = 20 * time.Second

// Password is the password of Postgres' superuser and of Redis.
const Password = "test 'password' \\ with quotes"

// ServicePassword is the password of the role that a service has in a database.
const ServicePassword = "another 'password' \\ with quotes"

// Run runs a package's tests for TestMain, ends the shared Postgres, and checks
// that no goroutine is left. It returns the exit code.
func Run(m *testing.M) int {
	code := m.Run()
	if shared.postgres != nil {
		if err := shared.postgres.close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	return code
}

var shared struct {
	sync.Mutex
	postgres *Postgres
}

// SharedPostgres returns the package's Postgres, started by the first call.
// Tests that stop it must not run in parallel with others.
func SharedPostgres(t testing.TB) *Postgres {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.postgres == nil {
		shared.postgres = startPostgres(t)
	}
	return shared.postgres
}

// find returns the path of a program, first of those named.
func find(t testing.TB, install string, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatalf("%s not found: run make setup, or apt-get install %s", names[0], install)
	return ""
}

// process is a server that is a child of the test run.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

// start runs cmd with its output in log. The kernel ends it when the test run dies.
func start(cmd *exec.Cmd, log *os.File) (*process, error) {
	cmd.Stdout, cmd.Stderr = log, log
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGQUIT
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		// How it ended does not matter: tests end it in several ways.
		_ = cmd.Wait()
	}()
	return p, nil
}

func (p *process) signal(sig syscall.Signal) error {
	if err := p.cmd.Process.Signal(sig); err != nil {
		return fmt.Errorf("signal %s: %w", p.cmd.Path, err)
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(startTimeout):
		return fmt.Errorf("%s does not end on %s", p.cmd.Path, sig)
	}
}

// kill ends the process as a crash does. Nothing happens where it has ended.
func (p *process) kill(t testing.TB) {
	t.Helper()
	select {
	case <-p.done:
		return
	default:
	}
	if err := p.signal(syscall.SIGKILL); err != nil {
		t.Error(err)
	}
}

// unprivileged returns attributes that make a child run as another user where
// the test runs as root, which Postgres refuses to run as.
func unprivileged(t testing.TB, dir string) *syscall.SysProcAttr {
	t.Helper()
	if os.Geteuid() != 0 {
		return &syscall.SysProcAttr{}
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		t.Fatalf("no user to run Postgres as: run make setup, or apt-get install postgresql-15: %v", err)
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, int(uid), int(gid)); err != nil {
		t.Fatal(err)
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
}

// Await calls condition until it returns nil, and fails the test after a while.
func Await(t testing.TB, what string, condition func() error) {
	t.Helper()
	AwaitFor(t, startTimeout, what, condition)
}

// AwaitFor is Await for what takes its time.
func AwaitFor(t testing.TB, timeout time.Duration, what string, condition func() error) {
	t.Helper()
	deadline := time.Now().Add(timeout)
	for {
		err := condition()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// File writes content to a file of the test and returns its path.
func File(t testing.TB, content string) string {
	t.Helper()
	path := t.TempDir() + "/file"
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
