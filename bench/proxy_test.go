package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"
)

func TestKindOfLeavesOutVersionsAndNames(t *testing.T) {
	for path, want := range map[string]string{
		"/_ping":                       "GET /_ping",
		"/v1.41/events":                "GET /events",
		"/v1.41/containers/json":       "GET /containers/json",
		"/v1.41/containers/0a1b/json":  "GET /containers/{id}/json",
		"/v1.41/containers/create":     "GET /containers/create",
		"/networks/p_default":          "GET /networks/{id}",
		"/v1.41/images/a/b/c:1/json":   "GET /images/{id}/json",
		"/v1.41/images/json":           "GET /images/json",
		"/v1.41/containers/0a1b/start": "GET /containers/{id}/start",
	} {
		if got := kindOf(http.MethodGet, path); got != want {
			t.Errorf("kindOf(%q) = %q, want %q", path, got, want)
		}
	}
}

func TestProxyNotesRequestsAndPassesThemOn(t *testing.T) {
	engine := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Method+" "+r.URL.RequestURI())
	}))
	defer engine.Close()
	socket := filepath.Join(t.TempDir(), "proxy.sock")
	p, err := startProxy(socket, func(context.Context) (net.Conn, error) {
		return net.Dial("tcp", engine.Listener.Addr().String())
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()

	client := &http.Client{Transport: &http.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", socket) },
	}}
	defer client.CloseIdleConnections()
	began := time.Now()
	response, err := client.Post("http://engine/v1.41/containers/0a1b/start?x=y", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, _ := io.ReadAll(response.Body); string(body) != "POST /v1.41/containers/0a1b/start?x=y" {
		t.Errorf("the engine got %q", body)
	}
	got := p.since(began)
	if len(got) != 1 || got[0].kind != "POST /containers/{id}/start" || !got[0].changes {
		t.Errorf("noted %+v", got)
	}
	if later := p.since(time.Now()); len(later) != 0 {
		t.Errorf("noted %+v in the future", later)
	}
}
