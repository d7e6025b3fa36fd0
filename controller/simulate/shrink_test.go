package simulate

import (
	"regexp"
	"slices"
	"testing"
)

// detail is what differs between two failures of one kind.
var detail = regexp.MustCompile(`[0-9a-f]{20,}|\b(p-)?(web|api|db|job|gw)(-\d+)?\b|[0-9a-f]{8}-\w+|[0-9.]+(m?s|h|m)?`)

// kind is a failure without what is by chance.
func kind(failed string) string { return detail.ReplaceAllString(failed, "") }

// shrink makes a failing history shorter: it leaves steps out, and has what is
// left be calmer, for as long as it fails in the same way. It runs at most a
// number of histories.
func shrink(t *testing.T, o outcome, budget int) outcome {
	best := o
	try := func(steps [][]uint16) bool {
		if budget--; budget < 0 {
			return false
		}
		next := run(t, play(steps), 0, false)
		if kind(next.failed) != kind(o.failed) {
			return false
		}
		best = next
		return true
	}
	try(best.tape)
	for size := len(best.tape) / 2; size > 0; size /= 2 {
		for from := 1; from < len(best.tape); {
			if !try(slices.Delete(slices.Clone(best.tape), from, min(from+size, len(best.tape)))) {
				from += size
			}
		}
	}
	for i := range best.tape {
		for j := 0; i < len(best.tape) && j < len(best.tape[i]); j++ {
			if best.tape[i][j] == 0 {
				continue
			}
			calmer := slices.Clone(best.tape)
			calmer[i] = slices.Clone(calmer[i])
			calmer[i][j] = 0
			try(calmer)
		}
	}
	return run(t, play(best.tape), 0, true)
}
