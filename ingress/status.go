package ingress

import (
	"cmp"
	"slices"
	"time"
)

// Status is one line to tend. It is sent in answer to each request, when the last
// connection to a draining endpoint has ended, and once a second while it changes.
type Status struct {
	// Generation is the number of the newest configuration that holds in every proxy: no
	// new connection or request goes to what it withdrew. What had begun before is in the
	// endpoints' Open.
	Generation int64 `json:"generation"`
	// Version is the version of the executable that runs.
	Version string `json:"version,omitempty"`
	// Listening are the addresses that it listens on.
	Listening []string `json:"listening,omitempty"`
	// Heard is when tend last sent something that was understood.
	Heard time.Time `json:"heard,omitzero"`
	// Proxies is how many processes serve: more than one after an upgrade, while the
	// ones before have connections left.
	Proxies int `json:"proxies"`
	// Restarts is how often a proxy ended unasked and was started again.
	Restarts int `json:"restarts"`
	// Error is why tend's last request, or the last attempt to start a proxy, failed.
	Error string `json:"error,omitempty"`
	// Held is how many connections or requests wait for an endpoint now.
	Held int `json:"held"`
	// Endpoints are those of the configuration, and removed ones that have
	// connections or requests left; by ID.
	Endpoints []EndpointStatus `json:"endpoints,omitempty"`
	// Total counts everything since the ingress's container was started.
	Total Counters `json:"total"`
}

// EndpointStatus is what one endpoint has to do.
type EndpointStatus struct {
	ID string `json:"id"`
	// Open is how many connections or requests it has now.
	Open int `json:"open"`
	// Total is counted by the proxies that still run.
	Total Counters `json:"total"`
}

// Counters only grow.
type Counters struct {
	// Connections are those that clients made. Those that carry requests belong to no
	// endpoint and are counted in [Status.Total] alone.
	Connections int64 `json:"connections"`
	Requests    int64 `json:"requests"`
	// Failures are connections and requests that no replica took or answered.
	Failures int64 `json:"failures"`
	// ServerErrors are the replicas' answers with a status of 500 or more.
	ServerErrors int64 `json:"serverErrors"`
	// BytesIn came from clients, BytesOut went to them.
	BytesIn  int64 `json:"bytesIn"`
	BytesOut int64 `json:"bytesOut"`
	// Latency counts how long clients waited: for a connection until a replica took it,
	// for a request until the answer began. Each bucket is one of [LatencyBounds].
	Latency Histogram `json:"latency"`
}

// LatencyBounds are the upper bounds of a histogram's buckets but the last, which has none.
var LatencyBounds = [...]time.Duration{
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond,
	25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond,
	500 * time.Millisecond, time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second,
}

// Histogram counts durations by bucket.
type Histogram [len(LatencyBounds) + 1]int64

// Bucket returns the index of the bucket that d falls into.
func Bucket(d time.Duration) int {
	i, _ := slices.BinarySearch(LatencyBounds[:], d)
	return i
}

// Plus returns the sum of both.
func (c Counters) Plus(d Counters) Counters {
	c.Connections += d.Connections
	c.Requests += d.Requests
	c.Failures += d.Failures
	c.ServerErrors += d.ServerErrors
	c.BytesIn += d.BytesIn
	c.BytesOut += d.BytesOut
	for i, n := range d.Latency {
		c.Latency[i] += n
	}
	return c
}

// Join returns what several proxies do together: the generation that holds in all of
// them, and the sums of what they count.
func Join(proxies []Status) Status {
	var s Status
	endpoints := map[string]EndpointStatus{}
	for i, p := range proxies {
		if i == 0 || p.Generation < s.Generation {
			s.Generation = p.Generation
		}
		s.Held += p.Held
		s.Total = s.Total.Plus(p.Total)
		for _, e := range p.Endpoints {
			sum := endpoints[e.ID]
			endpoints[e.ID] = EndpointStatus{ID: e.ID, Open: sum.Open + e.Open, Total: sum.Total.Plus(e.Total)}
		}
	}
	s.Proxies = len(proxies)
	for _, e := range endpoints {
		s.Endpoints = append(s.Endpoints, e)
	}
	slices.SortFunc(s.Endpoints, func(a, b EndpointStatus) int { return cmp.Compare(a.ID, b.ID) })
	return s
}
