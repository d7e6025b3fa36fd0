package proxy

import (
	"context"
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

// connect returns a connection to send a request on.
func (u *upstream) connect(ctx context.Context, to netip.AddrPort) (*upstreamConn, error) {
	if c := u.take(to); c != nil {
		return c, nil
	}
	return u.dial(ctx, to)
}

func (u *upstream) dial(ctx context.Context, to netip.AddrPort) (*upstreamConn, error) {
	d := net.Dialer{Timeout: dialTimeout}
	conn, err := d.DialContext(ctx, "tcp", to.String())
	if err != nil {
		return nil, &unreachedError{err}
	}
	c := &upstreamConn{TCPConn: conn.(*net.TCPConn), upstream: u, to: to}
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
