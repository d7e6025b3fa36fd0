package spec

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Error is one problem in what a person wrote.
type Error struct {
	// File is the file to open; it is empty where no file is at fault. Line
	// and Column count from 1; 0 means unknown.
	File         string
	Line, Column int
	// Workload is the Compose service concerned, if it is one.
	Workload string
	// Message says what is wrong, Hint what to do about it.
	Message, Hint string
}

// Error returns "file:line:column: message; hint", without what is unknown.
func (e *Error) Error() string {
	var b strings.Builder
	if e.File != "" {
		b.WriteString(e.File)
		if e.Line > 0 {
			fmt.Fprintf(&b, ":%d", e.Line)
			if e.Column > 0 {
				fmt.Fprintf(&b, ":%d", e.Column)
			}
		}
		b.WriteString(": ")
	}
	b.WriteString(shorten(e.Message))
	if e.Hint != "" {
		b.WriteString("; ")
		b.WriteString(shorten(e.Hint))
	}
	return b.String()
}

// shorten keeps what quotes a value of a megabyte on a screen.
func shorten(s string) string {
	const most = 1000 // bytes
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// Errors are all the problems that Load found, by file, line and column. It is
// the type of every error that is a person's to correct; reach it by errors.As.
type Errors []*Error

// mostSaid is how many problems Error names.
const mostSaid = 20

// Error returns one line per problem. Of very many it names the first and counts
// the others: it is for screens, events and logs.
func (e Errors) Error() string {
	var lines []string
	for _, one := range e[:min(len(e), mostSaid)] {
		lines = append(lines, one.Error())
	}
	if more := len(e) - mostSaid; more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more, %s in all; tend validate lists each", more, e.Count()))
	}
	return strings.Join(lines, "\n")
}

// Count says how many problems there are, and in how many files.
func (e Errors) Count() string {
	files := map[string]bool{}
	for _, one := range e {
		files[one.File] = true
	}
	count := func(n int, what string) string {
		if n == 1 {
			return "1 " + what
		}
		return fmt.Sprintf("%d %ss", n, what)
	}
	return count(len(e), "problem") + " in " + count(len(files), "file")
}

// Unwrap gives errors.As each single Error.
func (e Errors) Unwrap() []error {
	all := make([]error, len(e))
	for i, one := range e {
		all[i] = one
	}
	return all
}

// orNil sorts the problems, drops those said twice, and returns nil where
// there are none.
func (e Errors) orNil() error {
	if len(e) == 0 {
		return nil
	}
	slices.SortStableFunc(e, func(a, b *Error) int {
		return cmp.Or(
			strings.Compare(a.File, b.File),
			cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Column, b.Column),
			strings.Compare(a.Message, b.Message),
		)
	})
	return slices.CompactFunc(e, func(a, b *Error) bool { return *a == *b })
}

// nearest returns the known name that a mistyped one most likely stands for,
// or "" where none is close.
func nearest(name string, known []string) string {
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
