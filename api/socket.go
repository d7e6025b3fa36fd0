package api

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
)

// SocketName is the Unix socket's name in the data directory.
const SocketName = "tend.sock"

// ErrInUse reports that another process serves on the socket.
var ErrInUse = errors.New("another tend serves there: stop that one first")

// DialUnix connects to the Unix socket in the data directory. The error is
// fs.ErrNotExist where there is none and ECONNREFUSED where nobody answers.
func DialUnix(ctx context.Context, dataDir string) (net.Conn, error) {
	path := filepath.Join(dataDir, SocketName)
	dir, err := os.Open(dataDir)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", path, err)
	}
	defer dir.Close()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", socketPath(dir))
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", path, cause(err))
	}
	return conn, nil
}

// cause strips the path that only this process knows from an error.
func cause(err error) error {
	if errno := syscall.Errno(0); errors.As(err, &errno) {
		return errno
	}
	return err
}
