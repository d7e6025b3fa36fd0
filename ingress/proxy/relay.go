package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// chunk is how many bytes one call moves at most.
	chunk = 64 << 10
	// turn is how many bytes one direction of a pair moves before others have theirs.
	turn = 1 << 20
)

// relay moves bytes between pairs of connections. A pair that is silent costs its two
// sockets and little else: no goroutine waits for it and no buffer belongs to it.
type relay struct {
	loops []*loop
	next  atomic.Uint32
}

func newRelay() (*relay, error) {
	r := &relay{}
	for range runtime.GOMAXPROCS(0) {
		l, err := newLoop()
		if err != nil {
			return nil, fmt.Errorf("prepare to move bytes: %w", err)
		}
		go l.run()
		r.loops = append(r.loops, l)
	}
	return r, nil
}

// join moves bytes between both connections, which it takes over, until both sides
// have ended or one has failed. Then it calls end.
func (r *relay) join(client, replica *net.TCPConn, in, out *atomic.Int64, end func()) error {
	c, err := detach(client)
	if err != nil {
		return errors.Join(err, replica.Close())
	}
	s, err := detach(replica)
	if err != nil {
		return errors.Join(err, unix.Close(c))
	}
	p := &pair{client: c, replica: s, end: end}
	p.in = flow{from: c, to: s, moved: in}
	p.out = flow{from: s, to: c, moved: out}
	return r.loops[int(r.next.Add(1))%len(r.loops)].add(p)
}

// detach takes a connection away from Go's runtime.
func detach(conn *net.TCPConn) (fd int, err error) {
	defer conn.Close()
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	controlErr := raw.Control(func(s uintptr) { fd, err = unix.FcntlInt(s, unix.F_DUPFD_CLOEXEC, 0) })
	return fd, errors.Join(controlErr, err)
}

// pair is a client's connection and the replica's.
type pair struct {
	client, replica int
	in, out         flow
	failed, closed  bool
	end             func()
}

// loop moves the bytes of its pairs in one goroutine. It waits for all of them with an
// epoll instance of its own, and for that with Go's.
type loop struct {
	poll   int
	file   *os.File // poll
	wait   syscall.RawConn
	buffer []byte
	unread []*pair // those that have used up their turn

	mu    sync.Mutex
	pairs map[int32]*pair // by each of its descriptors
}

func newLoop() (*loop, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, err
	}
	l := &loop{poll: fd, file: os.NewFile(uintptr(fd), "epoll"), buffer: make([]byte, chunk), pairs: map[int32]*pair{}}
	l.wait, err = l.file.SyscallConn()
	return l, err
}

func (l *loop) add(p *pair) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, fd := range []int{p.client, p.replica} {
		event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET, Fd: int32(fd)}
		if err := unix.EpollCtl(l.poll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
			return errors.Join(err, unix.Close(p.client), unix.Close(p.replica))
		}
	}
	l.pairs[int32(p.client)], l.pairs[int32(p.replica)] = p, p
	return nil
}

func (l *loop) find(fd int32) *pair {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pairs[fd]
}

func (l *loop) run() {
	events := make([]unix.EpollEvent, 128)
	for {
		n := 0
		// It fails only when the file was closed, which nobody does.
		_ = l.wait.Read(func(fd uintptr) bool {
			n, _ = unix.EpollWait(int(fd), events, 0)
			return n > 0 || len(l.unread) > 0
		})
		unread := l.unread
		l.unread = nil
		for _, p := range unread {
			l.move(p)
		}
		for _, event := range events[:max(n, 0)] {
			if p := l.find(event.Fd); p != nil {
				l.note(p, event)
				l.move(p)
			}
		}
	}
}

// note notes what has become of one side of a pair.
func (l *loop) note(p *pair, event unix.EpollEvent) {
	from, to := &p.in, &p.out
	if int(event.Fd) == p.replica {
		from, to = to, from
	}
	if event.Events&(unix.EPOLLIN|unix.EPOLLRDHUP) != 0 {
		from.readable = true
	}
	if event.Events&unix.EPOLLRDHUP != 0 {
		from.ending = true
	}
	if event.Events&unix.EPOLLOUT != 0 {
		to.writable = true
	}
	if event.Events&unix.EPOLLERR != 0 {
		p.failed = true
	}
}

// move moves what can be moved between a pair.
func (l *loop) move(p *pair) {
	if p.closed {
		return
	}
	err := errors.Join(p.in.move(l.buffer), p.out.move(l.buffer))
	switch {
	case p.failed || err != nil:
		l.close(p, true)
	case p.in.done && p.out.done:
		l.close(p, false)
	case p.in.ready() || p.out.ready():
		l.unread = append(l.unread, p)
	}
}

// close closes both sides; with a reset where one side has failed, so that what was
// broken off does not look whole to the other.
func (l *loop) close(p *pair, reset bool) {
	p.closed = true
	l.mu.Lock()
	delete(l.pairs, int32(p.client))
	delete(l.pairs, int32(p.replica))
	l.mu.Unlock()
	for _, fd := range []int{p.client, p.replica} {
		if reset {
			_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		}
		_ = unix.Close(fd)
	}
	p.end()
}

// flow is one direction of a pair. Each side announces once that it can be read or
// written, which holds until a call finds that it no longer can.
type flow struct {
	from, to           int
	readable, writable bool
	ending             bool   // the end is next, or already there to be read
	pending            []byte // was read and is not yet written
	done               bool   // everything was passed on, and the end of it
	moved              *atomic.Int64
}

// ready reports whether something can be moved now.
func (f *flow) ready() bool {
	return !f.done && f.writable && (f.readable || len(f.pending) > 0)
}

// move moves what can be moved without waiting, up to its turn.
func (f *flow) move(buffer []byte) error {
	for budget := turn; budget > 0 && f.ready(); {
		if len(f.pending) == 0 {
			n, err := f.read(buffer)
			if err != nil {
				return err
			}
			f.pending = buffer[:n]
			budget -= n
		}
		n, err := f.write(f.pending)
		if err != nil {
			return err
		}
		f.pending = f.pending[n:]
	}
	f.pending = bytes.Clone(f.pending) // the buffer is everybody's
	return nil
}

// read reads what is there. At the end it passes on that nothing more comes.
func (f *flow) read(buffer []byte) (int, error) {
	n, err := ignoringEINTR(func() (int, error) { return unix.Read(f.from, buffer) })
	switch {
	case err == unix.EAGAIN:
		f.readable = false
		return 0, nil
	case err != nil:
		return 0, err
	case n == 0:
		f.done = true
		return 0, shutdown(f.to)
	}
	f.readable = n == len(buffer) || f.ending // less is all there was: more is announced
	return n, nil
}

// write writes as much as can be written now.
func (f *flow) write(data []byte) (int, error) {
	if len(data) == 0 {
		return 0, nil
	}
	n, err := ignoringEINTR(func() (int, error) { return unix.Write(f.to, data) })
	if err == unix.EAGAIN {
		n, err = 0, nil
	}
	f.writable = n == len(data)
	f.moved.Add(int64(n))
	return n, err
}

func ignoringEINTR(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if err != unix.EINTR {
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
