package client

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"io"
	"iter"
)

// maxLine bounds a line of a stream, in bytes: the longest is a list of all workloads.
const maxLine = 64 << 20

// errEnded reports that a stream has ended, which none does by itself.
var errEnded = errors.New("the controller has ended the stream")

// messages yields the data of each server-sent event, which is good until the next one:
// https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
// The last thing it yields is an error.
func messages(r io.Reader) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		lines := bufio.NewScanner(r)
		lines.Buffer(nil, maxLine)
		var data []byte
		for lines.Scan() {
			if value, ok := bytes.CutPrefix(lines.Bytes(), []byte("data: ")); ok {
				data = append(data, value...)
			} else if len(lines.Bytes()) == 0 && len(data) > 0 {
				if !yield(data, nil) {
					return
				}
				data = data[:0]
			}
		}
		yield(nil, cmp.Or(lines.Err(), errEnded))
	}
}
