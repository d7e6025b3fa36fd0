package main

import (
	"slices"
	"testing"
	"time"
)

func TestSummarizeTakesTheMiddleAndTheEnds(t *testing.T) {
	for name, c := range map[string]struct {
		series []float64
		want   summary[float64]
	}{
		"one":          {[]float64{3}, summary[float64]{3, 3, 3}},
		"odd":          {[]float64{9, 1, 4}, summary[float64]{4, 1, 9}},
		"even":         {[]float64{8, 1, 2, 4}, summary[float64]{3, 1, 8}},
		"an outlier":   {[]float64{1, 1, 1, 1, 100}, summary[float64]{1, 1, 100}},
		"all the same": {[]float64{2, 2, 2, 2}, summary[float64]{2, 2, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			before := slices.Clone(c.series)
			if got := summarize(c.series); got != c.want {
				t.Errorf("summarize(%v) = %v, want %v", c.series, got, c.want)
			}
			if !slices.Equal(c.series, before) {
				t.Errorf("the series was changed to %v", c.series)
			}
		})
	}
}

func TestRatiosCompareWithinARound(t *testing.T) {
	// The machine was twice as slow in the second round, for both.
	tend := []time.Duration{110 * time.Millisecond, 220 * time.Millisecond}
	bare := []time.Duration{100 * time.Millisecond, 200 * time.Millisecond}
	for i, r := range ratios(tend, bare) {
		if r < 1.0999 || r > 1.1001 {
			t.Errorf("ratio of round %d is %v, want 1.1", i+1, r)
		}
	}
}

func TestDurationKeepsThreeDigits(t *testing.T) {
	for d, want := range map[time.Duration]string{
		1234 * time.Microsecond:   "1.2 ms",
		45678 * time.Microsecond:  "45.7 ms",
		456789 * time.Microsecond: "456 ms",
		1234 * time.Millisecond:   "1.23 s",
		12345 * time.Millisecond:  "12.3 s",
	} {
		if got := duration(d); got != want {
			t.Errorf("duration(%s) = %q, want %q", d, got, want)
		}
	}
}
