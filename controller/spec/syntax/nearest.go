package syntax

import (
	"fmt"
	"slices"
	"strings"
)

// Nearest returns the known name that a mistyped one most likely stands for,
// or "" where none is close.
func Nearest(name string, known []string) string {
	best, bestDistance := "", max(2, len(name)/3)+1
	for _, k := range known {
		if d := editDistance(strings.ToLower(name), strings.ToLower(k)); d < bestDistance {
			best, bestDistance = k, d
		}
	}
	return best
}

// editDistance is the number of inserted, removed, replaced or swapped
// neighbouring bytes between a and b.
func editDistance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			change := 1
			if a[i] == b[j] {
				change = 0
			}
			row[j+1] = min(last[j]+change, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

// NoWorkload says that there is no workload of a name, and which of the known ones may be
// meant.
func NoWorkload(name string, known []string) string {
	text := fmt.Sprintf("there is no workload %q", name)
	if meant := Nearest(name, slices.Sorted(slices.Values(known))); meant != "" {
		text += fmt.Sprintf("; did you mean %q?", meant)
	}
	return text
}
