package proxy

import (
	"errors"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// dialTimeout is how long a replica on a network of this machine may take to take a
	// connection: as long as the kernel waits before it repeats itself.
	dialTimeout = time.Second
	// probeAfter is after how many silent seconds the kernel asks whether a replica is
	// still there, and how often.
	probeAfter = 15
)

// dial connects for a pair: with a fraction of the calls that Go's dialer takes, as the
// socket is never one of Go's.
func (r *relay) dial(to netip.AddrPort) (fd int, err error) {
	family, address := sockaddr(to)
	fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, os.NewSyscallError("socket", err)
	}
	for _, option := range [...]struct{ level, name, value int }{
		{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, probeAfter},
		{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, probeAfter},
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
	} {
		if err := unix.SetsockoptInt(fd, option.level, option.name, option.value); err != nil {
			_ = unix.Close(fd)
			return 0, os.NewSyscallError("setsockopt", err)
		}
	}
	// On one machine a connection is there at once, which the second call tells.
	err = unix.Connect(fd, address)
	if errors.Is(err, unix.EINPROGRESS) {
		err = unix.Connect(fd, address)
	}
	if errors.Is(err, unix.EALREADY) {
		if err = r.pick().await(fd, dialTimeout); err == nil {
			err = unix.Connect(fd, address)
		}
	}
	if err != nil {
		_ = unix.Close(fd)
		return 0, os.NewSyscallError("connect", err)
	}
	return fd, nil
}

func sockaddr(a netip.AddrPort) (family int, address unix.Sockaddr) {
	if ip := a.Addr().Unmap(); ip.Is4() {
		return unix.AF_INET, &unix.SockaddrInet4{Addr: ip.As4(), Port: int(a.Port())}
	}
	return unix.AF_INET6, &unix.SockaddrInet6{Addr: a.Addr().As16(), Port: int(a.Port())}
}
