// Package ingressmodel has an ingress without a network: it speaks the language of one to
// tend, and carries no traffic but what it is said to.
package ingressmodel

import (
	"errors"
	"io"
	"maps"
	"slices"
	"sync"

	"github.com/tendhq/tend/ingress"
)

// Holder is the ingress of one container, in all of its runs.
type Holder struct {
	// Hear is called with each request, and has it taken; where it returns an error, the
	// connection ends. It may be nil: then each request is taken at once.
	Hear func(ingress.Request) error

	mu      sync.Mutex
	version string
	config  ingress.Config
	open    map[string]int
	conn    io.ReadWriter // the last one; nil where that has ended
}

// New returns a Holder of a version that has been told nothing.
func New(version string) *Holder { return &Holder{version: version, open: map[string]int{}} }

// Begin has a run of the container begin: it knows what it was told in the one before, and
// has no connection open.
func (h *Holder) Begin(version string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.version = version
	clear(h.open)
}

// Attached answers one that attaches to the container, until the connection ends.
func (h *Holder) Attached(conn io.ReadWriter) {
	h.mu.Lock()
	h.conn = conn
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.conn == conn {
			h.conn = nil
		}
	}()
	hear := h.Hear
	if hear == nil {
		hear = h.take
	}
	for requests := ingress.NewReader[ingress.Request](conn); ; {
		r, malformed, err := requests.Next()
		if err = errors.Join(malformed, err); err == nil {
			err = hear(r)
		}
		if err != nil {
			return
		}
		h.mu.Lock()
		h.say(conn)
		h.mu.Unlock()
	}
}

// take takes a request without an upgrade.
func (h *Holder) take(r ingress.Request) error {
	h.Take(r, "")
	return nil
}

// Take puts a request in force. upgraded is the version of the program that an upgrade
// names.
func (h *Holder) Take(r ingress.Request, upgraded string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r.Config != nil {
		h.config = *r.Config
	}
	if r.Upgrade != "" {
		h.version = upgraded
	}
}

// say sends a status. The mutex is held.
func (h *Holder) say(to io.Writer) {
	s := ingress.Status{Generation: h.config.Generation, Version: h.version, Proxies: 1}
	for _, id := range slices.Sorted(maps.Keys(h.open)) {
		s.Endpoints = append(s.Endpoints, ingress.EndpointStatus{ID: id, Open: h.open[id]})
	}
	_ = ingress.Write(to, s) // a connection that has ended is no failure
}

// Open sets how many connections an endpoint has, and tells that.
func (h *Holder) Open(id string, n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.open[id] == n {
		return
	}
	h.open[id] = n
	if n == 0 {
		delete(h.open, id)
	}
	if h.conn != nil {
		h.say(h.conn)
	}
}

// Cut breaks the connection to tend.
func (h *Holder) Cut() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c, ok := h.conn.(io.Closer); ok {
		_ = c.Close() // the end of a pipe cannot fail
	}
}

// IsAttached reports whether tend is connected to it.
func (h *Holder) IsAttached() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.conn != nil
}

// Config is what the ingress has in force.
func (h *Holder) Config() ingress.Config {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.config
}

// Connections are those that are open, by endpoint.
func (h *Holder) Connections() map[string]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.open)
}
