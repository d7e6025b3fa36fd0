package main

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// startTend answers on address as a tend whose only endpoint is a replica of
// user-service. stop ends it at once.
func startTend(t *testing.T, address, replica string) (stop func()) {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("index") == "7" {
			<-r.Context().Done() // nothing new, ever
			return
		}
		fmt.Fprintf(w, `{"index": 7, "workloads": {"user-service": [{"replica": "u-1", "revision": "r", "addresses": {"backend": %q}, "ports": [3001]}]}}`, replica)
	})}
	go func() { _ = server.Serve(listener) }()
	stop = func() { _ = server.Close() }
	t.Cleanup(stop)
	return stop
}

func TestARestartNeedsNoTend(t *testing.T) {
	t.Parallel()
	names := startNameServer(t)
	replica := [4]byte{127, 0, 9, 1}
	startUpstream(t, replica, "3001", answer("user"))
	names.set("user.test", replica)
	address := "127.0.0.1:" + freePort(t)
	stop := startTend(t, address, "127.0.9.1")
	env := []string{"TEND_ENDPOINTS_URL=http://" + address, "USER_SERVICE=user.test:3001"}

	g := startGateway(t, names, env...)
	if response, body := do(t, http.MethodGet, g.url+"/api/users", nil); response.StatusCode != http.StatusOK {
		t.Fatalf("with tend: %d %s", response.StatusCode, body)
	}
	if !strings.Contains(g.log.String(), `"source":"tend"`) {
		t.Fatal("the gateway did not follow tend")
	}
	stop()
	for range 20 {
		if response, body := do(t, http.MethodPost, g.url+"/api/users", strings.NewReader("{}")); response.StatusCode != http.StatusOK {
			t.Fatalf("with what tend told last: %d %s", response.StatusCode, body)
		}
	}
	if err := g.process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-g.exited

	g = startGateway(t, names, env...)
	for range 20 {
		if response, body := do(t, http.MethodPost, g.url+"/api/users", strings.NewReader("{}")); response.StatusCode != http.StatusOK {
			t.Fatalf("after the restart without tend: %d %s", response.StatusCode, body)
		}
	}
}

// The gateway is pointed at what is no tend. Requests are held, and then refused
// with a reason; the log says once what is wrong; and when a tend is there after
// all, its endpoints are used.
func TestPointedAtNothing(t *testing.T) {
	const replica = "127.0.9.2"
	startUpstream(t, [4]byte{127, 0, 9, 2}, "3001", answer("user"))
	for name, start := range map[string]func(t *testing.T, address string) (stop func(), asked func() int){
		"nobody listens": func(*testing.T, string) (func(), func() int) {
			begun := time.Now()
			// It asks every two seconds at least.
			return func() {}, func() int { return int(time.Since(begun) / (3 * time.Second)) }
		},
		"something else answers": func(t *testing.T, address string) (func(), func() int) {
			listener, err := net.Listen("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			var asked atomic.Int32
			server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				http.NotFound(w, r)
			})}
			go func() { _ = server.Serve(listener) }()
			return func() { _ = server.Close() }, func() int { return int(asked.Load()) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			names := startNameServer(t)
			address := "127.0.0.1:" + freePort(t)
			stop, asked := start(t, address)
			g := startGateway(t, names, "HOLD=1s", "TEND_ENDPOINTS_URL=http://"+address, "USER_SERVICE=user.test:3001")
			response, body := do(t, http.MethodGet, g.url+"/api/users", nil)
			wantProblem(t, response, body, http.StatusServiceUnavailable)
			eventually(t, "it has asked several times", func() bool { return asked() >= 3 })
			response, body = do(t, http.MethodGet, g.url+"/api/users", nil)
			wantProblem(t, response, body, http.StatusServiceUnavailable)
			for _, message := range []string{"tend does not answer", "lookup of the fallback failed"} {
				if said := strings.Count(g.log.String(), message); said != 1 {
					t.Errorf("the log says %d times %q, want once", said, message)
				}
			}
			if !strings.Contains(g.log.String(), address) {
				t.Error("the log does not say where tend was looked for")
			}
			stop()
			startTend(t, address, replica)
			eventually(t, "the endpoints of tend are used", func() bool {
				response, _ := do(t, http.MethodGet, g.url+"/api/users", nil)
				return response.StatusCode == http.StatusOK
			})
			if !strings.Contains(g.log.String(), "tend answers again") {
				t.Error("the log does not say that tend answers")
			}
		})
	}
}
