package client

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/tendhq/tend/services/internal/metrics"
)

func TestPausesAreRandomFromZeroToABoundThatDoubles(t *testing.T) {
	bounds := []time.Duration{200, 400, 800, 1600, 2000, 2000}
	longest, shortest := make([]time.Duration, len(bounds)), make([]time.Duration, len(bounds))
	for i := range shortest {
		shortest[i] = time.Hour
	}
	for range 500 {
		pauses := newPauses()
		for i, bound := range bounds {
			pause := pauses.NextBackOff()
			if pause < 0 || pause >= bound*time.Millisecond {
				t.Fatalf("pause %d is %s, want less than %d ms", i, pause, bound)
			}
			longest[i], shortest[i] = max(longest[i], pause), min(shortest[i], pause)
		}
	}
	for i, bound := range bounds {
		if longest[i] < bound*time.Millisecond*9/10 || shortest[i] > bound*time.Millisecond/10 {
			t.Errorf("pause %d is from %s to %s, want nearly 0 to %d ms", i, shortest[i], longest[i], bound)
		}
	}
}

// made returns a client of a service that handler serves.
func made(t *testing.T, handler http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	base, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	c := New("payment-service", base, nil, metrics.New("test"), zap.NewNop())
	t.Cleanup(c.Close)
	return c
}

func TestRepetitionsEndWithTheirBudget(t *testing.T) {
	calls := 0
	c := made(t, func(w http.ResponseWriter, _ *http.Request) {
		calls++
		w.WriteHeader(http.StatusBadGateway)
	})
	c.budget.left = 2
	var unavailable *UnavailableError
	if err := c.Do(t.Context(), Call{Method: http.MethodGet, Path: "/"}, nil); !errors.As(err, &unavailable) {
		t.Errorf("err = %v, want an UnavailableError", err)
	}
	if calls != 3 {
		t.Errorf("%d attempts, want the first and 2", calls)
	}
	// Five calls earn one repetition, and they are made whatever is left.
	c.budget.left = 0
	calls = 0
	for range 5 {
		if err := c.Do(t.Context(), Call{Method: http.MethodGet, Path: "/"}, nil); !errors.As(err, &unavailable) {
			t.Errorf("err = %v, want an UnavailableError", err)
		}
	}
	if calls != 6 {
		t.Errorf("%d attempts, want 5 and 1", calls)
	}
}

func TestAServiceThatHangsTakesNoMoreThanItsShare(t *testing.T) {
	release := make(chan struct{})
	c := made(t, func(http.ResponseWriter, *http.Request) { <-release })
	c.turns = make(chan struct{}, 2)
	call := func() error { return c.Do(t.Context(), Call{Method: http.MethodGet, Path: "/"}, nil) }
	var group sync.WaitGroup
	for range 2 {
		group.Go(func() {
			if err := call(); err != nil {
				t.Error(err)
			}
		})
	}
	for len(c.turns) < 2 {
		time.Sleep(time.Millisecond)
	}
	began := time.Now()
	var unavailable *UnavailableError
	if err := call(); !errors.As(err, &unavailable) {
		t.Errorf("err = %v, want an UnavailableError", err)
	}
	if waited := time.Since(began); waited < queueing || waited > attemptTimeout {
		t.Errorf("a call waited %s for its turn, want %s", waited, queueing)
	}
	close(release)
	group.Wait()
	if err := call(); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}
