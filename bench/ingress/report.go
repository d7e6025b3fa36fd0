package main

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"text/tabwriter"
	"time"
)

// printTable prints the medians of what was measured.
func printTable(names []string, results map[string][]result) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	defer w.Flush()
	fmt.Fprintln(w, "\tper s\tp50\tp99\tGbit/s\tCPU per op or GB\tmemory\t")
	for _, name := range names {
		r := results[name]
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", name,
			number("%.0f", median(r, func(r result) float64 { return r.rate })),
			length(median(r, func(r result) time.Duration { return r.p50 })),
			length(median(r, func(r result) time.Duration { return r.p99 })),
			number("%.1f", median(r, func(r result) float64 { return r.gbits })),
			length(median(r, func(r result) time.Duration { return r.cpu })),
			number("%.0f MiB", float64(median(r, func(r result) int64 { return r.memory }))/(1<<20)))
	}
}

func median[T cmp.Ordered](results []result, of func(result) T) T {
	var values []T
	for _, r := range results {
		values = append(values, of(r))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

func number(format string, value float64) string {
	if value == 0 {
		return ""
	}
	return fmt.Sprintf(format, value)
}

func length(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.Round(time.Microsecond / 10).String()
}
