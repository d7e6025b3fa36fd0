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
func (s *Swarm) Within(do func() error) error { return within(s.bridge.Process.Pid, do) }

// Within calls do in the network namespace of the engine, from which its containers can be
// reached. do stays on the goroutine that it is called on.
func (e *Engine) Within(do func() error) error { return within(e.cmd.Process.Pid, do) }

// within calls do in the network namespace of a process.
func within(pid int, do func() error) (err error) {
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
	there, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return err
	}
	defer there.Close()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		return err
	}
	return do()
}
