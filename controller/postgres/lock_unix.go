//go:build unix

package postgres

import (
	"os"
	"syscall"
)

// lock takes the kernel's lock of a file, which ends with the process. It waits for it, or
// fails with syscall.EWOULDBLOCK.
func lock(file *os.File, wait bool) error {
	how := syscall.LOCK_EX
	if !wait {
		how |= syscall.LOCK_NB
	}
	return syscall.Flock(int(file.Fd()), how)
}
