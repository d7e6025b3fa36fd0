package caddytend_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	_ "github.com/tendhq/tend/services/gateway/caddytend"
)

// roleVar makes the test binary one of the processes that tests need.
const roleVar = "CADDYTEND_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(roleVar) {
	case "caddy":
		fatal(runCaddy(os.Stdin))
	case "upstream":
		fatal(runUpstream(os.Getenv("NAME")))
	default:
		os.Exit(m.Run())
	}
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// runCaddy serves the Caddyfile read from r until the process is killed.
func runCaddy(r io.Reader) error {
	source, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt(source, nil)
	if err != nil {
		return err
	}
	if err := caddy.Load(config, true); err != nil {
		return err
	}
	select {}
}

// runUpstream serves until the process is killed. It prints the port that
// requests come to and the one by which the test talks to it.
func runUpstream(name string) error {
	var received atomic.Int64
	var connections atomic.Int64
	release := make(chan struct{})

	requests := http.NewServeMux()
	requests.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		received.Add(1)
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s", name, body)
	})
	requests.HandleFunc("/slow", func(w http.ResponseWriter, _ *http.Request) {
		received.Add(1)
		<-release
		fmt.Fprint(w, name)
	})
	requests.HandleFunc("/die", func(w http.ResponseWriter, r *http.Request) {
		received.Add(1)
		if name == "mortal" {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s", name, body)
	})
	requests.HandleFunc("/broken", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, name, http.StatusInternalServerError) })
	control := http.NewServeMux()
	control.HandleFunc("POST /release", func(http.ResponseWriter, *http.Request) { close(release) })
	control.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(stats{received.Load(), connections.Load()})
	})

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	controlListener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port, controlListener.Addr().(*net.TCPAddr).Port)
	go func() { fatal(http.Serve(controlListener, control)) }()
	server := &http.Server{Handler: requests, ConnState: func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			connections.Add(1)
		case http.StateClosed, http.StateHijacked:
			connections.Add(-1)
		}
	}}
	return server.Serve(listener)
}

// stats is what an upstream tells of itself.
type stats struct {
	Received    int64 // requests
	Connections int64 // open now
}

// upstream is a process that answers with its name.
type upstream struct {
	name          string
	port, control int
	process       *os.Process
}

func startUpstream(t *testing.T, name string) *upstream {
	t.Helper()
	command := exec.Command(os.Args[0])
	command.Env = []string{roleVar + "=upstream", "NAME=" + name}
	command.Stderr = os.Stderr
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	u := &upstream{name: name, process: command.Process}
	t.Cleanup(func() {
		_ = u.process.Kill()
		_ = command.Wait()
	})
	if _, err := fmt.Fscan(bufio.NewReader(stdout), &u.port, &u.control); err != nil {
		t.Fatal(err)
	}
	return u
}

func (u *upstream) signal(t *testing.T, signal syscall.Signal) {
	t.Helper()
	if err := u.process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	if signal != syscall.SIGSTOP {
		return
	}
	// The kernel stops each thread when it comes to it, and until then they answer.
	eventually(t, u.name+" stands still", func() bool {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", u.process.Pid))
		return err == nil && !slices.ContainsFunc(threads, func(file string) bool {
			stat, err := os.ReadFile(file)
			return err == nil && !strings.Contains(string(stat), ") T ")
		})
	})
}

// awaitDead waits until u refuses connections.
func (u *upstream) awaitDead(t *testing.T) {
	t.Helper()
	eventually(t, u.name+" is dead", func() bool {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", u.port))
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
}

// release lets the requests to /slow end.
func (u *upstream) release(t *testing.T) {
	t.Helper()
	response, err := http.Post(fmt.Sprintf("http://127.0.0.1:%d/release", u.control), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
}

func (u *upstream) stats(t *testing.T) stats {
	t.Helper()
	response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/stats", u.control))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var s stats
	if err := json.NewDecoder(response.Body).Decode(&s); err != nil {
		t.Fatal(err)
	}
	return s
}

// proxy is a running Caddy.
type proxy struct {
	url string
	// tokenFile holds the token that it sends to tend.
	tokenFile string
	log       lockedBuffer
}

type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

// startProxy runs Caddy with a reverse proxy to the workload web, which follows
// the tend at tendURL, as subscriber "caddy". options are lines for the source.
func startProxy(t *testing.T, tendURL string, options ...string) *proxy {
	t.Helper()
	port := freePort(t)
	tokenFile := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(tokenFile, []byte(firstToken+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf(`{
	admin off
	auto_https off
	persist_config off
	storage_check off
	storage_clean_interval off
	tend {
		url %q
		token_file %q
		subscriber caddy
	}
}
http://127.0.0.1:%s {
	respond /ready ok
	reverse_proxy {
		dynamic tend web {
			%s
		}
		lb_policy least_conn
		lb_try_duration 15s
		lb_try_interval 20ms
		lb_retry_match {
			repeatable
		}
		request_buffers 1MiB
		transport tend {
			dial_timeout 1s
			response_header_timeout 2s
		}
	}
}
`, tendURL, tokenFile, port, strings.Join(options, "\n"))
	p := &proxy{url: "http://127.0.0.1:" + port, tokenFile: tokenFile}
	command := exec.Command(os.Args[0])
	command.Env = []string{roleVar + "=caddy", "HOME=" + t.TempDir()}
	command.Stdin = strings.NewReader(config)
	command.Stdout, command.Stderr = &p.log, &p.log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
		if t.Failed() {
			t.Logf("log of Caddy:\n%s", &p.log)
		}
		if strings.Contains(p.log.String(), "DATA RACE") {
			t.Error("Caddy reported a data race")
		}
	})
	eventually(t, "Caddy serves", func() bool {
		response, err := http.Get(p.url + "/ready")
		if err == nil {
			response.Body.Close()
		}
		return err == nil
	})
	return p
}

func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if condition() {
			return
		}
	}
	t.Fatalf("not within 20 s: %s", what)
}
