package proxy

import (
	"context"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// tcp passes connections on as they are.
type tcp struct {
	pool  *pool
	relay *relay
	open  *gauge
}

// serve passes a client's connection to a replica.
func (t *tcp) serve(client *net.TCPConn) {
	began := time.Now()
	local := client.LocalAddr().(*net.TCPAddr).AddrPort()
	e, replica, err := connect(context.Background(), t.pool, local.Port(), began, func(_ context.Context, to netip.AddrPort) (int, error) {
		return t.dial(client, local, to)
	})
	if err != nil {
		t.pool.rest.connections.Add(1)
		t.pool.rest.failures.Add(1)
		_ = client.Close()
		t.open.done()
		return
	}
	e.counters.connections.Add(1)
	e.waited(time.Since(began))
	t.relay.join(client, replica, &e.counters, func() {
		t.pool.release(e)
		t.open.done()
	})
}

// dial connects to a replica for a client.
func (t *tcp) dial(client *net.TCPConn, local, to netip.AddrPort) (int, error) {
	replica, err := t.relay.dial(to)
	if err != nil || !t.pool.proxyProtocol() {
		return replica, err
	}
	header := proxyHeader(client.RemoteAddr().(*net.TCPAddr).AddrPort(), local)
	if _, err := unix.Write(replica, header); err != nil { // into an empty buffer
		_ = unix.Close(replica)
		return 0, err
	}
	return replica, nil
}

// connect connects to an endpoint for a client that came in at a port. The connection
// counts as open. One that fails is followed by another, until the client has waited
// long enough.
func connect[C any](ctx context.Context, p *pool, port uint16, began time.Time, dial func(context.Context, netip.AddrPort) (C, error)) (*endpoint, C, error) {
	for {
		e, address, err := p.take(ctx, port, began.Add(p.holdLimit))
		if err != nil {
			var none C
			return nil, none, err
		}
		replica, err := dial(ctx, address)
		if err == nil {
			p.worked(e)
			return e, replica, nil
		}
		p.failed(e)
	}
}
