package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"
)

// request is one request to the engine, as it came in.
type request struct {
	at time.Time
	// kind is the method and the path, with {id} in the place of what differs
	// from one object to the next.
	kind string
	// changes is true for one that may change something.
	changes bool
}

// proxy stands between a program and the engine, on a Unix socket, and notes
// each request.
type proxy struct {
	server *http.Server
	served chan struct{}

	mu       sync.Mutex
	requests []request
}

// startProxy listens on a Unix socket; dial connects to the engine.
func startProxy(socket string, dial func(context.Context) (net.Conn, error)) (*proxy, error) {
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return nil, fmt.Errorf("listen for the logging proxy: %w", err)
	}
	reverse := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: "engine"})
	reverse.FlushInterval = -1 // events must not wait for more
	reverse.Transport = &http.Transport{
		DialContext:         func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
		MaxIdleConnsPerHost: 64,
	}
	p := &proxy{served: make(chan struct{})}
	p.server = &http.Server{
		ReadHeaderTimeout: time.Minute,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			p.note(r)
			reverse.ServeHTTP(w, r)
		}),
	}
	go func() {
		defer close(p.served)
		_ = p.server.Serve(listener) // ends with stop
	}()
	return p, nil
}

func (p *proxy) stop() {
	_ = p.server.Close()
	<-p.served
}

func (p *proxy) note(r *http.Request) {
	changes := r.Method != http.MethodGet && r.Method != http.MethodHead
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests = append(p.requests, request{at: time.Now(), kind: kindOf(r.Method, r.URL.Path), changes: changes})
}

// since returns the requests from the given instant on.
func (p *proxy) since(t time.Time) []request {
	p.mu.Lock()
	defer p.mu.Unlock()
	var found []request
	for _, r := range p.requests {
		if !r.at.Before(t) {
			found = append(found, r)
		}
	}
	return found
}

// kindOf names what a request asks for, whatever the API version and the
// object: "POST /containers/{id}/start".
func kindOf(method, path string) string {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	if len(parts) > 1 && strings.HasPrefix(parts[0], "v1.") {
		parts = parts[1:]
	}
	switch {
	case len(parts) > 2 && parts[0] == "images": // names may hold slashes
		parts = []string{"images", "{id}", parts[len(parts)-1]}
	case len(parts) > 1 && parts[1] != "json" && parts[1] != "create":
		parts[1] = "{id}"
	}
	return method + " /" + strings.Join(parts, "/")
}
