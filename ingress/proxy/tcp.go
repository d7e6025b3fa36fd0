package proxy

import (
	"context"
	"net"
	"time"
)

// dialTimeout is how long a replica on a network of this machine may take to take a
// connection: as long as the kernel waits before it repeats itself.
const dialTimeout = time.Second

// tcp passes connections on as they are.
type tcp struct {
	pool  *pool
	relay *relay
	open  *gauge
}

// serve passes a client's connection to a replica.
func (t *tcp) serve(client *net.TCPConn) {
	began := time.Now()
	e, replica, err := connect(context.Background(), t.pool, client.LocalAddr(), began, t.greeting(client))
	if err != nil {
		t.pool.rest.connections.Add(1)
		t.pool.rest.failures.Add(1)
		_ = client.Close()
		t.open.done()
		return
	}
	e.counters.connections.Add(1)
	e.waited(time.Since(began))
	end := func() {
		t.pool.release(e)
		t.open.done()
	}
	if err := t.relay.join(client, replica, &e.bytesIn, &e.bytesOut, end); err != nil {
		e.counters.failures.Add(1)
		end()
	}
}

// greeting is what a connection to a replica begins with.
func (t *tcp) greeting(client *net.TCPConn) []byte {
	if !t.pool.proxyProtocol() {
		return nil
	}
	return proxyHeader(client.RemoteAddr().(*net.TCPAddr).AddrPort(), client.LocalAddr().(*net.TCPAddr).AddrPort())
}

// connect connects to an endpoint, on behalf of a client that came in at local. The
// connection counts as open. One that fails is followed by another, until the client
// has waited long enough.
func connect(ctx context.Context, p *pool, local net.Addr, began time.Time, greeting []byte) (*endpoint, *net.TCPConn, error) {
	deadline := began.Add(p.holdLimit)
	for {
		e, address, err := p.take(ctx, local.(*net.TCPAddr).Port, deadline)
		if err != nil {
			return nil, nil, err
		}
		replica, err := dial(ctx, address)
		if err == nil && len(greeting) > 0 {
			if _, err = replica.Write(greeting); err != nil {
				_ = replica.Close()
			}
		}
		if err == nil {
			p.worked(e)
			return e, replica, nil
		}
		p.failed(e)
	}
}

func dial(ctx context.Context, address string) (*net.TCPConn, error) {
	d := net.Dialer{Timeout: dialTimeout}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return conn.(*net.TCPConn), nil
}
