package api

import (
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/tendhq/tend/controller/ingresses"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/ingress"
)

// traffic lists what went through each ingress, and through gateways to each workload: the
// samples that came after since, which may be none.
func (s *server) traffic(w http.ResponseWriter, r *http.Request) {
	var since time.Time
	if text := r.URL.Query().Get("since"); text != "" {
		var err error
		if since, err = parseSince(text); err != nil {
			fail(w, err)
			return
		}
	}
	all := s.Controller.Traffic()
	var items []Traffic
	for _, name := range slices.Sorted(maps.Keys(all)) {
		items = append(items, Traffic{
			TypeMeta: typeMeta(TrafficKind), Metadata: Metadata{Name: name}, Workload: spec.ServiceOf(name), Samples: toSamples(all[name], since),
		})
	}
	writeJSON(w, NewList(items))
}

// toSamples makes rates of the counts after an instant, oldest first.
func toSamples(counted []ingresses.Sample, since time.Time) []Sample {
	out := []Sample{}
	for i := 1; i < len(counted); i++ {
		before, now := counted[i-1], counted[i]
		if !now.At.After(since) {
			continue
		}
		seconds := now.At.Sub(before.At).Seconds()
		requests := now.Total.Requests - before.Total.Requests
		if now.Total.Requests == 0 {
			requests = now.Total.Connections - before.Total.Connections
		}
		failures := now.Total.Failures + now.Total.ServerErrors - before.Total.Failures - before.Total.ServerErrors
		if seconds <= 0 || requests < 0 || failures < 0 {
			continue // the ingress's container was started anew, and counts from 0
		}
		waits := now.Total.Latency
		for b := range waits {
			waits[b] -= before.Total.Latency[b]
		}
		out = append(out, Sample{
			Time: now.At.UTC(), Requests: float64(requests) / seconds, Failures: float64(failures) / seconds,
			P50: quantile(waits, 0.5), P99: quantile(waits, 0.99),
		})
	}
	return out
}

// quantile is the upper bound of the bucket in which a share of the waits ends, in
// seconds; 0 where there were none.
func quantile(waits ingress.Histogram, share float64) float64 {
	all := int64(0)
	for _, n := range waits {
		all += n
	}
	if all <= 0 {
		return 0
	}
	below := int64(0)
	for i, n := range waits {
		if below += n; float64(below) >= share*float64(all) {
			return ingress.LatencyBounds[min(i, len(ingress.LatencyBounds)-1)].Seconds()
		}
	}
	return 0
}
