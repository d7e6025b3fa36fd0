package api

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
)

// socketPath names the socket in an open directory. The kernel takes paths of
// at most 107 bytes for sockets; this one is always short.
func socketPath(dir *os.File) string {
	return fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), SocketName)
}

// ListenUnix listens on the Unix socket in the data directory, which must
// exist. Only the user that runs the process can connect. The file of a
// process that died is replaced; one on which somebody answers is not, and the
// error is ErrInUse. The caller sees to it that two do not listen at once.
func ListenUnix(dataDir string) (net.Listener, error) {
	path := filepath.Join(dataDir, SocketName)
	if err := removeStale(path, dataDir); err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	dir, err := os.Open(dataDir)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var chmod error
		// bind gives the file the socket's own mode, so that there is no
		// instant at which others can connect.
		err := c.Control(func(fd uintptr) { chmod = syscall.Fchmod(int(fd), 0o600) })
		return errors.Join(err, chmod)
	}}
	l, err := config.Listen(context.Background(), "unix", socketPath(dir))
	if err != nil {
		_ = dir.Close()
		return nil, fmt.Errorf("listen on %s: %w", path, cause(err))
	}
	return &unixListener{Listener: l, dir: dir, path: path}, nil
}

// unixListener keeps the directory open by which its socket goes.
type unixListener struct {
	net.Listener
	dir  *os.File
	path string
}

func (l *unixListener) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }

// Close removes the socket.
func (l *unixListener) Close() error {
	return errors.Join(l.Listener.Close(), l.dir.Close())
}

// removeStale removes a socket on which nobody answers.
func removeStale(path, dataDir string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return errors.New("the file is there and is no socket: remove it, or choose another data directory")
	}
	conn, err := DialUnix(context.Background(), dataDir)
	switch {
	case err == nil:
		_ = conn.Close()
		return ErrInUse
	case errors.Is(err, syscall.ECONNREFUSED):
		return os.Remove(path)
	default:
		return err
	}
}

// userOf is the user of the process that connected to a Unix socket.
func userOf(c *net.UnixConn) (uid uint32, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var user *syscall.Ucred
	var failed error
	err = raw.Control(func(fd uintptr) {
		user, failed = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err != nil {
		return 0, err
	}
	if failed != nil {
		return 0, failed
	}
	return user.Uid, nil
}
