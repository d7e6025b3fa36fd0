package client

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"iter"
)

// errEnded reports that a stream has ended, which none does by itself.
var errEnded = errors.New("the controller has ended the stream")

// messages yields the data of each server-sent event:
// https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
// The last thing it yields is an error.
func messages(r io.Reader) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		in := bufio.NewReader(r)
		var data []byte
		for {
			line, err := in.ReadBytes('\n')
			if err != nil {
				if errors.Is(err, io.EOF) {
					err = errEnded
				}
				yield(nil, err)
				return
			}
			line = bytes.TrimSuffix(line, []byte("\n"))
			if value, ok := bytes.CutPrefix(line, []byte("data: ")); ok {
				data = append(data, value...)
			} else if len(line) == 0 && len(data) > 0 {
				if !yield(data, nil) {
					return
				}
				data = nil
			}
		}
	}
}
