package api

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
)

// peer is the other end of a connection.
type peer struct {
	// name is the address without its port, or the user of the process where it came
	// over the Unix socket.
	name string
	// local is whether it came over the Unix socket, which file permissions guard.
	local bool
}

// loopback is the name of all who come over loopback: any process of the machine can
// choose which of its addresses it comes from.
const loopback = "loopback"

// peerOf returns the peer of a connection. It fails where the kernel does not tell who is
// at the other end of a Unix socket.
func peerOf(c net.Conn) (peer, error) {
	if unix, ok := c.(*net.UnixConn); ok {
		uid, err := userOf(unix)
		return peer{name: fmt.Sprintf("uid %d", uid), local: true}, err
	}
	host, _, err := net.SplitHostPort(c.RemoteAddr().String())
	if ip := net.ParseIP(host); ip.IsLoopback() {
		host = loopback
	}
	return peer{name: host}, err
}

type peerKey struct{}

// withPeer is a http.Server's ConnContext: it has peerFrom return the peer of a
// connection that limitedListener accepted.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	return context.WithValue(ctx, peerKey{}, c.(*countedConn).peer)
}

// peerFrom is the peer that sent a request.
func peerFrom(r *http.Request) peer {
	p, _ := r.Context().Value(peerKey{}).(peer)
	return p
}
