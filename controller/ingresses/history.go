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

// History is what was counted in the last fifteen minutes, oldest first, by name.
type History map[string][]Sample

// Add keeps what has been counted under a name, unless it is too soon after the last time.
func (h History) Add(name string, total ingress.Counters, now time.Time) {
	all := h[name]
	if len(all) > 0 && now.Sub(all[len(all)-1].At) < sampleEvery-sampleEvery/10 {
		return
	}
	if all = append(all, Sample{At: now, Total: total}); len(all) > maxSamples {
		all = slices.Delete(all, 0, len(all)-maxSamples)
	}
	h[name] = all
	for other, samples := range h {
		if now.Sub(samples[len(samples)-1].At) > maxSamples*sampleEvery {
			delete(h, other) // nobody counts there any more
		}
	}
}

// Clone returns a copy that Add does not change.
func (h History) Clone() History {
	all := maps.Clone(h)
	for name, samples := range all {
		all[name] = slices.Clone(samples)
	}
	return all
}

// Samples returns what each ingress has counted.
func (i *Ingresses) Samples() History {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.samples.Clone()
}
