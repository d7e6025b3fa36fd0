//go:build !linux

package durable

import (
	"errors"
	"os"
	"time"
)

// A controller, which alone holds a lease or a lock, runs on Linux.

func bootTime() time.Duration { panic("durable: a lease is held on Linux only") }

func tryLock(*os.File) error { return errors.ErrUnsupported }
