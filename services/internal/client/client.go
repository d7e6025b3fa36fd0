// Package client calls other services over HTTP.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/tendhq/tend/services/internal/auth"
	"github.com/tendhq/tend/services/internal/httpx"
	"github.com/tendhq/tend/services/internal/logging"
	"github.com/tendhq/tend/services/internal/metrics"
)

const (
	attempts       = 3
	attemptTimeout = 4 * time.Second
	maxResponse    = 1 << 20
)

// StatusError is a response that refuses the call.
type StatusError struct {
	Service string
	Status  int
	Detail  string
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("%s answered %d: %s", e.Service, e.Status, e.Detail)
}

// UnavailableError says that a service gave no answer, so that the outcome of
// the call is unknown.
type UnavailableError struct {
	Service string
	Err     error
}

func (e *UnavailableError) Error() string { return e.Service + " unavailable: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *UnavailableError) Unwrap() error { return e.Err }

// Temporary tells callers that trying again later is worthwhile.
func (e *UnavailableError) Temporary() bool { return true }

// Client calls one service, with a token of the calling service's own.
type Client struct {
	caller, target, baseURL string
	tokens                  *auth.Tokens
	metrics                 *metrics.Metrics
	http                    *http.Client
}

// New returns a client of the service target at baseURL.
func New(caller, target, baseURL string, tokens *auth.Tokens, m *metrics.Metrics) *Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil
	transport.MaxIdleConnsPerHost = 32
	// Longer than a database's switch, shorter than the servers' idle timeout,
	// so that a request never meets a connection the server is closing.
	transport.IdleConnTimeout = 30 * time.Second
	return &Client{
		caller: caller, target: target, baseURL: baseURL, tokens: tokens, metrics: m,
		http: &http.Client{
			Transport:     transport,
			Timeout:       attemptTimeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Call is one call. It must be idempotent, by its method or by IdempotencyKey,
// because it is repeated when no answer comes.
type Call struct {
	Method, Path   string
	IdempotencyKey string
	Body           any
}

// Do makes the call and decodes the answer into result, unless that is nil. It
// tries up to three times, with jitter. A refusal is a *StatusError; no answer
// in time, or only 429 and 5xx, is an *UnavailableError.
func (c *Client) Do(ctx context.Context, call Call, result any) error {
	var body []byte
	if call.Body != nil {
		var err error
		if body, err = json.Marshal(call.Body); err != nil {
			return fmt.Errorf("call %s: %w", c.target, err)
		}
	}
	policy := backoff.NewExponentialBackOff()
	policy.InitialInterval = 100 * time.Millisecond
	policy.MaxInterval = time.Second
	response, err := backoff.Retry(ctx, func() ([]byte, error) { return c.attempt(ctx, call, body) },
		backoff.WithBackOff(policy), backoff.WithMaxTries(attempts), backoff.WithMaxElapsedTime(0))
	if err != nil {
		return err
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(response, result); err != nil {
		return fmt.Errorf("answer of %s to %s %s: %w", c.target, call.Method, call.Path, err)
	}
	return nil
}

func (c *Client) attempt(ctx context.Context, call Call, body []byte) ([]byte, error) {
	request, err := c.request(ctx, call, body)
	if err != nil {
		return nil, backoff.Permanent(err)
	}
	start := time.Now()
	status, content, err := c.roundTrip(request)
	c.metrics.ObserveCall(c.target, call.Method, status, time.Since(start))
	switch {
	case err != nil:
		return nil, &UnavailableError{Service: c.target, Err: err}
	case status >= 200 && status < 300:
		return content, nil
	}
	var problem httpx.Problem
	// A body that is no problem document leaves the detail empty; the status says enough.
	_ = json.Unmarshal(content, &problem)
	refusal := &StatusError{Service: c.target, Status: status, Detail: problem.Detail}
	if status == http.StatusTooManyRequests || status >= 500 {
		return nil, &UnavailableError{Service: c.target, Err: refusal}
	}
	return nil, backoff.Permanent(refusal)
}

func (c *Client) request(ctx context.Context, call Call, body []byte) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, call.Method, c.baseURL+call.Path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("call %s: %w", c.target, err)
	}
	token, err := c.tokens.Issue(auth.Identity{Subject: c.caller, Role: auth.Service}, auth.ServiceTokenLifetime)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Accept", "application/json")
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if call.IdempotencyKey != "" {
		request.Header.Set("Idempotency-Key", call.IdempotencyKey)
	}
	ids := logging.IDsFrom(ctx)
	request.Header.Set(httpx.RequestIDHeader, ids.RequestID)
	request.Header.Set(httpx.CorrelationIDHeader, ids.CorrelationID)
	return request, nil
}

// roundTrip returns the status, 0 where no whole answer came, and the body.
func (c *Client) roundTrip(request *http.Request) (int, []byte, error) {
	response, err := c.http.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(io.LimitReader(response.Body, maxResponse))
	if err != nil {
		return 0, nil, fmt.Errorf("read answer: %w", err)
	}
	return response.StatusCode, content, nil
}
