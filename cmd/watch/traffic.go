package watch

import (
	"bufio"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// counters are what the ingresses of a workload and the gateways before it have counted, as
// /metrics tells it.
type counters struct {
	requests, connections, failures float64
	// waits counts by upper bound, in seconds, as the histogram does; each bound counts
	// all below it, too.
	waits map[float64]float64
}

// rate is what is carried now.
type rate struct {
	// requests and failures are per second. A port that speaks no HTTP counts its
	// connections as requests.
	requests, failures float64
	// p99 is how long all but one in a hundred waited at most; 0 where none did.
	p99 time.Duration
}

// families are the metrics that are read.
var families = []string{
	"tend_ingress_requests_total", "tend_ingress_connections_total", "tend_ingress_failures_total", "tend_ingress_server_errors_total", "tend_ingress_wait_seconds",
	"tend_gateway_requests_total", "tend_gateway_failures_total", "tend_gateway_server_errors_total", "tend_gateway_wait_seconds",
}

// parse reads the traffic counters in /metrics, by workload. An ingress has its own, under
// the name SERVICE:PORT; a service has the sum of its ingresses' and its gateways'.
func parse(metrics io.Reader) (map[string]counters, error) {
	all := map[string]counters{}
	lines := bufio.NewScanner(metrics)
	for lines.Scan() {
		name, label, value, ok := sample(lines.Text())
		if !ok {
			continue
		}
		names := []string{label["workload"]}
		if i, ok := label["ingress"]; ok {
			service, _, _ := strings.Cut(i, ":")
			names = []string{i, service}
		}
		for _, workload := range names {
			c := all[workload]
			if c.waits == nil {
				c.waits = map[float64]float64{}
			}
			switch name {
			case "tend_ingress_requests_total", "tend_gateway_requests_total":
				c.requests += value
			case "tend_ingress_connections_total":
				c.connections += value
			case "tend_ingress_failures_total", "tend_ingress_server_errors_total", "tend_gateway_failures_total", "tend_gateway_server_errors_total":
				c.failures += value
			case "tend_ingress_wait_seconds_bucket", "tend_gateway_wait_seconds_bucket":
				if bound, err := strconv.ParseFloat(label["le"], 64); err == nil {
					c.waits[bound] += value
				}
			}
			all[workload] = c
		}
	}
	for workload, c := range all {
		if c.requests == 0 {
			c.requests = c.connections
			all[workload] = c
		}
	}
	return all, lines.Err()
}

// sample is one line of the exposition format; ok is false for one that tells of no traffic.
// The names of workloads need no escapes.
func sample(line string) (name string, labels map[string]string, value float64, ok bool) {
	name, rest, found := strings.Cut(line, "{")
	if !found || !strings.HasPrefix(name, "tend_ingress_") && !strings.HasPrefix(name, "tend_gateway_") {
		return "", nil, 0, false
	}
	inside, number, found := strings.Cut(rest, "} ")
	value, err := strconv.ParseFloat(number, 64)
	if !found || err != nil {
		return "", nil, 0, false
	}
	labels = map[string]string{}
	for pair := range strings.SplitSeq(inside, ",") {
		key, quoted, _ := strings.Cut(pair, "=")
		labels[key] = strings.Trim(quoted, `"`)
	}
	return name, labels, value, labels["ingress"] != "" || labels["workload"] != ""
}

// ratesOf are the rates between two readings.
func ratesOf(before, after map[string]counters, apart time.Duration) map[string]rate {
	rates := map[string]rate{}
	for workload, b := range after {
		a, known := before[workload]
		if !known || b.requests < a.requests || apart <= 0 {
			rates[workload] = rate{} // its container is another one
			continue
		}
		rates[workload] = rate{
			requests: (b.requests - a.requests) / apart.Seconds(),
			failures: max(0, b.failures-a.failures) / apart.Seconds(),
			p99:      quantile(0.99, a.waits, b.waits),
		}
	}
	return rates
}

// quantile estimates a quantile from the difference of two histograms, as Prometheus'
// histogram_quantile does: between the bounds of a bucket the waits count as spread evenly.
func quantile(q float64, before, after map[float64]float64) time.Duration {
	all := after[math.Inf(1)] - before[math.Inf(1)]
	if all <= 0 {
		return 0
	}
	lower, below := 0.0, 0.0
	for _, bound := range slices.Sorted(maps.Keys(after)) {
		count := after[bound] - before[bound]
		if count >= q*all {
			if math.IsInf(bound, 1) {
				break
			}
			lower += (bound - lower) * (q*all - below) / (count - below)
			break
		}
		lower, below = bound, count
	}
	return time.Duration(lower * float64(time.Second))
}
