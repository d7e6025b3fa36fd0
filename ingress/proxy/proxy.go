// Package proxy is the process of an ingress that carries the traffic. It accepts
// connections at listeners that it was started with and passes them, or the requests on
// them, to replicas. What it does follows from the last configuration that it was given.
package proxy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/tendhq/tend/ingress"
)

const (
	// interval is how often a status is sent while it changes.
	interval = time.Second
	// lastAccepts is how long a proxy that ends accepts what its clients have begun.
	lastAccepts = 50 * time.Millisecond
)

// Order is one line from the holder to a proxy.
type Order struct {
	Config *ingress.Config `json:"config,omitempty"`
	// Retire has the proxy accept no more, as another one does, and end after its last
	// connection.
	Retire bool `json:"retire,omitempty"`
}

// server is one such process.
type server struct {
	pool      *pool
	tcp       *tcp
	web       *web
	open      gauge
	listeners []*net.TCPListener
	opening   sync.Once
	accepting sync.WaitGroup
	control   net.Conn
	answer    chan struct{} // a status is due at once
}

// Run serves until it was told to retire, or was sent SIGTERM, and its last connection
// has ended. control is the connection to the holder; when it ends, so does Run.
func Run(control net.Conn, listeners []*net.TCPListener) error {
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM) // before there can be a connection that it would cut
	p, err := start(control, listeners)
	if err != nil {
		return err
	}
	lost := make(chan error, 1)
	retire := make(chan struct{})
	go func() { lost <- p.obey(retire) }()
	go p.report()
	select {
	case err := <-lost:
		return err
	case <-retire:
		p.web.retiring.Store(true)
		p.stopAccepting()
	case <-terminated:
		p.stopAccepting()
		go p.web.shutdown()
	}
	select {
	case err := <-lost:
		return err
	case <-p.open.none():
		return p.send(p.pool.status())
	}
}

// Inherit returns what a proxy was started with: the connection to the holder as its
// descriptor 3, and the listeners from 4 on.
func Inherit(count int) (net.Conn, []*net.TCPListener, error) {
	file := os.NewFile(3, "control")
	control, err := net.FileConn(file)
	if err != nil {
		return nil, nil, fmt.Errorf("this is not started by hand: %w", err)
	}
	_ = file.Close() // control is a copy
	var listeners []*net.TCPListener
	for i := range count {
		file := os.NewFile(uintptr(4+i), "listener")
		l, err := net.FileListener(file)
		if err != nil {
			return nil, nil, err
		}
		_ = file.Close()
		listeners = append(listeners, l.(*net.TCPListener))
	}
	return control, listeners, nil
}

func start(control net.Conn, listeners []*net.TCPListener) (*server, error) {
	r, err := newRelay()
	if err != nil {
		return nil, err
	}
	p := &server{pool: newPool(holdLimit), listeners: listeners, control: control, answer: make(chan struct{}, 1)}
	p.tcp = &tcp{pool: p.pool, relay: r, open: &p.open}
	p.web = newWeb(p.pool, r, &p.open)
	return p, nil
}

// apply puts a configuration in force. The first one opens the doors: before it nobody
// knows what a connection carries.
func (p *server) apply(config ingress.Config) {
	p.pool.apply(config)
	p.opening.Do(func() {
		for _, l := range p.listeners {
			p.accepting.Go(func() { p.accept(l) })
		}
	})
	select {
	case p.answer <- struct{}{}:
	default:
	}
}

// accept accepts connections until the listener is closed or its deadline has come.
func (p *server) accept(l *net.TCPListener) {
	for pause := time.Millisecond; ; {
		client, err := l.AcceptTCP()
		switch {
		case err == nil:
			pause = time.Millisecond
			p.open.add()
			go p.serve(client)
		case errors.Is(err, net.ErrClosed), errors.Is(err, os.ErrDeadlineExceeded):
			return
		default: // there are too many connections, say
			time.Sleep(pause)
			pause = min(2*pause, time.Second)
		}
	}
}

func (p *server) serve(client *net.TCPConn) {
	if p.pool.protocol() == ingress.HTTP {
		p.web.serve(client)
	} else {
		p.tcp.serve(client)
	}
}

// stopAccepting returns when the last connection has been accepted.
func (p *server) stopAccepting() {
	p.opening.Do(func() {}) // from now on it is open, or never will be
	for _, l := range p.listeners {
		_ = l.SetDeadline(time.Now().Add(lastAccepts))
	}
	p.accepting.Wait()
	for _, l := range p.listeners {
		_ = l.Close()
	}
}

// obey follows the holder until that has ended.
func (p *server) obey(retire chan struct{}) error {
	orders := ingress.NewReader[Order](p.control)
	for {
		order, malformed, err := orders.Next()
		if err := errors.Join(malformed, err); err != nil {
			return fmt.Errorf("read from the holder: %w", err)
		}
		if order.Config != nil {
			p.apply(*order.Config)
		}
		if order.Retire {
			close(retire)
		}
	}
}

// report sends the status when it is due.
func (p *server) report() {
	ticks := time.NewTicker(interval)
	defer ticks.Stop()
	var last []byte
	for {
		due := true
		select {
		case <-p.answer:
		case <-p.pool.drained:
		case <-ticks.C:
			due = false
		}
		status := p.pool.status()
		text, _ := json.Marshal(status) // numbers and strings alone
		if !due && bytes.Equal(text, last) {
			continue
		}
		last = text
		if p.send(status) != nil {
			return // the holder has ended, which obey notices
		}
	}
}

func (p *server) send(status ingress.Status) error { return ingress.Write(p.control, status) }

// gauge counts clients' connections.
type gauge struct {
	mu    sync.Mutex
	count int
	zero  chan struct{} // closed when there are none, once somebody waits
}

func (g *gauge) add() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.count++
}

func (g *gauge) done() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.count--; g.count == 0 && g.zero != nil {
		close(g.zero)
		g.zero = nil
	}
}

// none returns what is closed when there are none.
func (g *gauge) none() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	zero := make(chan struct{})
	if g.count == 0 {
		close(zero)
	} else {
		g.zero = zero
	}
	return zero
}
