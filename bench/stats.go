package main

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// summary is the median of a series and the range it lies in.
type summary[T cmp.Ordered] struct{ median, min, max T }

// summarize describes a series that is not empty. Of an even number of values
// the median is the mean of the two in the middle.
func summarize[T ~int64 | ~float64](series []T) summary[T] {
	s := slices.Sorted(slices.Values(series))
	n := len(s)
	return summary[T]{median: (s[(n-1)/2] + s[n/2]) / 2, min: s[0], max: s[n-1]}
}

// ratios divides two series round by round: what a round was measured under,
// both had in common.
func ratios(of, by []time.Duration) []float64 {
	r := make([]float64, min(len(of), len(by)))
	for i := range r {
		r[i] = of[i].Seconds() / by[i].Seconds()
	}
	return r
}

// duration writes a duration with three digits that matter.
func duration(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d >= time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case d >= 100*time.Millisecond:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	default:
		return fmt.Sprintf("%.1f ms", d.Seconds()*1000)
	}
}
