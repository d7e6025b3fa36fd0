//go:build unix

package edit

import (
	"os"
	"syscall"
)

// tryLock takes the kernel's lock of a file, or fails with syscall.EWOULDBLOCK.
func tryLock(f *os.File) error {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}

// ownLike gives a file the owner of another one.
func ownLike(f *os.File, other os.FileInfo) error {
	owner := other.Sys().(*syscall.Stat_t)
	if int(owner.Uid) == os.Geteuid() {
		return nil
	}
	return f.Chown(int(owner.Uid), int(owner.Gid))
}
