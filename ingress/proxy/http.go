package proxy

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
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
	proxy := &httputil.ReverseProxy{
		Rewrite:       rewrite,
		Transport:     w,
		FlushInterval: -1, // what a replica has sent is meant to arrive
		BufferPool:    &buffers{},
		ErrorHandler:  w.refuse,
		ErrorLog:      quiet,
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	w.server = &http.Server{
		Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if w.retiring.Load() {
				rw.Header().Set("Connection", "close")
			}
			if r.ProtoMajor == 1 {
				// A replica may answer while the client still sends.
				_ = http.NewResponseController(rw).EnableFullDuplex()
				if upgradeOf(r.Header) != "" {
					w.upgrade(rw, r)
					return
				}
			}
			proxy.ServeHTTP(rw, r)
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

// rewrite leaves a request as it came, and tells the replica whom it came from.
func rewrite(r *httputil.ProxyRequest) {
	r.Out.URL.RawQuery = r.In.URL.RawQuery
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		if values, ok := r.In.Header[name]; ok {
			r.Out.Header[name] = values
		}
	}
	forward(r.Out.Header, r.In)
}

// forward tells whom a request came from. What a proxy before this one said stays:
// to the replica it is as near as it was when the port was its own.
func forward(header http.Header, r *http.Request) {
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		header["X-Forwarded-For"] = append(header["X-Forwarded-For"][:len(header["X-Forwarded-For"]):len(header["X-Forwarded-For"])], host)
	}
	if header["X-Forwarded-Host"] == nil {
		header["X-Forwarded-Host"] = []string{r.Host}
	}
	if header["X-Forwarded-Proto"] == nil {
		header["X-Forwarded-Proto"] = []string{"http"}
	}
}

// RoundTrip sends a request to a replica, and to another one as long as that is safe.
func (w *web) RoundTrip(r *http.Request) (*http.Response, error) {
	began := time.Now()
	content := &body{source: r.Body}
	for sent := 1; ; {
		e, address, err := w.pool.take(r.Context(), localAddress(r).Port(), began.Add(w.pool.holdLimit))
		if err != nil {
			w.pool.rest.requests.Add(1)
			w.pool.rest.failures.Add(1)
			return nil, err
		}
		response, err := e.upstream.RoundTrip(addressed(r, address.String(), content))
		if err == nil {
			w.pool.worked(e)
			e.answered(response, time.Since(began))
			return w.counted(response, e), nil
		}
		var unreached *unreachedError
		switch {
		case r.Context().Err() != nil || content.failed(): // which is the client
			w.pool.release(e)
			return nil, err
		case errors.As(err, &unreached):
		case repeatable(r) && sent < maxSent && !content.isLost():
			sent++
		default:
			e.requests.Add(1)
			e.counters.failures.Add(1)
			w.pool.failed(e)
			return nil, err
		}
		w.pool.failed(e)
	}
}

// addressed returns the request as it is sent to an address.
func addressed(r *http.Request, address string, content *body) *http.Request {
	out, url := *r, *r.URL
	url.Scheme, url.Host = "http", address
	out.URL = &url
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

// counted keeps the request to e open until its answer has ended.
func (w *web) counted(response *http.Response, e *endpoint) *http.Response {
	if response.Body == http.NoBody {
		w.pool.release(e)
		return response
	}
	response.Body = &answer{ReadCloser: response.Body, end: sync.OnceFunc(func() { w.pool.release(e) })}
	return response
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
func (w *web) refuse(rw http.ResponseWriter, r *http.Request, err error) {
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

// answer is an answer's body whose end is the end of the request.
type answer struct {
	io.ReadCloser
	end func()
}

func (a *answer) Close() error {
	defer a.end()
	return a.ReadCloser.Close()
}

// buffers lends the buffers that answers are copied with.
type buffers struct{ pool sync.Pool }

func (b *buffers) Get() []byte {
	if buffer, ok := b.pool.Get().(*[]byte); ok {
		return *buffer
	}
	return make([]byte, 32<<10)
}

func (b *buffers) Put(buffer []byte) { b.pool.Put(&buffer) }

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
