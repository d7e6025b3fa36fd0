package proxy

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
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

func (r *relay) pick() *loop { return r.loops[int(r.next.Add(1))%len(r.loops)] }

// join moves bytes between a client and a replica until both have ended or one has
// failed. It takes over both connections, and calls end when they are closed.
func (r *relay) join(client *net.TCPConn, replica int, c *counters, end func()) {
	fd, err := detach(client)
	if err != nil {
		_ = unix.Close(replica)
		c.failures.Add(1)
		end()
		return
	}
	p := &pair{client: fd, replica: replica, end: end}
	p.in = flow{from: fd, to: replica, moved: &c.bytesIn}
	p.out = flow{from: replica, to: fd, moved: &c.bytesOut}
	if err := r.pick().add(p); err != nil {
		c.failures.Add(1)
		closePair(p, true)
	}
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
	lender lender
	unread []*pair // those that have used up their turn

	mu       sync.Mutex
	watchers map[int32]watched // by their descriptors
	watches  int32             // tells apart those that have had the same one
}

// watcher is told what becomes of a descriptor, in the loop's goroutine.
type watcher interface {
	handle(l *loop, event unix.EpollEvent)
}

type watched struct {
	watcher watcher
	watch   int32
}

func newLoop() (*loop, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, err
	}
	l := &loop{poll: fd, file: os.NewFile(uintptr(fd), "epoll"), watchers: map[int32]watched{}}
	l.wait, err = l.file.SyscallConn()
	return l, err
}

func (l *loop) add(p *pair) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, fd := range [...]int{p.client, p.replica} {
		if err := l.watch(fd, p, unix.EPOLLIN|unix.EPOLLOUT|unix.EPOLLRDHUP|unix.EPOLLET); err != nil {
			return err
		}
	}
	return nil
}

// watch has a watcher told of a descriptor's events. The caller has the mutex.
func (l *loop) watch(fd int, w watcher, events uint32) error {
	l.watches++
	l.watchers[int32(fd)] = watched{w, l.watches}
	return unix.EpollCtl(l.poll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: int32(fd), Pad: l.watches})
}

// forget undoes watch.
func (l *loop) forget(fd int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.watchers, int32(fd))
	_ = unix.EpollCtl(l.poll, unix.EPOLL_CTL_DEL, fd, nil)
}

// await waits until a descriptor is writable.
func (l *loop) await(fd int, timeout time.Duration) error {
	w := make(writable)
	l.mu.Lock()
	err := l.watch(fd, w, unix.EPOLLOUT|unix.EPOLLONESHOT)
	l.mu.Unlock()
	defer l.forget(fd)
	if err != nil {
		return err
	}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-w:
		return nil
	case <-timer.C:
		return unix.ETIMEDOUT
	}
}

// writable is closed when a descriptor is, which is announced once.
type writable chan struct{}

func (w writable) handle(*loop, unix.EpollEvent) { close(w) }

// find returns the watcher that an event is for; nil when it is no longer there.
func (l *loop) find(event unix.EpollEvent) watcher {
	l.mu.Lock()
	defer l.mu.Unlock()
	if found := l.watchers[event.Fd]; found.watch == event.Pad {
		return found.watcher
	}
	return nil
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
			if w := l.find(event); w != nil {
				w.handle(l, event)
			}
		}
	}
}

// handle implements watcher.
func (p *pair) handle(l *loop, event unix.EpollEvent) {
	p.note(event)
	l.move(p)
}

// note notes what has become of one side of a pair.
func (p *pair) note(event unix.EpollEvent) {
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
		if from.done {
			p.failed = true
		}
		from.readable, from.ending = true, true // what came before the error is still there
	}
}

// move moves what can be moved between a pair.
func (l *loop) move(p *pair) {
	if p.closed {
		return
	}
	err := errors.Join(p.in.move(&l.lender), p.out.move(&l.lender))
	switch {
	case p.failed || err != nil:
		l.close(p, true)
	case p.in.done && p.out.done:
		l.close(p, false)
	case p.in.ready() || p.out.ready():
		l.unread = append(l.unread, p)
	}
}

func (l *loop) close(p *pair, reset bool) {
	p.closed = true
	l.mu.Lock()
	delete(l.watchers, int32(p.client))
	delete(l.watchers, int32(p.replica))
	l.mu.Unlock()
	p.in.close()
	p.out.close()
	closePair(p, reset)
}

// closePair closes both sides; with a reset where one side has failed, so that what was
// broken off does not look whole to the other. A reset would take along what is still
// under way to that side.
func closePair(p *pair, reset bool) {
	for _, fd := range [...]int{p.client, p.replica} {
		if reset && underWay(fd) == 0 {
			_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		}
		_ = unix.Close(fd)
	}
	p.end()
}

// underWay is how many bytes of what was written have not arrived.
func underWay(fd int) int {
	n, _ := unix.IoctlGetInt(fd, unix.SIOCOUTQ)
	return n
}
