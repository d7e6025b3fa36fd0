package ingresses

import (
	"maps"
	"slices"
	"time"

	"github.com/tendhq/tend/ingress"
)

const (
	// sampleEvery is how far apart the samples are at least, and maxSamples how many of an
	// ingress are kept: those of fifteen minutes.
	sampleEvery = 5 * time.Second
	maxSamples  = 181
)

// Sample is what an ingress had counted at an instant.
type Sample struct {
	At    time.Time
	Total ingress.Counters
}

// sample keeps what an ingress has counted, unless it is too soon after the last time. The
// mutex is held.
func (i *Ingresses) sample(workload string, total ingress.Counters, now time.Time) {
	all := i.samples[workload]
	if len(all) > 0 && now.Sub(all[len(all)-1].At) < sampleEvery-sampleEvery/10 {
		return
	}
	if all = append(all, Sample{At: now, Total: total}); len(all) > maxSamples {
		all = slices.Delete(all, 0, len(all)-maxSamples)
	}
	i.samples[workload] = all
	for other, samples := range i.samples {
		if now.Sub(samples[len(samples)-1].At) > maxSamples*sampleEvery {
			delete(i.samples, other) // the ingress is gone
		}
	}
}

// Samples returns what was counted in the last fifteen minutes, oldest first, by ingress.
func (i *Ingresses) Samples() map[string][]Sample {
	i.mu.Lock()
	defer i.mu.Unlock()
	all := maps.Clone(i.samples)
	for workload, samples := range all {
		all[workload] = slices.Clone(samples)
	}
	return all
}
