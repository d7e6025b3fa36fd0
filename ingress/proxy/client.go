package proxy

import (
	"context"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// lingerLimit is how long what a client still sends is read when its connection ends.
const lingerLimit = 500 * time.Millisecond

// client is a client's connection. While it waits for a request it belongs to a loop: no
// goroutine waits for it and no buffer belongs to it.
type client struct {
	web  *web
	conn *net.TCPConn
	raw  syscall.RawConn
	fd   int
	loop *loop

	ctx   context.Context // ends when the client goes
	gone  context.CancelFunc
	state atomic.Int32
	since atomic.Int64                 // when it began to wait, in nanoseconds
	used  atomic.Bool                  // it has carried a request
	using atomic.Pointer[upstreamConn] // what its request was sent on
}

// The states of a client.
const (
	waiting int32 = iota // for a request
	served
	woken // served, and something has come since it was last read
	closed
)

// handle implements watcher.
func (c *client) handle(_ *loop, event unix.EpollEvent) {
	if event.Events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		c.gone()
		if conn := c.using.Swap(nil); conn != nil {
			_ = conn.Close()
		}
	}
	if c.state.Swap(woken) == waiting {
		c.web.work(c)
	}
}

// clients lists the clients that belong to a loop.
func (l *loop) clients() (found []*client) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range l.watchers {
		if c, ok := w.watcher.(*client); ok {
			found = append(found, c)
		}
	}
	return found
}

// register has the loop tell when the client sends something.
func (c *client) register() (err error) {
	if c.raw, err = c.conn.SyscallConn(); err != nil {
		return err
	}
	if err := c.raw.Control(func(fd uintptr) { c.fd = int(fd) }); err != nil {
		return err
	}
	c.since.Store(time.Now().UnixNano())
	c.loop.mu.Lock()
	defer c.loop.mu.Unlock()
	return c.loop.watch(c.fd, c, unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLET)
}

// serve answers requests until none is there.
func (c *client) serve(s *session) {
	s.begin(c)
	for {
		c.state.Store(served)
		switch s.turn() {
		case isIdle:
			c.since.Store(time.Now().UnixNano())
			if c.state.CompareAndSwap(served, waiting) {
				return
			}
		case isUnread:
			c.linger()
			return
		case isOver:
			c.close()
			return
		case isElsewhere:
			return
		}
	}
}

// use has a connection to a replica closed when the client goes.
func (c *client) use(conn *upstreamConn) {
	c.using.Store(conn)
	if c.ctx.Err() != nil {
		_ = conn.Close()
	}
}

// release undoes use, and reports whether the client is still there.
func (c *client) release() bool { return c.using.Swap(nil) != nil && c.ctx.Err() == nil }

// leave gives the connection to somebody else.
func (c *client) leave() { c.loop.forget(c.fd) }

// close ends the connection.
func (c *client) close() {
	c.leave()
	c.gone()
	_ = c.conn.Close()
	c.web.open.done()
}

// closeWaiting closes the connection if it waits for a request since longer than a limit.
func (c *client) closeWaiting(limit time.Duration) {
	since := time.Unix(0, c.since.Load())
	if time.Since(since) >= limit && c.state.CompareAndSwap(waiting, closed) {
		c.close()
	}
}

// linger closes a connection whose client may still send. If that was done at once, the
// kernel would reset it, and the client might never see the last answer.
func (c *client) linger() {
	_ = c.conn.CloseWrite()
	_ = c.conn.SetReadDeadline(time.Now().Add(lingerLimit))
	_, _ = io.Copy(io.Discard, c.conn)
	c.close()
}

// interrupt has reading fail, or no longer fail, with [os.ErrDeadlineExceeded].
func (c *client) interrupt(on bool) {
	deadline := time.Time{}
	if on {
		deadline = time.Unix(0, 1)
	}
	_ = c.conn.SetReadDeadline(deadline)
}
