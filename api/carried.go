package api

import (
	"fmt"
	"net/http"

	"github.com/tendhq/tend/ingress"
)

const (
	// maxCarried bounds what a subscriber tells of what it carried, in bytes, and
	// maxCarriedWorkloads of how many workloads.
	maxCarried          = 512 << 10
	maxCarriedWorkloads = 1000
	// maxCount bounds each of its counts: what a JSON number holds exactly.
	maxCount = 1 << 53
)

// Carried is what a subscriber has carried to each workload since its own start.
type Carried struct {
	Traffic map[string]CarriedTraffic `json:"traffic"`
}

// CarriedTraffic is what was carried to one workload. Its counts only grow.
type CarriedTraffic struct {
	Requests int64 `json:"requests"`
	// Failures are the requests that no replica took or answered, and ServerErrors the
	// answers with a status of 500 or more.
	Failures     int64 `json:"failures"`
	ServerErrors int64 `json:"serverErrors"`
	// Latency counts how long clients waited until the answer began, by bucket: up to 1,
	// 2.5, 5, 10, 25, 50, 100, 250, 500 ms, 1, 2.5, 5, 10 s, and longer.
	Latency []int64 `json:"latency"`
}

// readCarried reads what a query tells of what the subscriber carried; nil for one that
// tells nothing.
func readCarried(w http.ResponseWriter, r *http.Request, q endpointQuery) (map[string]ingress.Counters, error) {
	if r.Method != http.MethodPost {
		return nil, nil //nolint:nilnil // nothing is told
	}
	var told Carried
	if err := readBody(w, r, maxCarried, &told); err != nil {
		return nil, err
	}
	if q.subscriber == "" || !q.blocks {
		return nil, problem(http.StatusBadRequest, "who tells what it carried asks under a name for what follows an index: give index and subscriber")
	}
	if len(told.Traffic) > maxCarriedWorkloads {
		return nil, problem(http.StatusBadRequest, fmt.Sprintf("traffic names %d workloads, and may name %d", len(told.Traffic), maxCarriedWorkloads))
	}
	all := map[string]ingress.Counters{}
	for workload, t := range told.Traffic {
		c := ingress.Counters{Requests: t.Requests, Failures: t.Failures, ServerErrors: t.ServerErrors}
		if len(t.Latency) != len(c.Latency) {
			return nil, problem(http.StatusBadRequest, fmt.Sprintf("latency of %s has %d buckets, and not %d", workload, len(t.Latency), len(c.Latency)))
		}
		copy(c.Latency[:], t.Latency)
		for _, n := range append(t.Latency, t.Requests, t.Failures, t.ServerErrors) {
			if n < 0 || n > maxCount {
				return nil, problem(http.StatusBadRequest, fmt.Sprintf("a count of %s is %d: counts are from 0 to %d", workload, n, int64(maxCount)))
			}
		}
		all[workload] = c
	}
	return all, nil
}
