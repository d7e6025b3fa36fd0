package proxy

import (
	"bytes"
	"errors"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
)

// http2 passes on requests in HTTP/2, between a server and transports of net/http's.
type http2 struct {
	*web
	server  *http.Server
	clients *handover
}

func newHTTP2(w *web) *http2 {
	h := &http2{web: w, clients: newHandover()}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	h.server = &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerLimit,
		IdleTimeout:       keepAlive,
		Protocols:         protocols,
		ErrorLog:          log.New(io.Discard, "", 0),
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateClosed {
				w.open.done()
			}
		},
	}
	go func() { _ = h.server.Serve(h.clients) }() // ends with its Shutdown
	return h
}

// serve serves a client's connection of which something was read.
func (h *http2) serve(conn *net.TCPConn, read []byte) {
	select {
	case h.clients.connections <- &begun{conn, io.MultiReader(bytes.NewReader(read), conn)}:
	case <-h.clients.closed:
		_ = conn.Close()
		h.open.done()
	}
}

// begun is a connection of which something was read before.
type begun struct {
	net.Conn
	reader io.Reader
}

func (b *begun) Read(p []byte) (int, error) { return b.reader.Read(p) }

// ServeHTTP passes on a request, and its answer.
func (h *http2) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if h.retiring.Load() {
		rw.Header().Set("Connection", "close") // which HTTP/2 says with GOAWAY
	}
	out := outgoing(r)
	var b *body
	if r.Body != nil && r.Body != http.NoBody {
		b = &body{source: foreign{r.Body}, interrupt: func(bool) {}}
	}
	var response *http.Response
	port := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr).AddrPort().Port()
	e, err := h.send(r.Context(), port, b, repeatable(r), func(e *endpoint, to netip.AddrPort) (status int, err error) {
		if response, err = e.upstream.http2.RoundTrip(addressed(out, to, b)); err != nil { //nolint:bodyclose // it is below
			return 0, err
		}
		return response.StatusCode, nil
	})
	if err != nil {
		refuse(rw, r, err)
		return
	}
	defer h.pool.release(e)
	defer response.Body.Close()
	if err := pass(rw, response); err != nil {
		panic(http.ErrAbortHandler) // so that what is broken off does not look whole
	}
}

// repeatable reports whether a request may be sent again that a replica may have
// received: it has a safe method (RFC 9110, 9.2.1) or an Idempotency-Key. PUT and
// DELETE are idempotent by the book, but not in every application.
func repeatable(r *http.Request) bool {
	return isSafe(r.Method) || r.Header.Get("Idempotency-Key") != ""
}

// addressed returns the request as it is sent to an address.
func addressed(r *http.Request, to netip.AddrPort, b *body) *http.Request {
	out, url := *r, *r.URL
	url.Scheme, url.Host = "http", to.String() // Go's transport connects to what it says
	out.URL = &url
	if b == nil {
		return &out
	}
	out.Body = b.open()
	out.GetBody = func() (io.ReadCloser, error) {
		if again := b.open(); again != nil {
			return again, nil
		}
		return nil, errSentAgain
	}
	return &out
}

// refuse answers a request that no replica has answered.
func refuse(rw http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		panic(http.ErrAbortHandler) // nobody is there to be answered
	}
	status := statusOf(err)
	if status == http.StatusServiceUnavailable {
		rw.Header().Set("Retry-After", "1")
	}
	http.Error(rw, "tend ingress: "+http.StatusText(status), status)
}

// hopByHop are the headers that concern one connection alone (RFC 9110, 7.6.1).
var hopByHop = [...]string{"Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}

// outgoing returns a request as a replica is to get it: as it came, but for what
// concerns the connection to the client, and with whom it came from.
func outgoing(r *http.Request) *http.Request {
	out := *r
	out.Header = maps.Clone(r.Header)
	removeHopByHop(out.Header)
	if strings.EqualFold(r.Header.Get("Te"), "trailers") {
		out.Header["Te"] = []string{"trailers"}
	}
	if out.Header["User-Agent"] == nil {
		out.Header["User-Agent"] = []string{""} // none, instead of Go's
	}
	out.Close = false
	tellClient(out.Header, r)
	return &out
}

// tellClient tells whom a request came from. What a proxy before this one said stays:
// to the replica it is as near as it was when the port was its own.
func tellClient(header http.Header, r *http.Request) {
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		before := header["X-Forwarded-For"]
		header["X-Forwarded-For"] = append(before[:len(before):len(before)], host)
	}
	if header["X-Forwarded-Host"] == nil {
		header["X-Forwarded-Host"] = []string{r.Host}
	}
	if header["X-Forwarded-Proto"] == nil {
		header["X-Forwarded-Proto"] = []string{"http"}
	}
}

func removeHopByHop(header http.Header) {
	for _, option := range connectionOptions(header) {
		header.Del(option)
	}
	for _, name := range hopByHop {
		delete(header, name)
	}
}

func connectionOptions(header http.Header) (options []string) {
	for _, value := range header["Connection"] {
		for option := range strings.SplitSeq(value, ",") {
			options = append(options, strings.TrimSpace(option))
		}
	}
	return options
}

// pass passes on an answer.
func pass(rw http.ResponseWriter, response *http.Response) error {
	removeHopByHop(response.Header)
	header := rw.Header()
	maps.Copy(header, response.Header)
	announced := len(response.Trailer)
	for name := range response.Trailer {
		header["Trailer"] = append(header["Trailer"], name)
	}
	rw.WriteHeader(response.StatusCode)
	if err := passBody(rw, response); err != nil {
		return err
	}
	for name, values := range response.Trailer {
		if len(response.Trailer) != announced { // some were not announced
			name = http.TrailerPrefix + name
		}
		header[name] = values
	}
	return nil
}

// passBody passes on what a replica has sent before it waits for more.
func passBody(rw http.ResponseWriter, response *http.Response) error {
	if response.Body == http.NoBody || response.ContentLength == 0 {
		_, err := response.Body.Read(nil)
		return ignoreEOF(err)
	}
	flush := http.NewResponseController(rw).Flush
	if err := flush(); err != nil {
		return err
	}
	buffer := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buffer)
	for {
		n, err := response.Body.Read(buffer[:])
		if n > 0 {
			if _, err := rw.Write(buffer[:n]); err != nil {
				return err
			}
		}
		if err != nil {
			return ignoreEOF(err) // the server flushes at the end
		}
		if err := flush(); err != nil {
			return err
		}
	}
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// foreign is a body that net/http reads.
type foreign struct{ io.ReadCloser }

func (foreign) instant() bool   { return false }
func (foreign) trailer() []byte { return nil }

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
