package proxy

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"
)

const (
	// headerLimit is how long a client may take to send the head of a request.
	headerLimit = time.Minute
	// keepAlive is how long a client's connection may wait for the next request.
	keepAlive = 5 * time.Minute
	// firstLimit is how long it may still wait for its first one when the proxy ends.
	firstLimit = time.Second
	// maxIdleWorkers is how many workers wait for a client.
	maxIdleWorkers = 64
	// maxSent is how often a request is sent that may have reached a replica.
	maxSent = 3
)

// web passes on requests.
type web struct {
	pool        *pool
	relay       *relay
	open        *gauge
	http2       *http2
	headerLimit time.Duration
	retiring    atomic.Bool // clients are asked to connect again
	woken       chan *client
	idleWorkers atomic.Int32
}

func newWeb(p *pool, r *relay, open *gauge) *web {
	w := &web{pool: p, relay: r, open: open, headerLimit: headerLimit, woken: make(chan *client)}
	w.http2 = newHTTP2(w)
	go func() {
		for range time.Tick(keepAlive / 20) {
			w.closeWaiting(keepAlive, keepAlive)
		}
	}()
	return w
}

// serve serves a client's connection. It is counted as open already.
func (w *web) serve(conn *net.TCPConn) {
	w.pool.rest.connections.Add(1)
	c := &client{web: w, conn: conn, loop: w.relay.pick()}
	c.ctx, c.gone = context.WithCancel(context.Background())
	if err := c.register(); err != nil {
		c.close()
	}
}

// work has a worker serve a client that has sent something.
func (w *web) work(c *client) {
	select {
	case w.woken <- c:
	default:
		go w.worker(c)
	}
}

// worker serves clients. Some workers wait for the next one, as a new one would first
// have to grow its stack.
func (w *web) worker(c *client) {
	s := newSession()
	for {
		c.serve(s)
		if w.idleWorkers.Add(1) > maxIdleWorkers {
			w.idleWorkers.Add(-1)
			return
		}
		c = <-w.woken
		w.idleWorkers.Add(-1)
	}
}

// closeWaiting closes the connections that wait for a request, or for their first one,
// since longer than a limit.
func (w *web) closeWaiting(limit, first time.Duration) {
	for _, c := range w.clients() {
		if c.used.Load() {
			c.closeWaiting(limit)
		} else {
			c.closeWaiting(first)
		}
	}
}

// clients lists the clients that speak HTTP/1.
func (w *web) clients() (found []*client) {
	for _, l := range w.relay.loops {
		found = append(found, l.clients()...)
	}
	return found
}

// shutdown ends the clients' connections, each after the request that it carries.
func (w *web) shutdown() {
	w.retiring.Store(true)
	go func() { _ = w.http2.server.Shutdown(context.Background()) }()
	for range time.Tick(lastAccepts) { // the process ends with the last one
		w.closeWaiting(0, firstLimit)
	}
}

// send has a request attempted at a replica, and at another one as long as that is safe.
// With an answer, whose status attempt returns, the request to its endpoint is open. body
// is nil where there is none.
func (w *web) send(ctx context.Context, port uint16, b *body, repeatable bool, attempt func(*endpoint, netip.AddrPort) (int, error)) (*endpoint, error) {
	began := time.Now()
	for sent := 1; ; {
		e, to, err := w.pool.take(ctx, port, began.Add(w.pool.holdLimit))
		if err != nil {
			w.pool.rest.requests.Add(1)
			w.pool.rest.failures.Add(1)
			return nil, err
		}
		status, err := attempt(e, to)
		if err == nil {
			w.pool.worked(e)
			e.answered(status, time.Since(began))
			return e, nil
		}
		var unreached *unreachedError
		switch {
		case ctx.Err() != nil || b.failed(): // which is the client
			w.pool.release(e)
			return nil, err
		case errors.As(err, &unreached) && !b.isLost():
		case repeatable && sent < maxSent && !b.isLost():
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

// answered counts an answer that has begun.
func (e *endpoint) answered(status int, after time.Duration) {
	e.requests.Add(1)
	e.waited(after)
	if status >= http.StatusInternalServerError {
		e.serverErrors.Add(1)
	}
}

// statusOf is the status of the answer to a request that no replica has answered.
func statusOf(err error) int {
	if errors.Is(err, errHeldTooLong) || errors.Is(err, errTooManyHeld) {
		return http.StatusServiceUnavailable
	}
	return http.StatusBadGateway
}
