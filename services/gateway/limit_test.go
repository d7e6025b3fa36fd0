package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// load is what a gateway says of itself.
type load struct {
	memory   float64 // of the machine's, in MiB; the race detector's own is not in it
	requests int     // in flight
}

func (g *gateway) load(t *testing.T) load {
	t.Helper()
	response, err := http.Get(g.metricsURL)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	values := map[string]float64{}
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		end := strings.LastIndexByte(lines.Text(), ' ')
		if value, err := strconv.ParseFloat(lines.Text()[end+1:], 64); err == nil {
			values[lines.Text()[:end]] = value
		}
	}
	const sys, released = "go_memstats_sys_bytes", "go_memstats_heap_released_bytes"
	if values[sys] == 0 {
		t.Fatal("the metrics tell nothing of memory")
	}
	return load{
		memory:   (values[sys] - values[released]) / (1 << 20),
		requests: int(values[`caddy_http_requests_in_flight{handler="subroute",server="gateway"}`]),
	}
}

// TestUnfinishedRequestsFitIntoItsMemory sends more requests than the gateway takes
// at once, each with the largest header and all but one byte of the largest body.
func TestUnfinishedRequestsFitIntoItsMemory(t *testing.T) {
	const (
		most  = 256 // connections, as the Caddyfile says
		more  = 100
		limit = 128 // MiB, as compose.yaml says, and so is the environment
	)
	names := startNameServer(t)
	names.set("user.test", loopback1)
	port := startUpstream(t, loopback1, "0", func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
	})
	g := startGateway(t, names, "USER_SERVICE=user.test:"+port, "GOGC=400", "GOMEMLIMIT=96MiB")
	http.DefaultClient.CloseIdleConnections()

	request := fmt.Sprintf("POST /api/users HTTP/1.1\r\nHost: x\r\nX-Large: %s\r\nContent-Length: %d\r\n\r\n%s",
		strings.Repeat("h", 30<<10), 64<<10, strings.Repeat("b", 64<<10-1))
	conns := make([]net.Conn, most+more)
	var sent sync.WaitGroup
	for i := range conns {
		conn, err := net.Dial("tcp", strings.TrimPrefix(g.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conns[i] = conn
		// What is beyond the limit does not get all of it sent before it is accepted.
		sent.Go(func() { _, _ = io.WriteString(conn, request) })
	}
	var highest float64
	inFlight := func() int {
		now := g.load(t)
		highest = max(highest, now.memory)
		return now.requests
	}
	eventually(t, "the gateway holds all it takes", func() bool { return inFlight() == most })
	// The bodies arrive, and nobody gets past the limit.
	for range 20 {
		if n := inFlight(); n != most {
			t.Fatalf("%d requests in flight, want %d", n, most)
		}
	}

	// Each is answered once it is whole, and those that waited come next.
	for i, conn := range conns {
		sent.Go(func() {
			if i >= most {
				return
			}
			_, _ = io.WriteString(conn, "b")
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Errorf("connection %d: %v", i, err)
				return
			}
			response.Body.Close()
			if response.StatusCode != http.StatusOK {
				t.Errorf("connection %d: %s", i, response.Status)
			}
			conn.Close()
		})
	}
	sent.Wait()
	eventually(t, "those that waited are taken", func() bool { return inFlight() == more })
	t.Logf("%.0f MiB", highest)
	if highest >= limit {
		t.Errorf("the gateway takes %.0f MiB, and has %d", highest, limit)
	}
}
