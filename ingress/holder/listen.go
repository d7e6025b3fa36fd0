package holder

import (
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// listener is a listening socket. It is unknown to Go's runtime, which would wake the
// holder for each connection that a proxy accepts.
type listener struct {
	fd      int
	address string
}

// listen opens a listener at each address.
func listen(addresses []string) ([]listener, error) {
	var all []listener
	for _, address := range addresses {
		l, err := open(address)
		if err != nil {
			closeAll(all)
			return nil, err
		}
		all = append(all, l)
	}
	return all, nil
}

func open(address string) (listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return listener{}, err
	}
	defer l.Close() // the descriptor that is kept is a copy
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		return listener{}, err
	}
	kept := -1
	if controlErr := raw.Control(func(fd uintptr) { kept, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) }); controlErr != nil {
		return listener{}, controlErr
	}
	if err != nil {
		return listener{}, fmt.Errorf("keep the listener at %s: %w", address, err)
	}
	return listener{fd: kept, address: l.Addr().String()}, nil
}

func closeAll(listeners []listener) {
	for _, l := range listeners {
		_ = unix.Close(l.fd)
	}
}
