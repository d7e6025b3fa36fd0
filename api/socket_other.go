//go:build !linux

package api

import (
	"errors"
	"net"
	"os"
	"path/filepath"
)

func socketPath(dir *os.File) string { return filepath.Join(dir.Name(), SocketName) }

// userOf would be the user of the process that connected to a Unix socket. A controller,
// which alone is asked by one, runs on Linux.
func userOf(*net.UnixConn) (uid uint32, err error) { return 0, errors.ErrUnsupported }
