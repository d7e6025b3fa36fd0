package proxy

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// idleLimit is how long a connection to a replica is kept for the next request. Servers
// close idle ones after 2 s and more; whoever sends on one just then does not know
// whether the request arrived.
const idleLimit = time.Second

// upstream is the connections to one endpoint that requests are sent on. They are its
// own, so that none is ever used for another replica with the same address.
type upstream struct {
	http1, http2 *http.Transport
}

func newUpstream(c *counters) upstream {
	u := upstream{http1: newTransport(c), http2: newTransport(c)}
	u.http2.Protocols = new(http.Protocols)
	u.http2.Protocols.SetUnencryptedHTTP2(true)
	return u
}

// RoundTrip sends a request in the version that the client has sent it in: a client
// that speaks HTTP/2 without TLS would speak it to the replica.
func (u upstream) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.ProtoMajor == 2 {
		return u.http2.RoundTrip(r)
	}
	return u.http1.RoundTrip(r)
}

func newTransport(c *counters) *http.Transport {
	return &http.Transport{
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			d := net.Dialer{Timeout: dialTimeout}
			conn, err := d.DialContext(ctx, "tcp", address)
			if err != nil {
				return nil, &unreachedError{err}
			}
			return &countingConn{TCPConn: conn.(*net.TCPConn), in: &c.bytesIn, out: &c.bytesOut}, nil
		},
		DisableCompression:  true,
		MaxIdleConnsPerHost: 1 << 16,
		IdleConnTimeout:     idleLimit,
	}
}

// closeIdle closes the connections that carry no request.
func (u upstream) closeIdle() {
	u.http1.CloseIdleConnections()
	u.http2.CloseIdleConnections()
}

// unreachedError is the error of a request that did not reach its replica.
type unreachedError struct{ error }

func (e *unreachedError) Unwrap() error { return e.error }

// countingConn counts the bytes of a connection to a replica.
type countingConn struct {
	*net.TCPConn
	in, out *atomic.Int64
}

func (c *countingConn) Read(b []byte) (int, error) {
	n, err := c.TCPConn.Read(b)
	c.out.Add(int64(n))
	return n, err
}

func (c *countingConn) Write(b []byte) (int, error) {
	n, err := c.TCPConn.Write(b)
	c.in.Add(int64(n))
	return n, err
}
