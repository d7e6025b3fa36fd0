package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/probe/probetest"
	"github.com/tendhq/tend/controller/spec"
)

// passes makes a probe of this machine; want is the error, or "".
func passes(t *testing.T, want string, p spec.Probe) {
	t.Helper()
	began := time.Now()
	err := Once(t.Context(), p, Target{ID: "id", Address: "127.0.0.1"}, nil)
	if want == "" {
		require.NoError(t, err)
	} else {
		require.EqualError(t, err, want)
	}
	assert.Less(t, time.Since(began), p.Timeout+2*time.Second)
}

func portOf(t *testing.T, address string) int {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	n, err := strconv.Atoi(port)
	require.NoError(t, err)
	return n
}

// serve starts a server, and returns the function that makes a probe of a path.
func serve(t *testing.T, start func(http.Handler) *httptest.Server, handler http.HandlerFunc) spec.HTTPGet {
	t.Helper()
	s := start(handler)
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	require.NoError(t, err)
	return spec.HTTPGet{Scheme: u.Scheme, Port: portOf(t, u.Host), Path: "/health"}
}

func TestHTTPPassesFrom200To399(t *testing.T) {
	asked := serve(t, httptest.NewServer, func(w http.ResponseWriter, r *http.Request) {
		status, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
		w.Header().Set("Location", "/500")
		w.WriteHeader(status)
	})
	for status := 200; status < 600; status++ {
		asked.Path = fmt.Sprintf("/%d", status)
		err := Once(t.Context(), spec.Probe{HTTPGet: &asked, Timeout: 5 * time.Second}, Target{Address: "127.0.0.1"}, nil)
		assert.Equal(t, status < 400, err == nil, "status %d: %v", status, err)
	}
}

func TestHTTPDoesNotFollowRedirects(t *testing.T) {
	var paths []string
	asked := serve(t, httptest.NewServer, func(w http.ResponseWriter, r *http.Request) {
		paths = append(paths, r.URL.Path)
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	})
	passes(t, "", spec.Probe{HTTPGet: &asked, Timeout: 5 * time.Second})
	assert.Equal(t, []string{"/health"}, paths)
}

func TestHTTPSendsWhatTheSpecSays(t *testing.T) {
	asked := serve(t, httptest.NewServer, func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "shop.example" || r.Header.Get("X-Probe") != "yes" || r.URL.Query().Get("full") != "1" || r.UserAgent() != "tend-probe" {
			http.Error(w, fmt.Sprint(r.Host, r.Header, r.URL), http.StatusBadRequest)
		}
	})
	asked.Path, asked.Headers = "/health?full=1", map[string]string{"host": "shop.example", "x-probe": "yes"}
	passes(t, "", spec.Probe{HTTPGet: &asked, Timeout: 5 * time.Second})
}

func TestHTTPSDoesNotCheckTheCertificate(t *testing.T) {
	asked := serve(t, httptest.NewTLSServer, func(http.ResponseWriter, *http.Request) {})
	passes(t, "", spec.Probe{HTTPGet: &asked, Timeout: 5 * time.Second})
}

func TestHTTPMakesANewConnectionEachTime(t *testing.T) {
	clients := map[string]bool{}
	asked := serve(t, httptest.NewServer, func(_ http.ResponseWriter, r *http.Request) { clients[r.RemoteAddr] = true })
	for range 3 {
		passes(t, "", spec.Probe{HTTPGet: &asked, Timeout: 5 * time.Second})
	}
	assert.Len(t, clients, 3)
}

func TestHTTPGoesThroughNoProxy(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	asked := serve(t, httptest.NewServer, func(http.ResponseWriter, *http.Request) {})
	passes(t, "", spec.Probe{HTTPGet: &asked, Timeout: 5 * time.Second})
}

func TestHTTPFailureIsSaidInALine(t *testing.T) {
	asked := serve(t, httptest.NewServer, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte("the database\n  is away\xff\n" + strings.Repeat("x", 1<<20)))
	})
	err := Once(t.Context(), spec.Probe{HTTPGet: &asked, Timeout: 5 * time.Second}, Target{Address: "127.0.0.1"}, nil)
	require.ErrorContains(t, err, fmt.Sprintf("GET 127.0.0.1:%d/health: 503 Service Unavailable: the database is away xxx", asked.Port))
	assert.Less(t, len(err.Error()), 300)
}

func TestHTTPHangingFailsInTime(t *testing.T) {
	asked := serve(t, httptest.NewServer, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	passes(t, fmt.Sprintf("no answer from 127.0.0.1:%d within 100ms", asked.Port), spec.Probe{HTTPGet: &asked, Timeout: 100 * time.Millisecond})
}

func TestHTTPStatusCountsThoughTheBodyNeverComes(t *testing.T) {
	status := http.StatusOK
	asked := serve(t, httptest.NewServer, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	passes(t, "", spec.Probe{HTTPGet: &asked, Timeout: 100 * time.Millisecond})
	status = http.StatusInternalServerError
	passes(t, fmt.Sprintf("GET 127.0.0.1:%d/health: 500 Internal Server Error", asked.Port), spec.Probe{HTTPGet: &asked, Timeout: 100 * time.Millisecond})
}

func TestAPortThatNobodyServesIsNamed(t *testing.T) {
	port := freePort(t)
	want := fmt.Sprintf("nothing listens at 127.0.0.1:%d", port)
	passes(t, want, spec.Probe{HTTPGet: &spec.HTTPGet{Scheme: "http", Port: port, Path: "/"}, Timeout: 5 * time.Second})
	passes(t, want, spec.Probe{TCPSocket: &spec.TCPSocket{Port: port}, Timeout: 5 * time.Second})
	passes(t, want, spec.Probe{Postgres: &spec.Postgres{Port: port}, Timeout: 5 * time.Second})
}

func TestTCPPassesWhenAConnectionOpens(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	passes(t, "", spec.Probe{TCPSocket: &spec.TCPSocket{Port: portOf(t, listener.Addr().String())}, Timeout: 5 * time.Second})
}

func TestTCPWithoutAnAnswerFailsInTime(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	asked := spec.Probe{Postgres: &spec.Postgres{Port: portOf(t, listener.Addr().String())}, Timeout: 100 * time.Millisecond}
	passes(t, fmt.Sprintf("no answer from 127.0.0.1:%d within 100ms", asked.Postgres.Port), asked) // the port is open, and nothing is said there
}

// A replica that is cut off answers no attempt to connect. TestMain sees none left behind.
func TestAReplicaThatIsCutOffFailsInTime(t *testing.T) {
	port := portOf(t, probetest.CutOff(t))
	want := fmt.Sprintf("no answer from 127.0.0.1:%d within 100ms", port)
	passes(t, want, spec.Probe{HTTPGet: &spec.HTTPGet{Scheme: "http", Port: port, Path: "/"}, Timeout: 100 * time.Millisecond})
	passes(t, want, spec.Probe{TCPSocket: &spec.TCPSocket{Port: port}, Timeout: 100 * time.Millisecond})
	passes(t, want, spec.Probe{Postgres: &spec.Postgres{Port: port}, Timeout: 100 * time.Millisecond})
}

func TestAnEndingContextIsNoTimeout(t *testing.T) {
	asked := serve(t, httptest.NewServer, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := Once(ctx, spec.Probe{HTTPGet: &asked, Timeout: time.Minute}, Target{Address: "127.0.0.1"}, nil)
	require.ErrorIs(t, err, context.Canceled)
}

func TestOnlyACommandNeedsNoAddress(t *testing.T) {
	exec := func(context.Context, string, []string) (int, string, error) { return 0, "", nil }
	require.NoError(t, Once(t.Context(), spec.Probe{Exec: &spec.Exec{Command: []string{"x"}}, Timeout: time.Second}, Target{ID: "id"}, exec))
	err := Once(t.Context(), spec.Probe{TCPSocket: &spec.TCPSocket{Port: 1}, Timeout: time.Second}, Target{ID: "id"}, exec)
	require.EqualError(t, err, "the container has no address on a network of the project")
}

func TestACommandPassesWhenItExitsWith0(t *testing.T) {
	p := spec.Probe{Exec: &spec.Exec{Command: []string{"check", "--all"}}, Timeout: 100 * time.Millisecond}
	for name, c := range map[string]struct {
		exec Exec
		want string
	}{
		"0":           {func(context.Context, string, []string) (int, string, error) { return 0, "noise", nil }, ""},
		"2":           {func(context.Context, string, []string) (int, string, error) { return 2, "no\nspace\n", nil }, "check exited with code 2: no space"},
		"2, silently": {func(context.Context, string, []string) (int, string, error) { return 2, "", nil }, "check exited with code 2"},
		"an engine that fails": {func(context.Context, string, []string) (int, string, error) {
			return 0, "", errors.New("no such container")
		},
			"no such container"},
		"a command that never ends": {func(ctx context.Context, _ string, _ []string) (int, string, error) {
			<-ctx.Done()
			return 0, "", ctx.Err()
		}, "no answer within 100ms"},
		"what is asked": {func(_ context.Context, id string, command []string) (int, string, error) {
			return 1, fmt.Sprint(id, command), nil
		}, "check exited with code 1: id[check --all]"},
	} {
		t.Run(name, func(t *testing.T) {
			err := Once(t.Context(), p, Target{ID: "id"}, c.exec)
			if c.want == "" {
				require.NoError(t, err)
			} else {
				require.EqualError(t, err, c.want)
			}
		})
	}
}
