package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// journal notes, in the order in which they were seen, what was done to the
// shop, what tend asked the engine for, and what the engine told.
type journal struct {
	mu   sync.Mutex
	file *os.File
	last []string // the latest lines, at most shownLines
}

// shownLines is how much of the journal is shown with a violation.
const shownLines = 150

func newJournal(path string) (*journal, error) {
	file, err := os.Create(path)
	return &journal{file: file}, err
}

func (j *journal) close() error { return j.file.Close() }

// note adds a line; who is the column before it.
func (j *journal) note(who, format string, arguments ...any) {
	line := fmt.Sprintf("%s %-7s %s", time.Now().UTC().Format("15:04:05.000"), who, fmt.Sprintf(format, arguments...))
	j.mu.Lock()
	defer j.mu.Unlock()
	_, _ = fmt.Fprintln(j.file, line) // a lost line is no reason to end the run
	if j.last = append(j.last, line); len(j.last) > 2*shownLines {
		j.last = append([]string(nil), j.last[shownLines:]...)
	}
}

// say adds a line and shows it.
func (j *journal) say(format string, arguments ...any) {
	j.note("chaos", format, arguments...)
	fmt.Printf("%s %s\n", time.Now().UTC().Format(time.TimeOnly), fmt.Sprintf(format, arguments...))
}

// show writes the latest lines.
func (j *journal) show(w io.Writer) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, line := range j.last[max(len(j.last)-shownLines, 0):] {
		_, _ = fmt.Fprintln(w, line)
	}
}
