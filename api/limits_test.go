package api

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/state"
)

// everywhere serves a store to everyone on all addresses of this machine, and returns
// the port.
func everywhere(t *testing.T, s *state.Store) (port string) {
	t.Helper()
	l, err := net.Listen("tcp", "0.0.0.0:0")
	require.NoError(t, err)
	c := config(s)
	c.AnonymousRead = true
	start(t, New(c), l)
	_, port, err = net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	return port
}

// connectFrom connects to a port of this machine from one of its addresses.
func connectFrom(ctx context.Context, ip, port string) (net.Conn, error) {
	to := ip
	if net.ParseIP(ip).IsLoopback() {
		to = "127.0.0.1"
	}
	return (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}).DialContext(ctx, "tcp", net.JoinHostPort(to, port))
}

// from is a client whose connections come from an address of this machine, each
// request with one of its own.
func from(ip string) *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
		_, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		return connectFrom(ctx, ip, port)
	}}}
}

// follow begins a request that is held, and returns what ends it.
func follow(t *testing.T, c *http.Client, url string, header ...string) (status int, body string, end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	require.NoError(t, err)
	if len(header) > 0 {
		r.Header.Set("Accept", header[0])
	}
	answer, err := c.Do(r)
	require.NoError(t, err)
	t.Cleanup(func() { answer.Body.Close() })
	if answer.StatusCode != http.StatusOK {
		content, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		return answer.StatusCode, string(content), cancel
	}
	return answer.StatusCode, "", cancel
}

// Who holds too many requests is told so, and can still ask; others are not
// concerned, and what has ended does not count.
func TestAPeerHoldsSoManyRequestsAndNoMore(t *testing.T) {
	address := net.JoinHostPort("127.0.0.1", everywhere(t, published()))
	const events, endpoints = "/api/v1/events", "/api/v1/endpoints"
	greedy, same, other := from("127.0.0.1"), from("127.0.0.2"), from(ownAddress(t))
	var end func()
	for i := range maxHeld {
		path := []string{events, endpoints, "/api/v1/workloads"}[i%3]
		var status int
		status, _, end = follow(t, greedy, "http://"+address+path, StreamType)
		require.Equal(t, http.StatusOK, status)
	}
	const told = "64 streams and blocking queries are held for this peer already: end some, or ask without"
	for _, path := range []string{events, endpoints} {
		status, body, _ := follow(t, greedy, "http://"+address+path, StreamType)
		assert.Equal(t, http.StatusServiceUnavailable, status)
		assert.Contains(t, body, told)
	}
	status, body, _ := follow(t, same, "http://"+address+endpoints+"?index=1&wait=5m&subscriber=greedy")
	assert.Equal(t, http.StatusServiceUnavailable, status)
	assert.Contains(t, body, told)

	assert.Equal(t, http.StatusOK, get(t, greedy, "http://"+address+endpoints).status, "it can ask")
	status, _, _ = follow(t, other, "http://"+address+events, StreamType)
	assert.Equal(t, http.StatusOK, status, "and others can follow")
	end()
	require.Eventually(t, func() bool {
		status, _, _ := follow(t, greedy, "http://"+address+events, StreamType)
		return status == http.StatusOK
	}, 10*time.Second, 10*time.Millisecond)
}

// A name belongs to the peer that uses it, and all of loopback is one peer.
func TestASubscriberIsAPeersOwn(t *testing.T) {
	l, err := net.Listen("tcp", "0.0.0.0:0")
	require.NoError(t, err)
	c := config(published())
	c.AnonymousRead = true
	start(t, NewReadOnly(c), l)
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	url := "http://127.0.0.1:" + port + "/api/v1/endpoints?index=0&subscriber="
	other := ownAddress(t)
	for _, ip := range []string{"127.0.0.1", "127.0.0.2", other} {
		assert.Equal(t, http.StatusOK, get(t, from(ip), url+"gateway").status)
	}
	assert.Equal(t, []string{loopback, loopback, other}, c.Controller.(*intents).peers)
	answer := get(t, from(other), url+"one+too+many")
	assert.Equal(t, http.StatusTooManyRequests, answer.status)
	assert.Contains(t, answer.body, "under 16 names already")
}

func TestAPeerHasSoManyConnectionsAndNoMore(t *testing.T) {
	port := everywhere(t, shop())
	connect := func(ip string) net.Conn {
		c, err := connectFrom(t.Context(), ip, port)
		require.NoError(t, err)
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	served := func(c net.Conn) bool {
		// It may have been closed already; then the read says so.
		_, _ = io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
		n, _ := c.Read(make([]byte, 1))
		return n == 1
	}
	var open []net.Conn
	for range maxOfPeer {
		open = append(open, connect("127.0.0.1"))
	}
	for _, c := range open {
		require.True(t, served(c))
	}
	assert.False(t, served(connect("127.0.0.1")))
	assert.False(t, served(connect("127.0.0.2")), "any process can come from another address of loopback")
	assert.True(t, served(connect(ownAddress(t))))
	require.NoError(t, open[0].Close())
	require.Eventually(t, func() bool { return served(connect("127.0.0.1")) }, 10*time.Second, 10*time.Millisecond)
}

func TestAListenerHasSoManyConnectionsAndNoMore(t *testing.T) {
	all := peers{mostOfPeer: maxOfPeer, most: maxConnections}
	n := 0
	for peer := range 2 * maxConnections / maxOfPeer {
		for range maxOfPeer {
			if all.add(fmt.Sprint(peer)) {
				n++
			}
		}
	}
	assert.Equal(t, maxConnections, n)
	for peer := range maxConnections / maxOfPeer {
		for range maxOfPeer {
			all.remove(fmt.Sprint(peer))
		}
	}
	assert.Empty(t, all.of, "nothing is kept of those who have gone")
}

// Followers who do not read cost what they were sent last, whatever happens
// meanwhile: here 20 megabytes for each.
func TestFollowersWhoDoNotReadCostNoMemory(t *testing.T) {
	store := published()
	address := net.JoinHostPort("127.0.0.1", everywhere(t, store))
	lazy := from("127.0.0.1")
	for i := range maxHeld {
		path := []string{"/api/v1/events", "/api/v1/workloads", "/api/v1/endpoints"}[i%3]
		status, _, _ := follow(t, lazy, "http://"+address+path, StreamType)
		require.Equal(t, http.StatusOK, status)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range 20_000 {
		text := fmt.Sprint(i, " ", strings.Repeat("x", 1000))
		store.Update(func(tx *state.Tx) {
			tx.AddEvent(core.Event{Type: core.Normal, Workload: "web", Reason: "Created", Message: text}, noon)
			tx.PutStatus(core.Status{Workload: "web", Conditions: []core.Condition{{Type: core.Available, Message: text}}})
			tx.PutEndpoints("web", []core.Endpoint{{Workload: "web", ID: text, Replica: text}})
		})
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	// 2000 events of 2 kB each are kept, and of each follower a few of them.
	assert.Less(t, int64(after.HeapAlloc)-int64(before.HeapAlloc), int64(32<<20))
}
