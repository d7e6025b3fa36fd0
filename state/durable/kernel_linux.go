package durable

import (
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// bootTime is a clock that nobody sets and that goes on while the machine is suspended,
// unlike Go's.
func bootTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		panic(fmt.Sprintf("durable: %v", err)) // Linux has it since 2.6.39
	}
	return time.Duration(t.Nano())
}

// tryLock takes the kernel's lock of a file, or fails with syscall.EWOULDBLOCK.
func tryLock(f *os.File) error {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}
