package proxy

import (
	"errors"
	"io"
	"math"
	"strconv"
)

const (
	// maxChunkLine is how long a line between chunks may be.
	maxChunkLine = 1 << 10
	// maxTrailer is how long the fields after a body may be together.
	maxTrailer = 4 << 10
)

var errChunk = bad("the body is not in chunks")

// content is the body of a message, and is read where its head was read.
type content struct {
	reader  *reader
	framing framing
	left    int64 // of the body or its chunk
	next    part  // what follows that
	ended   bool
	broken  error  // it is not in chunks
	after   []byte // the fields that come after the body
}

// part is a part of a body.
type part int

const (
	theEnd part = iota
	aSize
	aLineEnd
	aTrailer
)

func newContent(r *reader, f framing) *content {
	switch {
	case f.chunked:
		return &content{reader: r, framing: f, next: aSize}
	case f.length == untilEnd:
		return &content{reader: r, framing: f, left: math.MaxInt64}
	}
	return &content{reader: r, framing: f, left: f.length, ended: f.length == 0}
}

// whole reports whether all of it is known to have been read from the connection.
func (c *content) whole() bool {
	return c.ended || c.next == theEnd && c.left <= int64(len(c.reader.unread()))
}

// instant reports whether Read would return at once.
func (c *content) instant() bool {
	return c.frame() != nil || c.ended || c.left > 0 && len(c.reader.unread()) > 0
}

// trailer returns the lines that come after the body.
func (c *content) trailer() []byte { return c.after }

// Read implements io.Reader. When the connection was not ready, it can be tried again.
func (c *content) Read(p []byte) (int, error) {
	for {
		if err := c.frame(); err != nil {
			return 0, err
		}
		switch {
		case c.ended:
			return 0, io.EOF
		case c.left == 0:
			if err := c.reader.fill(); err != nil {
				return 0, unexpected(err)
			}
		default:
			n, err := c.reader.Read(p[:min(int64(len(p)), c.left)])
			if c.left -= int64(n); n == 0 && errors.Is(err, io.EOF) && c.framing.length == untilEnd {
				c.ended = true
			} else {
				return n, unexpected(err)
			}
		}
	}
}

// frame takes what has been read of what is between the bytes of the body.
func (c *content) frame() error {
	if c.broken == nil {
		c.broken = c.takeFrame()
	}
	return c.broken
}

func (c *content) takeFrame() error {
	for c.left == 0 && !c.ended {
		if c.next == theEnd {
			c.ended = true
			return nil
		}
		if c.next == aTrailer {
			lines, err := c.reader.head(maxTrailer, false)
			if lines == nil || err != nil {
				return err
			}
			c.ended = true
			return c.keep(lines)
		}
		line, whole, err := c.reader.chunkLine()
		if !whole || err != nil {
			return err
		}
		if c.next == aLineEnd {
			if len(line) > 0 {
				return errChunk
			}
			c.next = aSize
			continue
		}
		var ok bool
		if c.left, ok = parseSize(line); !ok {
			return errChunk
		}
		if c.next = aLineEnd; c.left == 0 {
			c.next = aTrailer
		}
	}
	return nil
}

// keep keeps the fields after the body, but for those that belong into a head.
func (c *content) keep(lines []byte) error {
	fields, err := parseFields(nil, lines)
	if err != nil {
		return err
	}
	var name [nameLimit]byte
	for _, f := range fields {
		switch string(f.known(&name)) {
		case "host", "content-length", "transfer-encoding", "connection", "keep-alive", "proxy-connection",
			"upgrade", "te", "trailer", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto":
		default:
			c.after = f.appendTo(c.after)
		}
	}
	return nil
}

// parseSize returns the size of a chunk. What may follow it concerns the connection alone.
func parseSize(line []byte) (size int64, ok bool) {
	digits := 0
	for digits < len(line) && isHex(line[digits]) {
		digits++
	}
	if digits > 15 || digits < len(line) && line[digits] != ';' || !isText(line) {
		return 0, false
	}
	size, err := strconv.ParseInt(string(line[:digits]), 16, 64)
	return size, err == nil
}

// unexpected is the error of a body that ends too early.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
