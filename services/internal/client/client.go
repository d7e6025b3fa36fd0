// Package client calls other services over HTTP.
package client

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/cenkalti/backoff/v5"
	"go.uber.org/zap"

	"github.com/tendhq/tend/services/internal/auth"
	"github.com/tendhq/tend/services/internal/breaker"
	"github.com/tendhq/tend/services/internal/httpx"
	"github.com/tendhq/tend/services/internal/logging"
	"github.com/tendhq/tend/services/internal/metrics"
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

// Client calls one service, with tokens of the calling service's own.
type Client struct {
	target   string
	base     *url.URL
	issue    Issue
	metrics  *metrics.Metrics
	http     *http.Client
	replicas replicas
	breaker  *breaker.Breaker
	turns    chan struct{} // has one for each call in flight
	budget   budget
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
		target: target, base: base, issue: issue, metrics: m,
		http: &http.Client{
			Transport:     transport,
			Timeout:       attemptTimeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		replicas: replicas{host: base.Hostname(), port: port, lookup: net.DefaultResolver.LookupHost},
		breaker:  breaker.New(target, breaker.Service, unanswered, m.Registerer, log),
		turns:    make(chan struct{}, inFlight),
		budget:   budget{left: maxBudget},
	}
}

// unanswered reports whether a call failed for want of an answer.
func unanswered(err error) bool {
	var unavailable *UnavailableError
	return errors.As(err, &unavailable)
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
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Call is one call. It must be idempotent, by its method or by IdempotencyKey,
// because it is repeated when no answer comes.
type Call struct {
	Method, Path   string
	IdempotencyKey string
	Body           any
}

// Do makes the call and decodes the answer into result, unless that is nil. A
// refusal is a *StatusError. No answer in time, or only 429 and 5xx, is an
// *UnavailableError, and so is an open circuit breaker.
//
// It tries several times, with growing and random pauses, each time at another
// replica. The breaker stands around that: it counts calls that all attempts
// could not save.
func (c *Client) Do(ctx context.Context, call Call, result any) error {
	var body []byte
	if call.Body != nil {
		var err error
		if body, err = json.Marshal(call.Body); err != nil {
			return fmt.Errorf("call %s: %w", c.target, err)
		}
	}
	leave, err := c.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	response, err := c.breaker.Do(func() ([]byte, error) { return c.try(ctx, call, body) })
	var open *breaker.OpenError
	if errors.As(err, &open) {
		return &UnavailableError{Service: c.target, Err: err}
	}
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

// enter waits for the call's turn, and returns what ends it.
func (c *Client) enter(ctx context.Context) (leave func(), err error) {
	timer := time.NewTimer(queueing)
	defer timer.Stop()
	select {
	case c.turns <- struct{}{}:
		return func() { <-c.turns }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("call %s: %w", c.target, ctx.Err())
	case <-timer.C:
		return nil, &UnavailableError{Service: c.target, Err: fmt.Errorf("%d calls are under way already", inFlight)}
	}
}

// try makes attempts until one is answered. That the caller has left, or gave no
// attempt the time it takes to fail, is a *breaker.CallerError.
func (c *Client) try(ctx context.Context, call Call, body []byte) ([]byte, error) {
	c.budget.earn()
	var failure *UnavailableError // of the last attempt that failed on its own
	response, err := backoff.Retry(ctx, func() ([]byte, error) {
		response, err := c.attempt(ctx, call, body)
		if ctx.Err() == nil {
			errors.As(err, &failure)
		}
		var permanent *backoff.PermanentError
		if err != nil && !errors.As(err, &permanent) && !c.budget.spend() {
			err = backoff.Permanent(err)
		}
		return response, err
	}, backoff.WithBackOff(newPauses()), backoff.WithMaxTries(attempts), backoff.WithMaxElapsedTime(patience))
	switch {
	case err == nil || ctx.Err() == nil:
		return response, err
	case failure != nil && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return nil, failure
	}
	return nil, &breaker.CallerError{Err: fmt.Errorf("call %s: %w", c.target, err)}
}

func (c *Client) attempt(ctx context.Context, call Call, body []byte) ([]byte, error) {
	request, err := c.request(ctx, call, body)
	if err != nil {
		return nil, backoff.Permanent(err)
	}
	chosen, err := c.replicas.acquire(ctx)
	if err != nil {
		return nil, &UnavailableError{Service: c.target, Err: err}
	}
	request.URL.Host = chosen.address
	start := time.Now()
	status, content, err := c.roundTrip(request)
	c.metrics.ObserveCall(c.target, call.Method, status, time.Since(start))
	c.replicas.release(chosen, ctx.Err() == nil && (err != nil || status >= 500))
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
	request, err := http.NewRequestWithContext(ctx, call.Method, c.base.String()+call.Path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("call %s: %w", c.target, err)
	}
	if c.issue != nil {
		token, err := c.issue(ctx, c.target)
		if err != nil {
			return nil, err
		}
		request.Header.Set("Authorization", "Bearer "+token)
	}
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
