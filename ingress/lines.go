package ingress

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
)

// Reader reads values of T, one from each line.
type Reader[T any] struct {
	lines *bufio.Reader
}

// NewReader returns a reader of what r delivers.
func NewReader[T any](r io.Reader) *Reader[T] {
	return &Reader[T]{lines: bufio.NewReader(r)}
}

// Next waits for the next line that is not empty. With a line that is no T, whose error
// malformed is, it can be called again; after any other error it cannot.
func (r *Reader[T]) Next() (value T, malformed, err error) {
	for {
		line, err := r.lines.ReadBytes('\n')
		if err != nil {
			return value, nil, err // what came of a last line is not whole
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			return value, json.Unmarshal(line, &value), nil
		}
	}
}

// Buffered returns what was read and belongs to lines to come.
func (r *Reader[T]) Buffered() []byte {
	rest, _ := r.lines.Peek(r.lines.Buffered())
	return rest
}

// Write writes a value as a line, with one call of w. The line before it, which
// somebody may have left unfinished, ends first.
func Write(w io.Writer, value any) error {
	line, err := json.Marshal(value)
	if err != nil {
		return err
	}
	_, err = w.Write(append(append([]byte{'\n'}, line...), '\n'))
	return err
}
