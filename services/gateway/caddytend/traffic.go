package caddytend

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// carriedVar names the request variable by which [Transport] finds the request that
// [Upstreams] has begun to count.
const carriedVar = "tend.carried"

// latencyBounds are the upper bounds of the buckets in which tend wants to be told how
// long clients waited, but for the last, which has none.
var latencyBounds = [...]time.Duration{
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond,
	25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond,
	500 * time.Millisecond, time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second,
}

// counts are what was carried to a workload since this Caddy began. They only grow.
type counts struct {
	Requests int64 `json:"requests"`
	// Failures are requests that no replica took or answered.
	Failures int64 `json:"failures"`
	// ServerErrors are answers with a status of 500 or more.
	ServerErrors int64 `json:"serverErrors"`
	// Latency counts how long clients waited until the answer began.
	Latency [len(latencyBounds) + 1]int64 `json:"latency"`
}

func (c counts) plus(d counts) counts {
	c.Requests += d.Requests
	c.Failures += d.Failures
	c.ServerErrors += d.ServerErrors
	for i, n := range d.Latency {
		c.Latency[i] += n
	}
	return c
}

// traffic counts what is carried to a workload.
type traffic struct {
	mu     sync.Mutex
	counts counts
}

func (t *traffic) add(c counts) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts = t.counts.plus(c)
}

func (t *traffic) now() counts {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.counts
}

// carried is a request of a client, which is counted once, when it has ended, however often
// it was tried.
type carried struct {
	traffic *traffic
	began   time.Time

	mu sync.Mutex
	// status is the one of the last try's answer, which began after waited; 0 for no answer.
	status int
	waited time.Duration
	// left is true while a replica has the request, and where its client broke it off: when
	// it ends so, nobody has failed it.
	left bool
}

// begin begins to count a request, unless that was done.
func (t *traffic) begin(ctx context.Context) {
	if _, begun := caddyhttp.GetVar(ctx, carriedVar).(*carried); begun {
		return
	}
	c := &carried{traffic: t, began: time.Now()}
	caddyhttp.SetVar(ctx, carriedVar, c)
	context.AfterFunc(ctx, c.end)
}

// tried notes that a replica has the request now.
func (c *carried) tried() { c.note(0, true) }

// failed notes that the try has failed, and whether that was the client's doing.
func (c *carried) failed(byClient bool) { c.note(0, byClient) }

// answered notes that the answer begins.
func (c *carried) answered(status int) { c.note(status, false) }

func (c *carried) note(status int, left bool) {
	if c == nil { // the upstreams come from elsewhere
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status, c.left, c.waited = status, left, time.Since(c.began)
}

// end counts the request.
func (c *carried) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := counts{Requests: 1}
	switch {
	case c.status > 0:
		if c.status >= http.StatusInternalServerError {
			n.ServerErrors = 1
		}
		bucket, _ := slices.BinarySearch(latencyBounds[:], c.waited)
		n.Latency[bucket] = 1
	case !c.left:
		n.Failures = 1
	}
	c.traffic.add(n)
}
