package caddytend

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

func init() {
	caddy.RegisterModule(new(Transport))
}

// errWithdrawn reports that the endpoint was withdrawn between the choice of it
// and the request. As a dial error it lets the proxy choose again.
var errWithdrawn = reverseproxy.NewDialError(errors.New("the endpoint has been withdrawn"))

// Transport is Caddy's HTTP transport, with its options, that refuses to begin
// a request to a withdrawn endpoint, counts the requests to each, and keeps the
// connections of each apart: those of a withdrawn endpoint are closed, and none
// is ever used for another replica with the same address.
type Transport struct {
	reverseproxy.HTTPTransport

	mu          sync.Mutex
	connections map[*endpoint]*http.Transport
}

// CaddyModule implements caddy.Module.
func (*Transport) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.reverse_proxy.transport.tend",
		New: func() caddy.Module { return new(Transport) },
	}
}

// Provision implements caddy.Provisioner.
func (t *Transport) Provision(ctx caddy.Context) error {
	if slices.Contains(t.Versions, "3") {
		return errors.New("transport tend does not speak HTTP/3")
	}
	t.connections = map[*endpoint]*http.Transport{}
	return t.HTTPTransport.Provision(ctx)
}

// Cleanup implements caddy.CleanerUpper.
func (t *Transport) Cleanup() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, connections := range t.connections {
		connections.CloseIdleConnections()
	}
	return t.HTTPTransport.Cleanup()
}

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(request *http.Request) (*http.Response, error) {
	pool, ok := caddyhttp.GetVar(request.Context(), poolVar).(*pool)
	if !ok { // an upstream from elsewhere
		return t.HTTPTransport.RoundTrip(request)
	}
	dial, _ := reverseproxy.GetDialInfo(request.Context())
	target := pool.acquire(dial.Address)
	if target == nil {
		return nil, errWithdrawn
	}
	release := sync.OnceFunc(func() { pool.release(target) })

	counted, _ := caddyhttp.GetVar(request.Context(), carriedVar).(*carried)
	counted.tried()
	t.SetScheme(request)
	body := &clientBody{ReadCloser: request.Body}
	if request.Body != nil && request.Body != http.NoBody {
		request = request.WithContext(request.Context()) // a copy, whose body may be replaced
		request.Body = body
	}
	response, err := t.connectionsTo(target).RoundTrip(request)
	switch {
	case err == nil:
		counted.answered(response.StatusCode)
		// It cannot serve now, and says when to come back: others may.
		if response.StatusCode == http.StatusServiceUnavailable && response.Header.Get("Retry-After") != "" {
			pool.avoid(target)
		}
	case body.failed.Load():
		counted.failed(true)
		caddyhttp.SetVar(request.Context(), clientFailedVar, true)
	case errors.Is(err, context.Canceled): // which is the client, too
		counted.failed(true)
	default:
		counted.failed(false)
		pool.avoid(target)
	}
	// A connection that became something else, such as a WebSocket, may last for
	// ever: it is not waited for.
	if err != nil || response.Body == http.NoBody || response.StatusCode == http.StatusSwitchingProtocols {
		release()
		return response, err
	}
	response.Body = &countedBody{ReadCloser: response.Body, release: release}
	return response, nil
}

// connectionsTo returns the connections to e, which are closed once e is gone.
func (t *Transport) connectionsTo(e *endpoint) *http.Transport {
	t.mu.Lock()
	defer t.mu.Unlock()
	connections, ok := t.connections[e]
	if !ok {
		connections = t.Transport.Clone()
		t.connections[e] = connections
		context.AfterFunc(e.gone, func() {
			t.mu.Lock()
			defer t.mu.Unlock()
			delete(t.connections, e)
			connections.CloseIdleConnections()
		})
	}
	return connections
}

// clientBody is a request's body that remembers whether the client failed to
// deliver it. The transport may still read it after RoundTrip has returned.
type clientBody struct {
	io.ReadCloser
	failed atomic.Bool
}

func (b *clientBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		b.failed.Store(true)
	}
	return n, err
}

// countedBody is a response's body whose end is the end of the request.
type countedBody struct {
	io.ReadCloser
	release func()
}

func (b *countedBody) Close() error {
	defer b.release()
	return b.ReadCloser.Close()
}

var (
	_ caddy.Provisioner     = (*Transport)(nil)
	_ caddy.CleanerUpper    = (*Transport)(nil)
	_ caddyfile.Unmarshaler = (*Transport)(nil)
	_ http.RoundTripper     = (*Transport)(nil)
)
