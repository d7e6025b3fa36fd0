package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/tendhq/tend/services/internal/breaker"
	"github.com/tendhq/tend/services/internal/metrics"
)

// network is a name with replicas behind it, in memory, so that the time in
// which calls wait for them need not pass.
type network struct {
	client  *Client
	metrics *metrics.Metrics

	mu       sync.Mutex
	replicas map[string]http.Handler // by address; nil: it hangs; absent: it refuses connections
	names    []string                // what the name server answers
	requests map[string]int
}

const port = "3004"

func newNetwork(t *testing.T, names ...string) *network {
	t.Helper()
	n := &network{metrics: metrics.New("test"), names: names, replicas: map[string]http.Handler{}, requests: map[string]int{}}
	base := &url.URL{Scheme: "http", Host: net.JoinHostPort("payment-service", port)}
	n.client = New("payment-service", base, nil, n.metrics, zap.NewNop())
	n.client.replicas.lookup = n.lookup
	transport := n.client.transport
	transport.DialContext = n.dial
	transport.DisableKeepAlives = true
	return n
}

func (n *network) lookup(_ context.Context, host string) ([]string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if host != "payment-service" || len(n.names) == 0 {
		return nil, &net.DNSError{Name: host, IsNotFound: true}
	}
	return slices.Clone(n.names), nil
}

func (n *network) dial(_ context.Context, _, address string) (net.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	host := strings.TrimSuffix(address, ":"+port)
	n.requests[host]++
	handler, ok := n.replicas[host]
	if !ok {
		return nil, fmt.Errorf("dial %s: %w", address, syscall.ECONNREFUSED)
	}
	near, far := net.Pipe()
	if handler != nil {
		go serveOne(far, handler)
	}
	return near, nil
}

// serveOne answers the requests of one connection.
func serveOne(conn net.Conn, handler http.Handler) {
	listener := &oneConn{conn: conn, closed: make(chan struct{})}
	server := &http.Server{Handler: handler, ConnState: func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			listener.Close()
		}
	}}
	// It ends when the connection has, which is no error of the test's.
	_ = server.Serve(listener)
}

type oneConn struct {
	conn   net.Conn
	once   sync.Once
	closed chan struct{}
}

func (l *oneConn) Accept() (conn net.Conn, err error) {
	if conn, l.conn = l.conn, nil; conn != nil {
		return conn, nil
	}
	<-l.closed
	return nil, net.ErrClosed
}

func (l *oneConn) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *oneConn) Addr() net.Addr { return new(net.TCPAddr) }

func (n *network) set(host string, handler http.Handler) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.replicas[host] = handler
}

func (n *network) requestsTo(host string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.requests[host]
}

// breakerState is what the metric shows.
func (n *network) breakerState(t *testing.T) string {
	t.Helper()
	recorder := httptest.NewRecorder()
	n.metrics.Handler().ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for line := range strings.Lines(recorder.Body.String()) {
		if value, ok := strings.CutPrefix(line, `circuit_breaker_state{service="test",target="payment-service"} `); ok {
			return map[string]string{"0": "closed", "1": "half-open", "2": "open"}[strings.TrimSpace(value)]
		}
	}
	return "missing"
}

func answering(status int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
}

var get = Call{Method: http.MethodGet, Path: "/api/payments"}

func TestAReplicaThatHangsCostsOneAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, "10.0.0.1", "10.0.0.2", "10.0.0.3")
		n.set("10.0.0.1", answering(http.StatusOK))
		n.set("10.0.0.2", nil)
		n.set("10.0.0.3", answering(http.StatusOK))
		for range 50 {
			start := time.Now()
			if err := n.client.Do(t.Context(), get, nil); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); took > attemptTimeout+time.Second {
				t.Errorf("a call took %v, more than one attempt at the replica that hangs", took)
			}
		}
		if got := n.requestsTo("10.0.0.2"); got != 1 {
			t.Errorf("the replica that hangs was asked %d times, want once", got)
		}
		n.set("10.0.0.2", answering(http.StatusOK))
		time.Sleep(avoidance)
		for range 50 {
			if err := n.client.Do(t.Context(), get, nil); err != nil {
				t.Fatal(err)
			}
		}
		if got := n.requestsTo("10.0.0.2"); got < 2 {
			t.Error("the replica is not asked again after it has recovered")
		}
	})
}

func TestAReplicaThatGathersRequestsIsGivenNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, "10.0.0.1", "10.0.0.2", "10.0.0.3")
		n.set("10.0.0.1", answering(http.StatusOK))
		n.set("10.0.0.2", nil)
		n.set("10.0.0.3", answering(http.StatusOK))
		var group sync.WaitGroup
		for range 50 { // before the first of them times out
			group.Go(func() {
				if err := n.client.Do(t.Context(), get, nil); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		if got := n.requestsTo("10.0.0.2"); got != 1 {
			t.Errorf("the replica that hangs was given %d requests, want 1", got)
		}
		group.Wait()
	})
}

func TestReplicasThatDoNotServeYetAreLeftToTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4")
		n.set("10.0.0.1", answering(http.StatusServiceUnavailable))
		n.set("10.0.0.2", answering(http.StatusServiceUnavailable))
		n.set("10.0.0.3", answering(http.StatusOK)) // the fourth refuses connections
		for range 50 {
			if err := n.client.Do(t.Context(), get, nil); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestACallOutlivesASecondWithoutReplicas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.set("10.0.0.1", answering(http.StatusOK))
		time.AfterFunc(time.Second, func() {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.names = []string{"10.0.0.1"}
		})
		if err := n.client.Do(t.Context(), get, nil); err != nil {
			t.Error(err)
		}
	})
}

// callFor calls again and again for a while and returns the last error.
func (n *network) callFor(ctx context.Context, duration time.Duration, limit time.Duration) (err error) {
	for end := time.Now().Add(duration); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(ctx, limit)
		err = n.client.Do(ctx, get, nil)
		cancel()
	}
	return err
}

func TestTheBreakerRefusesWhatFailsForAWhileAndClosesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, "10.0.0.1", "10.0.0.2")
		if got := n.breakerState(t); got != "closed" {
			t.Errorf("the breaker is %s at first", got)
		}
		_ = n.callFor(t.Context(), time.Minute, time.Minute)
		for n.breakerState(t) != "open" {
			_ = n.client.Do(t.Context(), get, nil)
		}
		asked, start := n.requestsTo("10.0.0.1"), time.Now()
		err := n.client.Do(t.Context(), get, nil)
		var open *breaker.OpenError
		var unavailable *UnavailableError
		if !errors.As(err, &open) || !errors.As(err, &unavailable) || !unavailable.Temporary() {
			t.Errorf("err = %v, want a temporary UnavailableError of the open breaker", err)
		}
		if n.requestsTo("10.0.0.1") != asked || !time.Now().Equal(start) {
			t.Errorf("an open breaker made an attempt, or waited %v", time.Since(start))
		}
		n.set("10.0.0.1", answering(http.StatusOK))
		time.Sleep(breaker.Service.Open + time.Millisecond)
		if err := n.client.Do(t.Context(), get, nil); err != nil || n.breakerState(t) != "closed" {
			t.Errorf("err = %v and the breaker is %s after the service is back", err, n.breakerState(t))
		}
	})
}

func TestAServiceThatHangsOpensTheBreakerOfCallersWithDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, "10.0.0.1")
		n.set("10.0.0.1", nil)
		var open *breaker.OpenError
		for range 20 {
			if err := n.callFor(t.Context(), time.Second, attemptTimeout+time.Second); errors.As(err, &open) {
				return
			}
		}
		t.Error("the breaker never opened")
	})
}

func TestWhatASwitchTakesOpensNoBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, "10.0.0.1", "10.0.0.2")
		time.AfterFunc(breaker.Service.Lasting-time.Second, func() { n.set("10.0.0.1", answering(http.StatusOK)) })
		var group sync.WaitGroup
		for range 100 {
			group.Go(func() { _ = n.callFor(t.Context(), breaker.Service.Lasting, time.Minute) })
		}
		for range 90 {
			time.Sleep(100 * time.Millisecond)
			if got := n.breakerState(t); got != "closed" {
				t.Fatalf("the breaker is %s", got)
			}
		}
		group.Wait()
		if err := n.client.Do(t.Context(), get, nil); err != nil {
			t.Error(err)
		}
	})
}

func TestNeitherRefusalsNorCallersWhoLeaveOpenTheBreaker(t *testing.T) {
	for name, replica := range map[string]http.Handler{
		"not found": answering(http.StatusNotFound), "conflict": answering(http.StatusConflict), "left": nil,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t, "10.0.0.1")
				n.set("10.0.0.1", replica)
				for range 200 {
					ctx, cancel := context.WithCancel(t.Context())
					stop := time.AfterFunc(time.Second, cancel)
					if err := n.client.Do(ctx, get, nil); err == nil {
						t.Fatal("the call succeeded")
					}
					stop.Stop()
					cancel()
					time.Sleep(100 * time.Millisecond)
				}
				if got := n.breakerState(t); got != "closed" {
					t.Errorf("the breaker is %s", got)
				}
			})
		})
	}
}

func TestACallerWhoLeavesDoesNotCloseTheBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, "10.0.0.1")
		n.set("10.0.0.1", nil)
		for n.breakerState(t) != "open" {
			_ = n.client.Do(t.Context(), get, nil)
		}
		time.Sleep(breaker.Service.Open + time.Millisecond)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if err := n.client.Do(ctx, get, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("err = %v", err)
		}
		if got := n.breakerState(t); got != "half-open" {
			t.Errorf("the breaker is %s, want half-open", got)
		}
	})
}
