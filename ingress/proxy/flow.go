package proxy

import (
	"bytes"
	"errors"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

const (
	// little is how many bytes are moved through memory of our own at once. What is more
	// goes through a pipe, where the kernel need not copy it.
	little = 16 << 10
	// pipeSize is how much a pipe holds.
	pipeSize = 256 << 10
	// turn is how many bytes one direction of a pair moves before others have theirs.
	turn = 1 << 20
)

// flow is one direction of a pair. Each side announces once that it can be read or
// written, which holds until a call finds that it no longer can.
type flow struct {
	from, to           int
	readable, writable bool
	ending             bool   // the end is next, or already there to be read
	done               bool   // everything was passed on, and the end of it
	pending            []byte // was read and is not yet written
	pipe               *pipe  // holds what comes after pending; nil when that is nothing
	much               bool   // there was more than little at once
	moved              *atomic.Int64
}

// ready reports whether something can be moved now.
func (f *flow) ready() bool {
	return !f.done && f.writable && (f.readable || f.holds())
}

func (f *flow) holds() bool { return len(f.pending) > 0 || f.pipe != nil }

// move moves what can be moved without waiting, up to its turn.
func (f *flow) move(l *lender) error {
	for budget := turn; budget > 0 && f.ready(); {
		if !f.holds() {
			if err := f.read(l); err != nil {
				return err
			}
		}
		n, err := f.write(l)
		if err != nil {
			return err
		}
		budget -= n
	}
	if len(f.pending) > 0 && !f.writable {
		f.pending = bytes.Clone(f.pending) // the memory is everybody's
	}
	return nil
}

// read reads what is there. At the end it passes on that nothing more comes.
func (f *flow) read(l *lender) error {
	if f.much {
		f.pipe = l.pipe()
	}
	var n int
	var err error
	if f.pipe != nil {
		n, err = splice(f.from, f.pipe.write, pipeSize)
		f.pipe.holds = n
	} else {
		n, err = ignoringEINTR(func() (int, error) { return unix.Read(f.from, l.memory[:]) })
		f.pending = l.memory[:n]
	}
	switch {
	case errors.Is(err, unix.EAGAIN):
		f.readable, err = false, nil
	case err == nil && n == 0:
		f.done, err = true, shutdown(f.to)
	case err == nil && f.pipe == nil:
		f.much = n == little
		f.readable = f.much || f.ending // less is all there was: more is announced
	}
	if f.pipe != nil && f.pipe.holds == 0 {
		l.giveBack(f.pipe)
		f.pipe, f.much = nil, false
	}
	return err
}

// write writes as much as can be written now.
func (f *flow) write(l *lender) (n int, err error) {
	switch {
	case len(f.pending) > 0:
		n, err = ignoringEINTR(func() (int, error) { return unix.Write(f.to, f.pending) })
		f.writable = n == len(f.pending)
		f.pending = f.pending[n:]
	case f.pipe != nil:
		n, err = splice(f.pipe.read, f.to, f.pipe.holds)
		f.writable = err == nil
		if f.pipe.holds -= n; f.pipe.holds == 0 {
			l.giveBack(f.pipe)
			f.pipe = nil
		}
	}
	f.moved.Add(int64(n))
	if errors.Is(err, unix.EAGAIN) {
		err = nil
	}
	return n, err
}

// close throws away what was not written.
func (f *flow) close() {
	if f.pipe != nil {
		f.pipe.close()
	}
}

// lender lends what a flow moves bytes with. It belongs to one loop.
type lender struct {
	memory [little]byte
	pipes  []*pipe // empty ones
}

// maxPipes is how many pipes are kept for the next flow.
const maxPipes = 16

// pipe returns an empty pipe, and nil where there can be none.
func (l *lender) pipe() *pipe {
	if n := len(l.pipes); n > 0 {
		p := l.pipes[n-1]
		l.pipes = l.pipes[:n-1]
		return p
	}
	return newPipe()
}

func (l *lender) giveBack(p *pipe) {
	if len(l.pipes) == maxPipes {
		p.close()
		return
	}
	l.pipes = append(l.pipes, p)
}

// pipe is a pipe with what it holds.
type pipe struct{ read, write, holds int }

func newPipe() *pipe {
	var fds [2]int
	if unix.Pipe2(fds[:], unix.O_NONBLOCK|unix.O_CLOEXEC) != nil {
		return nil
	}
	// The kernel may refuse: then it holds less.
	_, _ = unix.FcntlInt(uintptr(fds[0]), unix.F_SETPIPE_SZ, pipeSize)
	return &pipe{read: fds[0], write: fds[1]}
}

func (p *pipe) close() {
	_ = unix.Close(p.read)
	_ = unix.Close(p.write)
}

// splice moves bytes between a socket and a pipe.
func splice(from, to, n int) (int, error) {
	return ignoringEINTR(func() (int, error) {
		moved, err := unix.Splice(from, nil, to, nil, n, unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
		return int(moved), err
	})
}

func ignoringEINTR(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if !errors.Is(err, unix.EINTR) {
			return max(n, 0), err
		}
	}
}

// shutdown tells a side that nothing more comes. One that has ended already does not
// need to be told.
func shutdown(fd int) error {
	if err := unix.Shutdown(fd, unix.SHUT_WR); err != nil && !errors.Is(err, unix.ENOTCONN) {
		return err
	}
	return nil
}
