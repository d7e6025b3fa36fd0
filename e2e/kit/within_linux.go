package kit

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Within calls do in the network namespace of the bridge, whose address is Outside: what it
// listens at, dials or starts is there. do stays on the goroutine that it is called on.
func (s *Swarm) Within(do func() error) (err error) {
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer home.Close()
	defer func() {
		back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET)
		if back == nil {
			runtime.UnlockOSThread() // else the thread ends with the goroutine
		}
		err = errors.Join(err, back)
	}()
	bridge, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", s.bridge.Process.Pid))
	if err != nil {
		return err
	}
	defer bridge.Close()
	if err := unix.Setns(int(bridge.Fd()), unix.CLONE_NEWNET); err != nil {
		return err
	}
	return do()
}
