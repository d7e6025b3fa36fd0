package api

import (
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"go.uber.org/zap"
)

const (
	// maxConnections bounds the connections of one listener, and maxOfPeer those from
	// one peer, so that whoever opens very many takes none from others.
	maxConnections = 1024
	maxOfPeer      = 128
	// maxHeld bounds the streams and blocking queries of one peer. It is less than
	// maxOfPeer, so that there is a connection left to refuse one more.
	maxHeld = 64
	// warnEvery bounds how often refused connections are logged.
	warnEvery = time.Minute
)

// peers counts what each peer has open.
type peers struct {
	mostOfPeer, most int

	mu  sync.Mutex
	of  map[string]int
	all int
}

// add counts one more of a peer, and reports whether that was within the limits.
func (t *peers) add(peer string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all >= t.most || t.of[peer] >= t.mostOfPeer {
		return false
	}
	if t.of == nil {
		t.of = map[string]int{}
	}
	t.all++
	t.of[peer]++
	return true
}

func (t *peers) remove(peer string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all--
	if t.of[peer]--; t.of[peer] == 0 {
		delete(t.of, peer)
	}
}

// limitedListener closes the connections beyond the limits.
type limitedListener struct {
	net.Listener
	open   peers
	log    *zap.Logger
	warned time.Time
}

func limit(l net.Listener, log *zap.Logger) *limitedListener {
	return &limitedListener{Listener: l, open: peers{mostOfPeer: maxOfPeer, most: maxConnections}, log: log}
}

// Accept implements net.Listener.
func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		peer, err := peerOf(c)
		if err == nil && l.open.add(peer.name) {
			return &countedConn{Conn: c, peer: peer, left: sync.OnceFunc(func() { l.open.remove(peer.name) })}, nil
		}
		_ = c.Close()
		if time.Since(l.warned) >= warnEvery {
			l.warned = time.Now()
			l.log.Warn("connections are refused, as too many are open or nobody knows whose they are", zap.Stringer("listener", l.Addr()), zap.String("peer", peer.name), zap.Error(err))
		}
	}
}

// countedConn is counted until it is closed.
type countedConn struct {
	net.Conn
	peer peer
	left func()
}

// Close implements net.Conn.
func (c *countedConn) Close() error {
	defer c.left()
	return c.Conn.Close()
}

// hold counts a request that is held, until release is called. It refuses one too many of
// its peer, and returns false.
func (s *server) hold(w http.ResponseWriter, r *http.Request) (release func(), ok bool) {
	peer := peerFrom(r).name
	if !s.held.add(peer) {
		fail(w, problem(http.StatusServiceUnavailable, fmt.Sprintf("%d streams and blocking queries are held for this peer already: end some, or ask without", maxHeld)))
		return nil, false
	}
	counted := s.Requests.hold(r)
	return func() {
		counted()
		s.held.remove(peer)
	}, true
}
