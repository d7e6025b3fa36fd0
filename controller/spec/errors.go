package spec

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Error is one mistake in what a person wrote.
type Error struct {
	// File is the file to open; it is empty where no file is at fault. Line
	// and Column count from 1; 0 means unknown.
	File         string
	Line, Column int
	// Workload is the Compose service concerned, if it is one.
	Workload string
	// Message names the mistake, and Hint what to do about it.
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

// shorten keeps a message on one screen, also where it quotes a value of a megabyte.
func shorten(s string) string {
	const most = 1000 // bytes
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// Errors are all the mistakes that were found, by file, line and column. Every error
// that a person has to correct is of this type; reach it with errors.As.
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

// Count is the number of mistakes, and of the files that they are in, in words.
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

// Unwrap lets errors.As reach each Error.
func (e Errors) Unwrap() []error {
	all := make([]error, len(e))
	for i, one := range e {
		all[i] = one
	}
	return all
}

// OrNil sorts the mistakes, drops repeated ones, and returns nil where there are none.
func (e Errors) OrNil() error {
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
