package proxy

import (
	"sync/atomic"
	"time"

	"github.com/tendhq/tend/ingress"
)

// counters are [ingress.Counters] that many goroutines count in.
type counters struct {
	connections, requests, failures, serverErrors atomic.Int64
	bytesIn, bytesOut                             atomic.Int64
	latency                                       [len(ingress.Histogram{})]atomic.Int64
}

// waited counts how long a client waited.
func (c *counters) waited(d time.Duration) {
	c.latency[ingress.Bucket(d)].Add(1)
}

func (c *counters) read() ingress.Counters {
	values := ingress.Counters{
		Connections:  c.connections.Load(),
		Requests:     c.requests.Load(),
		Failures:     c.failures.Load(),
		ServerErrors: c.serverErrors.Load(),
		BytesIn:      c.bytesIn.Load(),
		BytesOut:     c.bytesOut.Load(),
	}
	for i := range c.latency {
		values.Latency[i] = c.latency[i].Load()
	}
	return values
}
