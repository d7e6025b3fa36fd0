package ingress_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/ingress"
	"github.com/tendhq/tend/ingress/holder"
	"github.com/tendhq/tend/ingress/proxy"
)

// patience is how long a test waits for a condition before it fails.
const patience = 20 * time.Second

// TestMain makes this executable the holder and the proxy, too.
func TestMain(m *testing.M) {
	if len(os.Args) < 3 || !strings.HasPrefix(os.Args[1], "ingress-") {
		os.Exit(m.Run())
	}
	if err := play(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func play(role string, args []string) error {
	if role == "ingress-holder" {
		executable, err := os.Executable()
		if err != nil {
			return err
		}
		return holder.Run(holder.Options{
			State: args[0], Listen: args[1:], Proxy: []string{"ingress-proxy"},
			Version: filepath.Base(executable), Input: os.Stdin, Output: os.Stdout,
		})
	}
	count, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	control, listeners, err := proxy.Inherit(count)
	if err != nil {
		return err
	}
	return proxy.Run(control, listeners)
}

// running is an ingress in a process of its own.
type running struct {
	t      *testing.T
	state  string
	cmd    *exec.Cmd
	input  io.WriteCloser
	stderr *bytes.Buffer
	ended  chan error

	mu         sync.Mutex
	status     ingress.Status
	changed    chan struct{}
	generation int64
	config     ingress.Config
}

func startIngress(t *testing.T, listen ...string) *running {
	return startIngressAt(t, filepath.Join(t.TempDir(), "config.json"), listen...)
}

func startIngressAt(t *testing.T, state string, listen ...string) *running {
	t.Helper()
	if len(listen) == 0 {
		listen = []string{"127.0.0.1:0"}
	}
	executable, err := os.Executable()
	require.NoError(t, err)
	r := &running{
		t: t, state: state, stderr: &bytes.Buffer{}, ended: make(chan error, 1), changed: make(chan struct{}),
		cmd: exec.Command(executable, append([]string{"ingress-holder", state}, listen...)...),
	}
	output, err := r.cmd.StdoutPipe()
	require.NoError(t, err)
	r.input, err = r.cmd.StdinPipe()
	require.NoError(t, err)
	r.cmd.Stderr = r.stderr
	r.cmd.WaitDelay = patience
	require.NoError(t, r.cmd.Start())
	go r.follow(output)
	t.Cleanup(r.stop)
	r.await("it listens", func(s ingress.Status) bool { return len(s.Listening) > 0 })
	return r
}

func (r *running) follow(output io.Reader) {
	statuses := ingress.NewReader[ingress.Status](output)
	for {
		s, malformed, err := statuses.Next()
		if err != nil {
			r.ended <- r.cmd.Wait()
			return
		}
		if malformed != nil {
			continue
		}
		r.mu.Lock()
		r.status = s
		close(r.changed)
		r.changed = make(chan struct{})
		r.mu.Unlock()
	}
}

// stop ends the ingress and sees that it ended well.
func (r *running) stop() {
	_ = r.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-r.ended:
		assert.NoError(r.t, err, "the ingress ends well")
		r.ended <- err
	case <-time.After(patience):
		_ = r.cmd.Process.Kill()
		r.ended <- <-r.ended
		assert.Fail(r.t, "the ingress did not end")
	}
	assert.NotContains(r.t, r.stderr.String(), "DATA RACE")
	assert.NotContains(r.t, r.stderr.String(), "panic")
}

func (r *running) last() ingress.Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.status
}

// await waits for a status.
func (r *running) await(what string, ok func(ingress.Status) bool) ingress.Status {
	r.t.Helper()
	limit := time.After(patience)
	for {
		r.mu.Lock()
		s, changed := r.status, r.changed
		r.mu.Unlock()
		if ok(s) {
			return s
		}
		select {
		case <-changed:
		case err := <-r.ended:
			r.ended <- err
			require.FailNow(r.t, "the ingress ended before "+what, "%v\n%s", err, r.stderr)
		case <-limit:
			require.FailNow(r.t, "never: "+what, "%+v", s)
		}
	}
}

func (r *running) send(request ingress.Request) {
	r.t.Helper()
	require.NoError(r.t, ingress.Write(r.input, request))
}

// apply sends a configuration and waits until it is in force.
func (r *running) apply(config ingress.Config) ingress.Status {
	r.t.Helper()
	r.generation++
	config.Generation = r.generation
	r.config = config
	r.send(ingress.Request{Config: &config})
	return r.await("the configuration is in force", func(s ingress.Status) bool { return s.Generation == config.Generation })
}

func (r *running) tcp(endpoints ...ingress.Endpoint) ingress.Status {
	r.t.Helper()
	return r.apply(ingress.Config{Protocol: ingress.TCP, Endpoints: endpoints})
}

func (r *running) http(endpoints ...ingress.Endpoint) ingress.Status {
	r.t.Helper()
	return r.apply(ingress.Config{Protocol: ingress.HTTP, Endpoints: endpoints})
}

func (r *running) address() string { return r.last().Listening[0] }
func (r *running) url() string     { return "http://" + r.address() }

// proxies returns the process ids of the holder's children.
func (r *running) proxies() (pids []int) {
	r.t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", r.cmd.Process.Pid))
	require.NoError(r.t, err)
	for _, task := range tasks {
		text, err := os.ReadFile(task)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue
		}
		require.NoError(r.t, err)
		for _, field := range strings.Fields(string(text)) {
			pid, err := strconv.Atoi(field)
			require.NoError(r.t, err)
			pids = append(pids, pid)
		}
	}
	return pids
}

// upgrade puts a copy of the executable in the place of the running one.
func (r *running) upgrade(name string) {
	r.t.Helper()
	executable, err := os.Executable()
	require.NoError(r.t, err)
	text, err := os.ReadFile(executable)
	require.NoError(r.t, err)
	path := filepath.Join(r.t.TempDir(), name)
	require.NoError(r.t, os.WriteFile(path, text, 0o755))
	r.send(ingress.Request{Upgrade: path})
	r.await("the upgrade is done", func(s ingress.Status) bool {
		require.Empty(r.t, s.Error)
		return s.Version == name
	})
}

// openOf is how many connections or requests an endpoint has.
func openOf(s ingress.Status, id string) int {
	for _, e := range s.Endpoints {
		if e.ID == id {
			return e.Open
		}
	}
	return 0
}

// replica is a server in the test's process.
type replica struct {
	id       string
	listener net.Listener
	accepted atomic.Int64
}

func (r *replica) ready() ingress.Endpoint {
	return ingress.Endpoint{ID: r.id, Address: r.listener.Addr().String(), State: ingress.Ready}
}

func (r *replica) draining() ingress.Endpoint {
	e := r.ready()
	e.State = ingress.Draining
	return e
}

var ids atomic.Int64

// startReplica starts a server that handles each connection with serve.
func startReplica(t *testing.T, serve func(net.Conn)) *replica {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	r := &replica{id: "replica-" + strconv.FormatInt(ids.Add(1), 10), listener: l}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			r.accepted.Add(1)
			go func() {
				defer c.Close()
				serve(c)
			}()
		}
	}()
	return r
}

// echo sends back what it is sent.
func echo(c net.Conn) {
	_, _ = io.Copy(c, c)
	_ = c.(*net.TCPConn).CloseWrite()
}

// serveHTTP starts a replica that speaks HTTP/1.1 and HTTP/2.
func serveHTTP(t *testing.T, handler http.HandlerFunc) *replica {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	r := &replica{id: "replica-" + strconv.FormatInt(ids.Add(1), 10), listener: l}
	server := &http.Server{Protocols: protocols, Handler: handler, ConnState: func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			r.accepted.Add(1)
		}
	}}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	return r
}

func dialTo(t *testing.T, address string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	require.NoError(t, err)
	require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
	t.Cleanup(func() { _ = c.Close() })
	return c.(*net.TCPConn)
}

// exchange sends text on a new connection, ends it, and reads until the end.
func exchange(address, text string) (string, error) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	if _, err := c.Write([]byte(text)); err != nil {
		return "", err
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(c)
	return string(answer), err
}

// ask sends text on a connection that stays open and reads as much.
func ask(t *testing.T, c net.Conn, text string) {
	t.Helper()
	_, err := c.Write([]byte(text))
	require.NoError(t, err)
	answer := make([]byte, len(text))
	_, err = io.ReadFull(c, answer)
	require.NoError(t, err)
	require.Equal(t, text, string(answer))
}

// load runs something in a few goroutines, again and again, until it is stopped.
type load struct {
	count  atomic.Int64
	mu     sync.Mutex
	errs   []error
	cancel context.CancelFunc
	done   sync.WaitGroup
}

func startLoad(do func(worker, i int) error) *load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{cancel: cancel}
	for worker := range 8 {
		l.done.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				if err := do(worker, i); err != nil {
					l.mu.Lock()
					l.errs = append(l.errs, err)
					l.mu.Unlock()
				}
				l.count.Add(1)
			}
		})
	}
	return l
}

// pass waits until n more have been done.
func (l *load) pass(t *testing.T, n int64) {
	t.Helper()
	n += l.count.Load()
	require.Eventually(t, func() bool { return l.count.Load() >= n }, patience, 5*time.Millisecond)
}

// stop returns how often it was done and what failed.
func (l *load) stop() (int64, []error) {
	l.cancel()
	l.done.Wait()
	return l.count.Load(), l.errs
}
