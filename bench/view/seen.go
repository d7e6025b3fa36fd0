package main

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// change is a replica that has become ready, or has ceased to be: at the engine, or on a
// screen.
type change struct {
	Replica string
	Ready   bool
	At      time.Time
}

// delays are the times from each change at the engine until it was seen; unseen is how
// many never were. Each replica changes once each way.
func delays(changes, seen []change) (delays []time.Duration, unseen int) {
	for _, c := range changes {
		i := slices.IndexFunc(seen, func(s change) bool { return s.Replica == c.Replica && s.Ready == c.Ready && !s.At.Before(c.At) })
		if i < 0 {
			unseen++
			continue
		}
		delays = append(delays, seen[i].At.Sub(c.At))
	}
	return delays, unseen
}

// quantile is the least time that a share of the times does not exceed; 0 of none.
func quantile(share float64, times []time.Duration) time.Duration {
	if len(times) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(times))
	return sorted[max(0, int(math.Ceil(share*float64(len(sorted))))-1)]
}

// spread writes the quantiles of times.
func spread(times []time.Duration) string {
	return fmt.Sprintf("p50 %s, p95 %s, max %s", milliseconds(quantile(0.5, times)), milliseconds(quantile(0.95, times)), milliseconds(quantile(1, times)))
}

func milliseconds(d time.Duration) string {
	if d < 10*time.Millisecond {
		return fmt.Sprintf("%.1f ms", d.Seconds()*1000)
	}
	return fmt.Sprintf("%.0f ms", d.Seconds()*1000)
}
