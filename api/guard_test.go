package api

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestWhoMayAsk(t *testing.T) {
	var (
		unix      = &net.UnixAddr{Name: "tend.sock", Net: "unix"}
		loopback  = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 7070}
		loopback6 = &net.TCPAddr{IP: net.IPv6loopback, Port: 7070}
		elsewhere = &net.TCPAddr{IP: net.IPv4(172, 20, 0, 2), Port: 7070}
	)
	const path = "/api/v1/workloads"
	for _, c := range []struct {
		name       string
		local      net.Addr
		host       string
		credential string
		path       string
		status     int
	}{
		{"the Unix socket", unix, "anything", "", path, 200},
		{"loopback by address", loopback, "127.0.0.1:7070", "", path, 200},
		{"loopback by name", loopback, "LocalHost:7070", "", path, 200},
		{"loopback without a port", loopback, "localhost", "", path, 200},
		{"IPv6 loopback", loopback6, "[::1]:7070", "", path, 200},
		{"IPv6 loopback without a port", loopback6, "[::1]", "", path, 200},
		{"loopback by a rebound name", loopback, "evil.example:7070", "", path, 421},
		{"loopback by a name that begins like it", loopback, "localhost.evil.example", "", path, 421},
		{"loopback by an address that begins like it", loopback, "127.0.0.1.evil.example", "", path, 421},
		{"loopback without a host", loopback, "", "", path, 421},
		{"loopback by a rebound name, to metrics", loopback, "evil.example", "", "/metrics", 421},
		{"loopback by another name with the token", loopback, "devbox:7070", "Bearer " + testToken, path, 200},
		{"elsewhere without a token", elsewhere, "172.20.0.2:7070", "", path, 401},
		{"elsewhere that says it is loopback", elsewhere, "127.0.0.1:7070", "", path, 401},
		{"elsewhere, to metrics", elsewhere, "172.20.0.2:7070", "", "/metrics", 401},
		{"elsewhere, to nothing", elsewhere, "172.20.0.2:7070", "", "/nothing", 401},
		{"elsewhere with the token", elsewhere, "172.20.0.2:7070", "Bearer " + testToken, path, 200},
		{"elsewhere with the token in lower case", elsewhere, "172.20.0.2:7070", "bearer " + testToken, path, 200},
		{"elsewhere with another token", elsewhere, "172.20.0.2:7070", "Bearer c0ffef", path, 401},
		{"elsewhere with the beginning of the token", elsewhere, "172.20.0.2:7070", "Bearer c0f", path, 401},
		{"elsewhere with another scheme", elsewhere, "172.20.0.2:7070", "Basic " + testToken, path, 401},
		{"elsewhere, to healthz", elsewhere, "172.20.0.2:7070", "", "/healthz", 200},
		{"elsewhere, to readyz", elsewhere, "172.20.0.2:7070", "", "/readyz", 200},
		{"from nowhere", nil, "localhost", "", path, 401},
	} {
		t.Run(c.name, func(t *testing.T) {
			answer := askFrom(New(config(shop())), c.local, c.host, c.credential, c.path)
			assert.Equal(t, c.status, answer.Code, answer.Body)
			if c.status == http.StatusUnauthorized {
				assert.Contains(t, answer.Header().Get("WWW-Authenticate"), "Bearer")
			}
		})
	}
}

func TestWithoutATokenNobodyElsewhereMayAsk(t *testing.T) {
	c := config(shop())
	c.Token = ""
	local := &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1)}
	for _, credential := range []string{"", "Bearer", "Bearer "} {
		assert.Equal(t, http.StatusUnauthorized, askFrom(New(c), local, "10.0.0.1", credential, "/api/v1/replicas").Code)
	}
}

func TestReadyzTellsNoReasonToStrangers(t *testing.T) {
	c := config(shop())
	c.Ready = func() error { return errNotReady }
	answer := askFrom(New(c), &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1)}, "10.0.0.1", "", "/readyz")
	assert.Equal(t, http.StatusServiceUnavailable, answer.Code)
	assert.NotContains(t, answer.Body.String(), errNotReady.Error())
}

func TestAPageOfAnotherOriginCannotSend(t *testing.T) {
	r := httptest.NewRequest(http.MethodPost, "/api/v1/workloads", nil)
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.UnixAddr{}))
	answer := httptest.NewRecorder()
	New(config(shop())).ServeHTTP(answer, r)
	assert.Equal(t, http.StatusForbidden, answer.Code)
}

// askFrom sends a request over a connection whose own end is local.
func askFrom(h http.Handler, local net.Addr, host, credential, path string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Host = host
	if credential != "" {
		r.Header.Set("Authorization", credential)
	}
	if local != nil {
		r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, local))
	}
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, r)
	return answer
}
