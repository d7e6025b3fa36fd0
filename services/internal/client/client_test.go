package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"

	"go.uber.org/zap"

	"github.com/tendhq/tend/services/internal/client"
	"github.com/tendhq/tend/services/internal/httpx"
	"github.com/tendhq/tend/services/internal/logging"
	"github.com/tendhq/tend/services/internal/metrics"
)

func issue(_ context.Context, target string) (string, error) { return "for-" + target, nil }

// serve answers with the statuses in turn, the last one for good.
func serve(t *testing.T, check func(*http.Request), statuses ...int) (*client.Client, *atomic.Int64) {
	t.Helper()
	var calls atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := int(calls.Add(1))
		check(r)
		w.WriteHeader(statuses[min(n, len(statuses))-1])
		_ = json.NewEncoder(w).Encode(httpx.Problem{Detail: "because"})
	}))
	t.Cleanup(server.Close)
	base, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	c := client.New("payment-service", base, issue, metrics.New("test"), zap.NewNop())
	t.Cleanup(c.Close)
	return c, &calls
}

var pay = client.Call{Method: http.MethodPost, Path: "/api/payments", IdempotencyKey: "k", Body: map[string]int{"amount": 1}}

func TestACallIsRepeatedWithItsKeyUntilAnAnswerComes(t *testing.T) {
	c, calls := serve(t, func(r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || string(body) != `{"amount":1}` || r.Header.Get("Idempotency-Key") != "k" {
			t.Errorf("body = %s, %v, key = %q", body, err, r.Header.Get("Idempotency-Key"))
		}
	}, http.StatusServiceUnavailable, http.StatusTooManyRequests, http.StatusOK)
	var result struct{ Detail string }
	if err := c.Do(t.Context(), pay, &result); err != nil || result.Detail != "because" {
		t.Errorf("result = %+v, err = %v", result, err)
	}
	if calls.Load() != 3 {
		t.Errorf("%d calls, want 3", calls.Load())
	}
}

func TestTheNumberOfAttemptsIsBounded(t *testing.T) {
	c, calls := serve(t, func(*http.Request) {}, http.StatusBadGateway)
	var unavailable *client.UnavailableError
	if err := c.Do(t.Context(), pay, nil); !errors.As(err, &unavailable) {
		t.Errorf("err = %v, want an UnavailableError", err)
	}
	if calls.Load() != 8 {
		t.Errorf("%d calls, want 8", calls.Load())
	}
}

func TestARefusalIsNotRepeated(t *testing.T) {
	c, calls := serve(t, func(*http.Request) {}, http.StatusConflict)
	var refusal *client.StatusError
	var unavailable *client.UnavailableError
	err := c.Do(t.Context(), pay, nil)
	if !errors.As(err, &refusal) || refusal.Status != http.StatusConflict || refusal.Detail != "because" || errors.As(err, &unavailable) {
		t.Errorf("err = %v, want a StatusError 409", err)
	}
	if calls.Load() != 1 {
		t.Errorf("%d calls, want 1", calls.Load())
	}
}

func TestACallPassesOnIDsAndAServiceToken(t *testing.T) {
	c, _ := serve(t, func(r *http.Request) {
		if got := r.Header.Get("Authorization"); got != "Bearer for-payment-service" {
			t.Errorf("Authorization = %q", got)
		}
		if r.Header.Get("X-Request-ID") != "r1" || r.Header.Get("X-Correlation-ID") != "c1" {
			t.Errorf("header = %v", r.Header)
		}
	}, http.StatusOK)
	ctx := logging.NewContext(t.Context(), zap.NewNop(), logging.IDs{RequestID: "r1", CorrelationID: "c1"})
	if err := c.Do(ctx, pay, nil); err != nil {
		t.Error(err)
	}
}
