package proxy

import (
	"errors"
	"io"
	"os"
	"sync"
)

// keptLimit is how much of a request's body is kept so that it can be sent again.
const keptLimit = 64 << 10

var errSentAgain = errors.New("the request is being sent again")

// body is a request's body that can be read more than once, while it is short. A
// request without a body has a nil one.
type body struct {
	// interrupt has the source's Read return [os.ErrDeadlineExceeded] or no longer do so.
	interrupt func(bool)

	mu     sync.Mutex
	source source
	kept   []byte // what was read of the source
	lost   bool   // more was read than is kept
	end    error  // of the source
	newest *attempt
}

// open returns the body from its beginning; nil when that is no longer there.
func (b *body) open() *attempt {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lost {
		return nil
	}
	b.newest = &attempt{body: b}
	return b.newest
}

// shut ends the reading of the last attempt. From then on nobody reads the source.
func (b *body) shut() {
	if !b.mu.TryLock() {
		b.interrupt(true)
		b.mu.Lock()
		b.interrupt(false)
	}
	b.newest = nil
	b.mu.Unlock()
}

// failed reports whether the client did not deliver it.
func (b *body) failed() bool {
	if b == nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.end != nil && !errors.Is(b.end, io.EOF)
}

// isLost reports whether the beginning is no longer there to be sent again.
func (b *body) isLost() bool {
	if b == nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lost
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
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return n, errSentAgain
	}
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

// instant implements source.
func (a *attempt) instant() bool {
	b := a.body
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.newest != a || a.read < len(b.kept) || b.end != nil || b.source.instant()
}

// trailer implements source.
func (a *attempt) trailer() []byte {
	b := a.body
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.source.trailer()
}
