package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// fused is a breaker in front of a service, which takes its time.
type fused struct {
	t      *testing.T
	b      *breaker
	failed error         // how the service's requests end; nil where it answers
	took   time.Duration // until then
	asked  int           // how many have reached it
}

func (f *fused) ServeHTTP(w http.ResponseWriter, r *http.Request) error {
	f.asked++
	select {
	case <-time.After(f.took):
	case <-r.Context().Done():
		return caddyhttp.Error(499, context.Cause(r.Context()))
	}
	if f.failed == nil {
		w.WriteHeader(http.StatusOK)
	}
	return f.failed
}

// request returns how a request ends: 200, or the status of the error.
func (f *fused) request(ctx context.Context) (status int, header http.Header) {
	w := httptest.NewRecorder()
	err := f.b.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil), f)
	var refusal caddyhttp.HandlerError
	if errors.As(err, &refusal) {
		return refusal.StatusCode, w.Header()
	}
	return w.Code, w.Header()
}

func (f *fused) wants(status int) {
	f.t.Helper()
	if got, _ := f.request(f.t.Context()); got != status {
		f.t.Fatalf("a request ends with %d, want %d", got, status)
	}
}

func inFuse(t *testing.T, test func(f *fused)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		test(&fused{t: t, b: &breaker{Service: "user-service", circuit: newCircuit("user-service", zap.NewNop())}})
	})
}

var noReplica = caddyhttp.Error(http.StatusServiceUnavailable, errors.New("no upstreams available"))

func TestAServiceThatHasNotAnsweredForAWhileIsNotWaitedFor(t *testing.T) {
	inFuse(t, func(f *fused) {
		f.failed, f.took = noReplica, 3*time.Second
		for range breakerFailures {
			f.wants(http.StatusServiceUnavailable)
		}
		began, asked := time.Now(), f.asked
		status, header := f.request(f.t.Context())
		if status != http.StatusServiceUnavailable || header.Get("Retry-After") != "1" || time.Since(began) != 0 || f.asked != asked {
			t.Errorf("with the breaker open: %d after %s, Retry-After %q, %d more have reached the service", status, time.Since(began), header.Get("Retry-After"), f.asked-asked)
		}
		time.Sleep(breakerOpen + time.Millisecond)
		f.failed = nil
		tried := make(chan int, 1)
		go func() {
			status, _ := f.request(f.t.Context())
			tried <- status
		}()
		synctest.Wait() // it waits for the replica
		f.wants(http.StatusServiceUnavailable)
		if status := <-tried; status != http.StatusOK {
			t.Errorf("the request that tries ends with %d", status)
		}
		for range 3 {
			f.wants(http.StatusOK)
		}
	})
}

// Else a rolling update would lose requests that only have to wait.
func TestManyFailuresOfAMomentOpenNoBreaker(t *testing.T) {
	inFuse(t, func(f *fused) {
		f.failed = noReplica
		for range 20 * breakerFailures {
			f.wants(http.StatusServiceUnavailable)
		}
		f.failed = nil
		f.wants(http.StatusOK)
	})
}

func TestOneAnswerBeginsTheCountAnew(t *testing.T) {
	inFuse(t, func(f *fused) {
		f.took = 3 * time.Second
		for range 4 {
			f.failed = noReplica
			for range breakerFailures - 1 {
				f.wants(http.StatusServiceUnavailable)
			}
			f.failed = nil
			f.wants(http.StatusOK)
		}
	})
}

func TestClientsThatLeaveOpenNoBreaker(t *testing.T) {
	inFuse(t, func(f *fused) {
		f.took = time.Minute
		for range 4 * breakerFailures {
			ctx, cancel := context.WithTimeout(f.t.Context(), 3*time.Second)
			f.request(ctx)
			cancel()
		}
		f.took = 0
		f.wants(http.StatusOK)
	})
}

// A stream of a status may last for minutes; the requests beside it are not to wait for its end.
func TestAnAnswerThatLastsHasBegun(t *testing.T) {
	inFuse(t, func(f *fused) {
		f.failed, f.took = noReplica, 3*time.Second
		for range breakerFailures {
			f.wants(http.StatusServiceUnavailable)
		}
		time.Sleep(breakerOpen + time.Millisecond)
		f.failed, f.took = nil, 0
		streaming := make(chan struct{})
		go func() {
			_ = f.b.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil), caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
				w.WriteHeader(http.StatusOK)
				<-streaming
				return nil
			}))
		}()
		synctest.Wait()
		f.wants(http.StatusOK)
		close(streaming)
	})
}

func TestEachServiceHasABreaker(t *testing.T) {
	g := startGateway(t, startNameServer(t))
	var metrics string
	eventually(t, "the metrics are served", func() bool {
		response, err := http.Get(g.metricsURL)
		if err != nil {
			return false
		}
		defer response.Body.Close()
		content, err := io.ReadAll(response.Body)
		metrics = string(content)
		return err == nil
	})
	for _, name := range []string{"user-service", "product-service", "order-service", "payment-service"} {
		if want := `circuit_breaker_state{target="` + name + `"} 0`; strings.Count(metrics, want) != 1 {
			t.Errorf("the metrics lack %s", want)
		}
	}
}
