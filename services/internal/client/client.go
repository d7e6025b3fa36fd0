// Package client calls other services, over HTTP and gRPC.
package client

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/tendhq/tend/services/internal/auth"
	"github.com/tendhq/tend/services/internal/httpx"
	"github.com/tendhq/tend/services/internal/metrics"
	"github.com/tendhq/tend/services/internal/tracing"
)

const (
	attempts       = 8
	dialTimeout    = time.Second
	attemptTimeout = 4 * time.Second
	// patience is how long after its begin a call may begin another attempt: with
	// the last one it ends within the time that a service gives a request.
	patience    = 9 * time.Second
	maxResponse = 1 << 20

	// inFlight is how many calls of one service may be under way: a service that hangs
	// takes no more of the caller than that (a bulkhead). It is as many as the gateway has
	// connections, so that it only counts when something is wrong.
	inFlight = 256
	// queueing is how long a call waits for its turn.
	queueing = 500 * time.Millisecond
	// Attempts after the first are paid from a budget, so that callers do not bury a
	// service under repetitions: each call adds a fifth of one, and what is saved is
	// enough for all calls in flight to be repeated through a rolling update.
	budgetPerCall = 0.2
	maxBudget     = float64(attempts * inFlight)
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

// UnavailableError reports that a service gave no answer, so that the outcome of
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

// Issue returns a token by which the calling service calls target.
type Issue func(ctx context.Context, target string) (string, error)

// Client calls one service over HTTP, with tokens of the calling service's own.
type Client struct {
	caller
	base      *url.URL
	transport *http.Transport
	http      *http.Client
}

// New returns a client of the service target at base, an absolute URL. Its
// calls carry no token where issue is nil.
func New(target string, base *url.URL, issue Issue, m *metrics.Metrics, log *zap.Logger) *Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil
	transport.MaxIdleConnsPerHost = 32
	// Longer than a database's switch, shorter than the servers' idle timeout,
	// so that a request never meets a connection the server is closing.
	transport.IdleConnTimeout = 30 * time.Second
	transport.DialContext = (&net.Dialer{Timeout: dialTimeout}).DialContext
	// Requests go to addresses, certificates are for names.
	transport.TLSClientConfig = &tls.Config{ServerName: base.Hostname()}
	port := base.Port()
	if port == "" {
		port = base.Scheme
	}
	return &Client{
		caller: newCaller(target, target, base.Hostname(), port, issue, m, log), base: base, transport: transport,
		http: &http.Client{
			Transport:     traced(transport, target),
			Timeout:       attemptTimeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// traced makes a span of each attempt that belongs to a trace, named after the service: a
// path has ids.
func traced(transport *http.Transport, target string) http.RoundTripper {
	return otelhttp.NewTransport(transport, otelhttp.WithTracerProvider(tracing.OfContext), otelhttp.WithPropagators(tracing.Propagator),
		otelhttp.WithFilter(func(r *http.Request) bool { return trace.SpanContextFromContext(r.Context()).IsValid() }),
		otelhttp.WithSpanNameFormatter(func(_ string, r *http.Request) string { return r.Method + " " + target }),
		otelhttp.WithSpanOptions(trace.WithAttributes(semconv.ServicePeerName(target))))
}

// Keys asks the service for the public keys of its tokens.
func (c *Client) Keys(ctx context.Context) (map[string]ed25519.PublicKey, error) {
	var document json.RawMessage
	if err := c.Do(ctx, Call{Method: http.MethodGet, Path: auth.KeysPath}, &document); err != nil {
		return nil, err
	}
	return auth.ParseKeys(document)
}

// Close closes idle connections.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Call is one call. It must be idempotent, by its method or by IdempotencyKey,
// because it is repeated when no answer comes. A GET is also made at two replicas at the
// same time, where the first one is slow.
type Call struct {
	Method, Path   string
	IdempotencyKey string
	Body           any
}

// Do makes the call and decodes the answer into result, unless that is nil. A
// refusal is a *StatusError. No answer in time, or only 429 and 5xx, is an
// *UnavailableError, and so is an open circuit breaker.
func (c *Client) Do(ctx context.Context, call Call, result any) error {
	request, err := c.request(ctx, call)
	if err != nil {
		return err
	}
	response, err := c.call(ctx, call.Method, call.Method == http.MethodGet, func(ctx context.Context, at *replica) ([]byte, int, error) {
		return c.send(ctx, request, at)
	})
	if err != nil || result == nil {
		return err
	}
	if err := json.Unmarshal(response, result); err != nil {
		return fmt.Errorf("answer of %s to %s %s: %w", c.target, call.Method, call.Path, err)
	}
	return nil
}

// request returns the request that each attempt sends.
func (c *Client) request(ctx context.Context, call Call) (*http.Request, error) {
	var body []byte
	if call.Body != nil {
		var err error
		if body, err = json.Marshal(call.Body); err != nil {
			return nil, fmt.Errorf("call %s: %w", c.target, err)
		}
	}
	request, err := http.NewRequestWithContext(ctx, call.Method, c.base.String()+call.Path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("call %s: %w", c.target, err)
	}
	ids, authorization, err := c.credentials(ctx)
	if err != nil {
		return nil, err
	}
	if authorization != "" {
		request.Header.Set("Authorization", authorization)
	}
	request.Header.Set("Accept", "application/json")
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if call.IdempotencyKey != "" {
		request.Header.Set("Idempotency-Key", call.IdempotencyKey)
	}
	request.Header.Set(httpx.RequestIDHeader, ids.RequestID)
	request.Header.Set(httpx.CorrelationIDHeader, ids.CorrelationID)
	return request, nil
}

// send sends the request to a replica. It is an attempt.
func (c *Client) send(ctx context.Context, request *http.Request, at *replica) ([]byte, int, error) {
	sent := request.Clone(ctx)
	sent.URL.Host = at.address
	var err error
	if sent.Body, err = request.GetBody(); err != nil {
		return nil, 0, err
	}
	status, content, err := c.roundTrip(sent)
	if err != nil || status >= 200 && status < 300 {
		return content, status, err
	}
	var problem httpx.Problem
	// A body that is no problem document leaves the detail empty; the status says enough.
	_ = json.Unmarshal(content, &problem)
	return nil, status, &StatusError{Service: c.target, Status: status, Detail: problem.Detail}
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
