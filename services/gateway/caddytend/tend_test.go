package caddytend_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"
)

// firstToken is the read token of a fakeTend until it wants another.
const firstToken = "first"

// fakeTend serves the endpoints of the workload web as tend does.
type fakeTend struct {
	address string

	mu        sync.Mutex
	token     string
	index     uint64
	workloads map[string][]map[string]any
	changed   chan struct{} // closed at the next change
	asked     []uint64      // what the subscriber asked for, in order
	told      map[string]counted
	server    *http.Server
}

// counted is what tend is told was carried to a workload.
type counted struct {
	Requests, Failures, ServerErrors int64
	Latency                          []int64
}

func startTend(t *testing.T) *fakeTend {
	t.Helper()
	f := &fakeTend{changed: make(chan struct{}), workloads: map[string][]map[string]any{"web": {}}, index: 10, token: firstToken}
	f.serve(t, "127.0.0.1:0")
	t.Cleanup(f.stop)
	return f
}

func (f *fakeTend) url() string { return "http://" + f.address }

func (f *fakeTend) serve(t *testing.T, address string) {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	f.address = listener.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	f.server = &http.Server{Handler: f, BaseContext: func(net.Listener) context.Context { return ctx }}
	f.server.RegisterOnShutdown(cancel)
	go func() { _ = f.server.Serve(listener) }()
}

// stop ends tend at once, as SIGKILL does.
func (f *fakeTend) stop() { _ = f.server.Close() }

func (f *fakeTend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	asked, err := strconv.ParseUint(query.Get("index"), 10, 64)
	wait, err2 := time.ParseDuration(query.Get("wait"))
	var body struct{ Traffic map[string]counted }
	if json.NewDecoder(r.Body).Decode(&body) != nil || r.Method != http.MethodPost || err != nil || err2 != nil || r.URL.Path != "/api/v1/endpoints" || query.Get("subscriber") != "caddy" {
		http.Error(w, "bad query", http.StatusBadRequest)
		return
	}
	f.mu.Lock()
	if r.Header.Get("Authorization") != "Bearer "+f.token {
		f.mu.Unlock()
		http.Error(w, "another token is wanted", http.StatusUnauthorized)
		return
	}
	f.asked = append(f.asked, asked)
	f.told = body.Traffic
	index, changed := f.index, f.changed
	f.mu.Unlock()
	if index <= asked {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-changed:
		case <-timer.C:
		case <-r.Context().Done():
			return
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	_ = json.NewEncoder(w).Encode(map[string]any{"index": f.index, "workloads": f.workloads})
}

// publish makes upstreams the endpoints of web and returns the new index.
func (f *fakeTend) publish(upstreams ...*upstream) uint64 {
	endpoints := make([]map[string]any, 0, len(upstreams))
	for _, u := range upstreams {
		endpoints = append(endpoints, map[string]any{
			"replica": fmt.Sprint("shop-web-", u.port), "revision": "r1",
			"addresses": map[string]string{"backend": "127.0.0.1"}, "ports": []int{u.port},
		})
	}
	return f.set(map[string][]map[string]any{"web": endpoints})
}

func (f *fakeTend) set(workloads map[string][]map[string]any) uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.index++
	f.workloads = workloads
	close(f.changed)
	f.changed = make(chan struct{})
	return f.index
}

// wants makes tend want another token.
func (f *fakeTend) wants(token string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.token = token
}

// restartIndex makes tend count from a lower index.
func (f *fakeTend) restartIndex(index uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.index, f.asked = index, nil
}

// acknowledged is the newest index that the subscriber has said is in force.
func (f *fakeTend) acknowledged() (newest uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, index := range f.asked {
		newest = max(newest, index)
	}
	return newest
}

// queries counts what the subscriber has asked.
func (f *fakeTend) queries() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.asked)
}

func (f *fakeTend) awaitAcknowledged(t *testing.T, index uint64) {
	t.Helper()
	eventually(t, fmt.Sprintf("index %d is acknowledged", index), func() bool { return f.acknowledged() >= index })
}

// carried is what tend was last told of web.
func (f *fakeTend) carried() counted {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.told["web"]
}
