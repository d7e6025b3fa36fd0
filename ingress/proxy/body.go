package proxy

import (
	"errors"
	"io"
	"sync"
)

// keptLimit is how much of a request's body is kept so that it can be sent again.
const keptLimit = 64 << 10

var errSentAgain = errors.New("the request is being sent again")

// body is a request's body that can be read more than once, as long as it is short.
type body struct {
	mu     sync.Mutex
	source io.Reader
	kept   []byte // what was read of the source
	lost   bool   // more was read than is kept
	end    error  // of the source
	newest *attempt
}

// open returns the body from its beginning, and ends the attempt before; nil when the
// beginning is no longer there.
func (b *body) open() io.ReadCloser {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lost {
		return nil
	}
	b.newest = &attempt{body: b}
	return b.newest
}

// failed reports whether the client did not deliver it.
func (b *body) failed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.end != nil && !errors.Is(b.end, io.EOF)
}

// attempt is one reading of a body. Closing it leaves the client's body open.
type attempt struct {
	body *body
	read int // bytes
}

func (a *attempt) Read(p []byte) (int, error) {
	b := a.body
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.newest != a:
		return 0, errSentAgain
	case !b.lost && a.read < len(b.kept):
		n := copy(p, b.kept[a.read:])
		a.read += n
		return n, nil
	case b.end != nil:
		return 0, b.end
	}
	n, err := b.source.Read(p)
	b.end = err
	a.read += n
	if b.lost = b.lost || a.read > keptLimit; b.lost {
		b.kept = nil
	} else {
		b.kept = append(b.kept, p[:n]...)
	}
	return n, err
}

func (a *attempt) Close() error { return nil }

// isLost reports whether the beginning is no longer there to be sent again.
func (b *body) isLost() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lost
}
