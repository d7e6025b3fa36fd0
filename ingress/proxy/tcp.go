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
	e, replica, err := t.connect(client, began)
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

// connect connects to an endpoint for a client that came in at an address. The
// connection counts as open. One that fails is followed by another, until the client has
// waited long enough.
func (t *tcp) connect(client *net.TCPConn, began time.Time) (*endpoint, int, error) {
	local := client.LocalAddr().(*net.TCPAddr).AddrPort()
	for {
		e, to, err := t.pool.take(context.Background(), local.Port(), began.Add(t.pool.holdLimit))
		if err != nil {
			return nil, 0, err
		}
		replica, err := t.dial(client, local, to)
		if err == nil {
			t.pool.worked(e)
			return e, replica, nil
		}
		t.pool.failed(e)
	}
}
