package proxy

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// headerLimit is how long a client may take to send the head of a request.
	headerLimit = time.Minute
	// keepAlive is how long a client's connection may wait for the next request.
	keepAlive = 5 * time.Minute
	// maxSent is how often a request is sent that may have reached a replica.
	maxSent = 3
)

// web passes on requests.
type web struct {
	pool     *pool
	relay    *relay
	open     *gauge
	server   *http.Server
	clients  *handover
	retiring atomic.Bool // clients are asked to connect again
}

func newWeb(p *pool, r *relay, open *gauge) *web {
	w := &web{pool: p, relay: r, open: open, clients: newHandover()}
	quiet := log.New(io.Discard, "", 0)
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	w.server = &http.Server{
		Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if w.retiring.Load() {
				rw.Header().Set("Connection", "close")
			}
			if r.ProtoMajor == 1 && r.Body != http.NoBody {
				// A replica may answer while the client still sends.
				_ = http.NewResponseController(rw).EnableFullDuplex()
			}
			w.forward(rw, r)
		}),
		ReadHeaderTimeout: headerLimit,
		IdleTimeout:       keepAlive,
		Protocols:         protocols,
		ErrorLog:          quiet,
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateClosed || state == http.StateHijacked {
				open.done()
			}
		},
	}
	go func() { _ = w.server.Serve(w.clients) }() // ends with shutdown
	return w
}

// serve serves a client's connection. It is counted as open already.
func (w *web) serve(client *net.TCPConn) {
	w.pool.rest.connections.Add(1)
	select {
	case w.clients.connections <- client:
	case <-w.clients.closed:
		_ = client.Close()
		w.open.done()
	}
}

// shutdown ends the clients' connections, each after the request that it carries.
func (w *web) shutdown() { _ = w.server.Shutdown(context.Background()) }

// send sends a request to a replica, and to another one as long as that is safe. With
// an answer the request to its endpoint is open. early gets what comes before it.
func (w *web) send(r *http.Request, early func(*http.Response)) (*http.Response, *endpoint, error) {
	began := time.Now()
	content := &body{source: r.Body}
	for sent := 1; ; {
		e, to, err := w.pool.take(r.Context(), localAddress(r).Port(), began.Add(w.pool.holdLimit))
		if err != nil {
			w.pool.rest.requests.Add(1)
			w.pool.rest.failures.Add(1)
			return nil, nil, err
		}
		response, err := e.upstream.roundTrip(addressed(r, to, content), to, early)
		if err == nil {
			w.pool.worked(e)
			e.answered(response, time.Since(began))
			return response, e, nil
		}
		var unreached *unreachedError
		switch {
		case r.Context().Err() != nil || content.failed(): // which is the client
			w.pool.release(e)
			return nil, nil, err
		case errors.As(err, &unreached) && !content.isLost():
		case repeatable(r) && sent < maxSent && !content.isLost():
			sent++
		default:
			e.requests.Add(1)
			e.counters.failures.Add(1)
			w.pool.failed(e)
			return nil, nil, err
		}
		w.pool.failed(e)
	}
}

// addressed returns the request as it is sent to an address.
func addressed(r *http.Request, to netip.AddrPort, content *body) *http.Request {
	out := *r
	if r.ProtoMajor == 2 { // Go's transport connects to what the URL says
		url := *r.URL
		url.Scheme, url.Host = "http", to.String()
		out.URL = &url
	}
	if r.Body == nil || r.Body == http.NoBody {
		return &out
	}
	out.Body = content.open()
	out.GetBody = func() (io.ReadCloser, error) {
		if again := content.open(); again != nil {
			return again, nil
		}
		return nil, errSentAgain
	}
	return &out
}

// answered counts an answer that has begun.
func (e *endpoint) answered(response *http.Response, after time.Duration) {
	e.requests.Add(1)
	e.waited(after)
	if response.StatusCode >= http.StatusInternalServerError {
		e.serverErrors.Add(1)
	}
}

// repeatable reports whether a request may be sent again that a replica may have
// received: it has a safe method (RFC 9110, 9.2.1) or an Idempotency-Key. PUT and
// DELETE are idempotent by the book, but not in every application.
func repeatable(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return r.Header.Get("Idempotency-Key") != ""
}

// refuse answers a request that no replica has answered.
func refuse(rw http.ResponseWriter, r *http.Request, err error) {
	status := http.StatusBadGateway
	switch {
	case errors.Is(err, errHeldTooLong), errors.Is(err, errTooManyHeld):
		status = http.StatusServiceUnavailable
		rw.Header().Set("Retry-After", "1")
	case r.Context().Err() != nil:
		panic(http.ErrAbortHandler) // nobody is there to be answered
	}
	http.Error(rw, "tend ingress: "+http.StatusText(status), status)
}

// localAddress is the address that a request came in at.
func localAddress(r *http.Request) netip.AddrPort {
	return r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr).AddrPort()
}

// handover is a listener of connections that were accepted elsewhere.
type handover struct {
	connections chan net.Conn
	closed      chan struct{}
	close       func()
}

func newHandover() *handover {
	closed := make(chan struct{})
	return &handover{
		connections: make(chan net.Conn),
		closed:      closed,
		close:       sync.OnceFunc(func() { close(closed) }),
	}
}

// Accept implements net.Listener.
func (h *handover) Accept() (net.Conn, error) {
	select {
	case c := <-h.connections:
		return c, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (h *handover) Close() error {
	h.close()
	return nil
}

// Addr implements net.Listener.
func (h *handover) Addr() net.Addr { return &net.TCPAddr{} }
