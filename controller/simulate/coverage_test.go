package simulate

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// coverage counts how often a fault befell an operation.
type coverage map[[2]string]int

func (c coverage) count(op, fault string) { c[[2]string{op, fault}]++ }

func (c coverage) add(other coverage) {
	for cell, n := range other {
		c[cell] += n
	}
}

// cells are all that the fault matrix has.
func cells() [][2]string {
	return nil
}

func (c coverage) String() string {
	var b strings.Builder
	op := ""
	for _, cell := range slices.SortedFunc(maps.Keys(c), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) }) {
		if cell[0] != op {
			op = cell[0]
			fmt.Fprintf(&b, "\n%s: ", op)
		} else {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s %d", cell[1], c[cell])
	}
	return strings.TrimSpace(b.String())
}
