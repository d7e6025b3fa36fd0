//go:build linux

package cli

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// actAs has the test's program act as something else, for tests of signals: as tend,
// or as a command that does not end in order.
const actAs = "TEND_TEST_ACT_AS"

func act() {
	switch os.Getenv(actAs) {
	case "tend":
		os.Exit(Run("test", os.Args[1:]))
	case "stuck":
		ctx := untilSignalled(context.Background())
		fmt.Fprintln(os.Stderr, "begun")
		<-ctx.Done()
		fmt.Fprintln(os.Stderr, "ending")
		select {}
	}
}

// process is a program under test.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	err   output
	ended chan struct{}
}

func startAs(t *testing.T, what string, args ...string) *process {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	p := &process{t: t, cmd: exec.Command(self, args...), ended: make(chan struct{})} //nolint:gosec // this program
	p.cmd.Env = append(os.Environ(), actAs+"="+what)
	p.cmd.Stderr = &p.err
	require.NoError(t, p.cmd.Start())
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // its state tells
	}()
	return p
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(s))
}

// says waits until the program has said a text n times.
func (p *process) says(text string, n int) {
	p.t.Helper()
	eventually(p.t, func() bool { return strings.Count(p.err.String(), text) >= n }, "%q is not said %d times", text, n)
}

// end waits until the program has ended.
func (p *process) end() *os.ProcessState {
	p.t.Helper()
	select {
	case <-p.ended:
		return p.cmd.ProcessState
	case <-time.After(time.Minute):
		p.t.Fatalf("it has not ended: %s", &p.err)
		return nil
	}
}

// emptyEngine answers as an engine that has nothing, and counts how often its
// containers are listed.
func emptyEngine(t *testing.T) (host string, lists *atomic.Int32) {
	t.Helper()
	lists = &atomic.Int32{}
	socket := filepath.Join(t.TempDir(), "engine.sock")
	listener, err := net.Listen("unix", socket)
	require.NoError(t, err)
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Api-Version", "1.41")
		switch {
		case strings.HasSuffix(r.URL.Path, "/events"):
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		case strings.HasSuffix(r.URL.Path, "/containers/json"):
			lists.Add(1)
			_, _ = w.Write([]byte("[]"))
		case strings.HasSuffix(r.URL.Path, "/images/json"):
			_, _ = w.Write([]byte("[]"))
		case strings.HasSuffix(r.URL.Path, "/info"):
			_, _ = w.Write([]byte(`{"ServerVersion": "20.10.0"}`))
		case strings.HasSuffix(r.URL.Path, "/_ping"):
			_, _ = w.Write([]byte("OK"))
		default:
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"message": "there is none"}`))
		}
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener) // until it is closed
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return "unix://" + socket, lists
}

const unmanaged = "services: {web: {image: \"web:1\", x-tend: {managed: false}}}\n"

// keeper starts a controller of a project in which nothing is to be kept.
func keeper(t *testing.T) (p *process, compose string, lists *atomic.Int32) {
	t.Helper()
	host, lists := emptyEngine(t)
	compose = filepath.Join(t.TempDir(), "compose.yaml")
	require.NoError(t, os.WriteFile(compose, []byte(unmanaged), 0o644))
	p = startAs(t, "tend", "--file", compose, "--host", host, "run")
	p.says("keeping project", 1)
	eventually(t, func() bool { return lists.Load() > 0 }, "the engine is not listed")
	return p, compose, lists
}

func TestSIGHUPReadsEverythingAgain(t *testing.T) {
	p, compose, lists := keeper(t)
	before := lists.Load()
	p.signal(syscall.SIGHUP)
	p.says(`"reason":"Reloaded","message":"what is written was read again, and the engine was listed anew"`, 1)
	assert.Greater(t, lists.Load(), before, "the engine was not listed anew")
	assert.Contains(t, p.err.String(), "SIGHUP: reading what is written again")

	require.NoError(t, os.WriteFile(compose, []byte("services: ["), 0o644))
	p.says(`"reason":"InvalidSpec"`, 1)
	p.signal(syscall.SIGHUP)
	p.says(`"reason":"Reloaded"`, 2)
	p.says(`"reason":"InvalidSpec"`, 2)

	p.signal(syscall.SIGTERM)
	assert.Equal(t, exitDone, p.end().ExitCode())
	assert.Contains(t, p.err.String(), "stopped; what runs goes on running")
}

func TestSIGINTEndsInOrder(t *testing.T) {
	p, _, _ := keeper(t)
	p.signal(syscall.SIGINT)
	assert.Equal(t, exitDone, p.end().ExitCode())
	assert.Contains(t, p.err.String(), "stopped; what runs goes on running")
}

func TestASecondSignalEndsAtOnce(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		p := startAs(t, "stuck")
		p.says("begun", 1)
		p.signal(s)
		p.says("ending", 1)
		eventually(t, func() bool {
			_ = p.cmd.Process.Signal(s) // until the first one was dealt with, this one counts as the same
			select {
			case <-p.ended:
				return true
			default:
				return false
			}
		}, "it goes on after a second %s", s)
		assert.Equal(t, s, p.end().Sys().(syscall.WaitStatus).Signal())
	}
}
