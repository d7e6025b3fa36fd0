package proxy

import (
	"bytes"
	"errors"
	"io"
)

const (
	// firstSize is how much a reader reads at once until a head needs more.
	firstSize = 4 << 10
	// maxHead is how long the head of a message may be, as for net/http.
	maxHead = 1 << 20
)

var (
	errBareLF  = errors.New("a line ends without a carriage return")
	errTooLong = errors.New("the head is too long")
)

// reader reads a connection through a buffer, in which a head lies in one piece.
type reader struct {
	source     io.Reader
	buffer     []byte
	start, end int  // what was read and not yet taken
	looked     int  // how much of that was looked at for the end of a head,
	line       int  // and where in it the last line begins
	filled     bool // the last reading has filled its room: there may be more
}

// reset makes the reader read something else.
func (r *reader) reset(source io.Reader) {
	if len(r.buffer) != firstSize {
		r.buffer = make([]byte, firstSize)
	}
	*r = reader{source: source, buffer: r.buffer}
}

func (r *reader) unread() []byte { return r.buffer[r.start:r.end] }

// take takes what was read.
func (r *reader) take(n int) []byte {
	taken := r.buffer[r.start : r.start+n]
	r.start += n
	r.looked, r.line = 0, 0
	return taken
}

// room returns where more can be read to. What was taken before is overwritten.
func (r *reader) room() []byte {
	switch {
	case r.start == r.end:
		r.start, r.end = 0, 0
	case r.end < len(r.buffer):
	case r.start > 0:
		r.end = copy(r.buffer, r.unread())
		r.start = 0
	default:
		r.buffer = append(r.buffer, make([]byte, len(r.buffer))...)
	}
	return r.buffer[r.end:]
}

// fill reads more. It returns an error only when there is nothing more.
func (r *reader) fill() error {
	room := r.room()
	n, err := r.source.Read(room)
	r.end += n
	r.filled = n == len(room)
	if n > 0 {
		return nil
	}
	return err
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	if r.start == r.end {
		if len(p) >= len(r.buffer) {
			n, err := r.source.Read(p)
			r.filled = n == len(p)
			return n, err
		}
		if err := r.fill(); err != nil {
			return 0, err
		}
	}
	return copy(p, r.take(min(len(p), r.end-r.start))), nil
}

// head takes lines up to and with the first empty one; nil as long as that was not read.
// A lenient reader takes lines that end without a carriage return. The bytes are valid
// until more is read.
func (r *reader) head(limit int, lenient bool) ([]byte, error) {
	unread := r.unread()
	for {
		i := bytes.IndexByte(unread[r.looked:], '\n')
		if i < 0 {
			r.looked = len(unread)
			if len(unread) >= limit {
				return nil, errTooLong
			}
			return nil, nil
		}
		end := r.looked + i
		r.looked = end + 1
		text := bytes.TrimSuffix(unread[r.line:end], []byte{'\r'})
		if len(text) == end-r.line && !lenient {
			return nil, errBareLF
		}
		r.line = r.looked
		if len(text) == 0 {
			if r.looked > limit {
				return nil, errTooLong
			}
			return r.take(r.looked), nil
		}
	}
}

// chunkLine takes a line between chunks, as soon as it was read.
func (r *reader) chunkLine() (line []byte, whole bool, err error) {
	unread := r.unread()
	i := bytes.IndexByte(unread, '\n')
	switch {
	case i < 0 && len(unread) < maxChunkLine:
		return nil, false, nil
	case i < 1 || i >= maxChunkLine || unread[i-1] != '\r':
		return nil, false, errChunk
	}
	return r.take(i + 1)[:i-1], true, nil
}
