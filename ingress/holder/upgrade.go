package holder

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tendhq/tend/ingress"
)

// heldVariable names the environment variable with the descriptor of what one
// executable leaves to the next.
const heldVariable = "TEND_INGRESS_HELD"

// held is what one executable leaves to the next.
type held struct {
	Listeners []heldListener
	Children  []heldChild
	Input     []byte // was read from tend, and not yet carried out
	Gone      ingress.Counters
	Restarts  int
	Heard     time.Time
}

type heldListener struct {
	FD      int
	Address string
}

type heldChild struct {
	PID, FD int
	Started time.Time
	Retired bool
	Status  *ingress.Status
}

// upgrade puts another executable in the place of this one. It begins with the proxy:
// when that does not serve, nothing else has changed.
func (h *holder) upgrade(executable string) error {
	before := slices.Clone(h.children)
	next, err := h.start(executable)
	if err != nil {
		return err
	}
	next.retired = true // until it serves, its end is not that of the current one
	if err := h.await(next); err != nil {
		next.signal(syscall.SIGKILL)
		return err
	}
	next.retired = false
	for _, c := range before {
		if !c.retired {
			c.retire()
		}
	}
	return h.exec(executable)
}

// await waits until a proxy serves.
func (h *holder) await(c *child) error {
	if h.config == nil {
		return errors.New("a proxy serves only once it has a configuration, and there is none yet")
	}
	limit := time.After(startLimit)
	for c.status == nil {
		select {
		case r := <-h.reports:
			h.note(r)
		case <-h.ended:
			h.reap()
			if !slices.Contains(h.children, c) {
				return errors.New("its proxy ended before it served")
			}
		case <-limit:
			return fmt.Errorf("its proxy did not serve within %s", startLimit)
		}
	}
	return nil
}

// exec leaves everything to another executable. It returns only when that failed.
func (h *holder) exec(executable string) error {
	left := held{Input: h.input.Buffered(), Gone: h.gone, Restarts: h.restarts, Heard: h.heard}
	var fds []int
	for _, l := range h.listeners {
		left.Listeners = append(left.Listeners, heldListener{l.fd, l.address})
		fds = append(fds, l.fd)
	}
	for _, c := range h.children {
		left.Children = append(left.Children, heldChild{c.pid, c.fd, c.started, c.retired, c.status})
		fds = append(fds, c.fd)
	}
	note, err := left.write()
	if err != nil {
		return err
	}
	defer note.Close()
	fd := int(note.Fd())
	fds = append(fds, fd)
	keepOverExec(fds, true)
	defer keepOverExec(fds, false)
	env := append(os.Environ(), heldVariable+"="+strconv.Itoa(fd))
	return &os.PathError{Op: "exec", Path: executable, Err: syscall.Exec(executable, os.Args, env)}
}

// write writes it to memory that a descriptor belongs to.
func (left held) write() (*os.File, error) {
	text, err := json.Marshal(left)
	if err != nil {
		return nil, err
	}
	fd, err := unix.MemfdCreate("held", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	note := os.NewFile(uintptr(fd), "held")
	_, err = note.WriteAt(text, 0)
	return note, err
}

func keepOverExec(fds []int, keep bool) {
	flags := unix.FD_CLOEXEC
	if keep {
		flags = 0
	}
	for _, fd := range fds {
		_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETFD, flags)
	}
}

// takeOver returns what the previous executable handed over; nil where there was none.
func takeOver() (*held, error) {
	value, ok := os.LookupEnv(heldVariable)
	if !ok {
		return nil, nil
	}
	if err := os.Unsetenv(heldVariable); err != nil {
		return nil, err
	}
	fd, err := strconv.Atoi(value)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", heldVariable, err)
	}
	note := os.NewFile(uintptr(fd), "held")
	defer note.Close()
	left := &held{}
	if err := json.NewDecoder(note).Decode(left); err != nil {
		return nil, fmt.Errorf("%s: %w", heldVariable, err)
	}
	return left, nil
}

// resume takes over the listeners, the counters and the proxies of the previous
// executable. Each proxy gets the configuration again, and answers with its status.
func (h *holder) resume(left *held) {
	h.gone, h.restarts, h.heard = left.Gone, left.Restarts, left.Heard
	h.input = ingress.NewReader[ingress.Request](io.MultiReader(bytes.NewReader(left.Input), h.Input))
	for _, l := range left.Listeners {
		h.listeners = append(h.listeners, listener{fd: l.FD, address: l.Address})
		keepOverExec([]int{l.FD}, false)
	}
	for _, c := range left.Children {
		keepOverExec([]int{c.FD}, false)
		next, err := newChild(c.PID, c.FD)
		if err != nil {
			h.err = err
			continue
		}
		next.started, next.retired, next.status = c.Started, c.Retired, c.Status
		h.adopt(next)
	}
}
