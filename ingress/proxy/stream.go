package proxy

import (
	"errors"
	"io"
	"strconv"
	"sync"
)

// source is a body that is passed on.
type source interface {
	io.Reader
	instant() bool // reports whether Read would return at once
	trailer() []byte
}

const (
	bufferSize = 32 << 10
	// sizeLine is the room for the line before a chunk.
	sizeLine = len("7fff\r\n")
)

// buffers are lent for the bodies of messages.
var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// stream passes on a message: its head, and of its body what has come before it waits
// for more.
func stream(to io.Writer, head []byte, body source, chunked bool) error {
	lent := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(lent)
	out := append(lent[:0], head...) // a very long head has memory of its own
	for {
		if len(out) > bufferSize/2 || len(out) > 0 && !body.instant() {
			if _, err := to.Write(out); err != nil {
				return err
			}
			out = lent[:0]
		}
		begin := len(out)
		if chunked {
			begin += sizeLine
		}
		n, err := body.Read(lent[begin : bufferSize-len("\r\n")])
		switch {
		case chunked && n > 0:
			out = appendChunk(out, lent[begin:begin+n])
		case n > 0:
			out = lent[:begin+n]
		}
		if errors.Is(err, io.EOF) {
			return end(to, out, body, chunked)
		}
		if err != nil {
			return err
		}
	}
}

// appendChunk appends a chunk, which lies a little behind.
func appendChunk(out, data []byte) []byte {
	out = strconv.AppendInt(out, int64(len(data)), 16)
	out = append(out, "\r\n"...)
	out = append(out, data...)
	return append(out, "\r\n"...)
}

// end passes on the end of a message.
func end(to io.Writer, out []byte, body source, chunked bool) error {
	if chunked {
		out = append(out, "0\r\n"...)
		out = append(out, body.trailer()...)
		out = append(out, "\r\n"...)
	}
	if len(out) == 0 {
		return nil
	}
	_, err := to.Write(out)
	return err
}
