package proxy

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// idleLimit is how long a connection to a replica is kept for the next request. Servers
// close idle ones after 2 s and more; whoever sends on one just then does not know
// whether the request arrived.
const idleLimit = time.Second

// sendEnd is how long the sending of a request may take to end when the answer has ended
// or the connection is closed.
const sendEnd = 100 * time.Millisecond

// errSending reports that a request is still being sent, as its client has not delivered
// it or its replica does not read it.
var errSending = errors.New("the request is still being sent")

// upstream is the connections to one endpoint that requests are sent on. They are its
// own, so that none is ever used for another replica with the same address.
type upstream struct {
	counters *counters
	http2    *http.Transport

	mu     sync.Mutex
	idle   map[netip.AddrPort][]*upstreamConn // the one used last is the last one
	sweeps bool                               // some day they are looked at again
}

func newUpstream(c *counters) *upstream {
	u := &upstream{counters: c, idle: map[netip.AddrPort][]*upstreamConn{}}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	u.http2 = &http.Transport{
		Protocols:          protocols,
		DisableCompression: true,
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			to, err := netip.ParseAddrPort(address)
			if err != nil {
				return nil, err
			}
			conn, err := u.dial(ctx, to)
			if err != nil {
				return nil, err
			}
			return conn, nil
		},
	}
	return u
}

// roundTrip sends a request in the version that the client has sent it in: a client
// that speaks HTTP/2 without TLS would speak it to the replica.
func (u *upstream) roundTrip(r *http.Request, to netip.AddrPort, early func(*http.Response)) (*http.Response, error) {
	if r.ProtoMajor == 2 {
		return u.http2.RoundTrip(r)
	}
	conn := u.take(to)
	if conn == nil {
		var err error
		if conn, err = u.dial(r.Context(), to); err != nil {
			return nil, err
		}
	}
	return conn.roundTrip(r, early)
}

func (u *upstream) dial(ctx context.Context, to netip.AddrPort) (*upstreamConn, error) {
	d := net.Dialer{Timeout: dialTimeout}
	conn, err := d.DialContext(ctx, "tcp", to.String())
	if err != nil {
		return nil, &unreachedError{err}
	}
	c := &upstreamConn{TCPConn: conn.(*net.TCPConn), upstream: u, to: to}
	c.reader, c.writer = bufio.NewReader(c), bufio.NewWriter(c)
	c.raw, err = c.SyscallConn()
	return c, err
}

// take returns a connection that waits for a request, and nil where there is none.
func (u *upstream) take(to netip.AddrPort) *upstreamConn {
	for {
		u.mu.Lock()
		idle := u.idle[to]
		if len(idle) == 0 {
			u.mu.Unlock()
			return nil
		}
		c := idle[len(idle)-1]
		u.idle[to] = idle[:len(idle)-1]
		u.mu.Unlock()
		if time.Since(c.since) < idleLimit && c.silent() {
			return c
		}
		_ = c.Close()
	}
}

// giveBack keeps a connection for the next request.
func (u *upstream) giveBack(c *upstreamConn) {
	u.mu.Lock()
	defer u.mu.Unlock()
	c.since = time.Now()
	u.idle[c.to] = append(u.idle[c.to], c)
	if !u.sweeps {
		u.sweeps = true
		time.AfterFunc(idleLimit, u.sweep)
	}
}

// sweep closes the connections that have waited too long.
func (u *upstream) sweep() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.sweeps = false
	for to, idle := range u.idle {
		old := 0
		for old < len(idle) && time.Since(idle[old].since) >= idleLimit {
			_ = idle[old].Close()
			old++
		}
		if old == len(idle) {
			delete(u.idle, to)
			continue
		}
		u.idle[to] = append([]*upstreamConn(nil), idle[old:]...)
		u.sweeps = true
	}
	if u.sweeps {
		time.AfterFunc(idleLimit, u.sweep)
	}
}

// closeIdle closes the connections that carry no request.
func (u *upstream) closeIdle() {
	u.http2.CloseIdleConnections()
	u.mu.Lock()
	defer u.mu.Unlock()
	for to, idle := range u.idle {
		for _, c := range idle {
			_ = c.Close()
		}
		delete(u.idle, to)
	}
}

// unreachedError is the error of a request that did not reach its replica.
type unreachedError struct{ error }

func (e *unreachedError) Unwrap() error { return e.error }

// upstreamConn is a connection to a replica that carries one request after the other,
// each in the goroutine of its client: Go's own transport has two more for each.
type upstreamConn struct {
	*net.TCPConn
	raw      syscall.RawConn
	upstream *upstream
	to       netip.AddrPort
	reader   *bufio.Reader
	writer   *bufio.Writer
	written  int64     // bytes, of the request under way
	since    time.Time // it is idle since
}

func (c *upstreamConn) Read(b []byte) (int, error) {
	n, err := c.TCPConn.Read(b)
	c.upstream.counters.bytesOut.Add(int64(n))
	return n, err
}

func (c *upstreamConn) Write(b []byte) (int, error) {
	n, err := c.TCPConn.Write(b)
	c.written += int64(n)
	c.upstream.counters.bytesIn.Add(int64(n))
	return n, err
}

// silent reports whether the replica has sent nothing, as the end, since its answer.
func (c *upstreamConn) silent() bool {
	silent := false
	err := c.raw.Read(func(fd uintptr) bool {
		var next [1]byte
		_, _, err := unix.Recvfrom(int(fd), next[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		silent = err == unix.EAGAIN
		return true
	})
	return err == nil && silent
}

// roundTrip sends a request and reads the answer up to its body.
func (c *upstreamConn) roundTrip(r *http.Request, early func(*http.Response)) (*http.Response, error) {
	c.written = 0
	forget := context.AfterFunc(r.Context(), func() { _ = c.Close() })
	x := &exchange{upstreamConn: c, forget: forget, sent: make(chan error, 1)}
	if r.Body == nil || r.Body == http.NoBody {
		x.sent <- c.send(r)
	} else {
		go func() { x.sent <- c.send(r) }() // the replica may answer before it has read everything
	}
	response, err := c.receive(r, early)
	if err != nil {
		return nil, x.fail(err)
	}
	x.reusable = !response.Close
	x.body = response.Body
	response.Body = x
	return response, nil
}

func (c *upstreamConn) send(r *http.Request) error {
	if err := r.Write(c.writer); err != nil {
		return err
	}
	return c.writer.Flush()
}

// receive reads the head of the answer.
func (c *upstreamConn) receive(r *http.Request, early func(*http.Response)) (*http.Response, error) {
	for {
		response, err := http.ReadResponse(c.reader, r)
		if err != nil {
			return nil, err
		}
		if response.StatusCode >= http.StatusOK || response.StatusCode == http.StatusSwitchingProtocols {
			return response, nil
		}
		if response.StatusCode != http.StatusContinue { // which the server says itself
			early(response)
		}
	}
}

// exchange is the body of an answer. When it has ended well, the connection can carry
// the next request.
type exchange struct {
	*upstreamConn
	body     io.ReadCloser
	forget   func() bool
	sent     chan error // tells once what came of the request
	reusable bool
	ended    bool // all of the body was read
}

// fail ends an exchange that has no answer.
func (x *exchange) fail(err error) error {
	x.forget()
	_ = x.Conn().Close()
	sendErr := x.awaitSent()
	err = errors.Join(sendErr, err)
	if sendErr != nil && !errors.Is(sendErr, errSending) && x.written == 0 {
		return &unreachedError{err}
	}
	return err
}

// awaitSent returns what came of the request, or [errSending].
func (x *exchange) awaitSent() error {
	timer := time.NewTimer(sendEnd)
	defer timer.Stop()
	select {
	case err := <-x.sent:
		return err
	case <-timer.C:
		return errSending
	}
}

// Conn returns the connection.
func (x *exchange) Conn() *net.TCPConn { return x.TCPConn }

// Read implements io.Reader.
func (x *exchange) Read(p []byte) (int, error) {
	n, err := x.body.Read(p)
	if err == io.EOF {
		x.ended = true
	}
	return n, err
}

// Close implements io.Closer.
func (x *exchange) Close() error {
	if !x.forget() || !x.reusable || !x.ended || x.reader.Buffered() > 0 {
		return x.Conn().Close()
	}
	select {
	case err := <-x.sent:
		x.keep(err)
	default: // the replica has answered before it has read everything, or just after
		go func() { x.keep(x.awaitSent()) }()
	}
	return nil
}

// keep keeps the connection if the request was sent.
func (x *exchange) keep(err error) {
	if err != nil {
		_ = x.Conn().Close()
		return
	}
	x.upstream.giveBack(x.upstreamConn)
}

// instant reports whether reading the body would not wait.
func (x *exchange) instant() bool { return x.reader.Buffered() > 0 }
