package holder

import (
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tendhq/tend/ingress"
	"github.com/tendhq/tend/ingress/proxy"
)

// sendLimit is how long a proxy may take to read an order. One that does not hangs, and
// is killed.
const sendLimit = 5 * time.Second

// child is a proxy. Its descriptor outlives this executable.
type child struct {
	pid     int
	started time.Time
	retired bool
	fd      int // of control
	control *os.File
	status  *ingress.Status // the last one
}

// startChild starts a proxy, for which [proxy.Inherit] tells what its descriptors are.
func startChild(executable string, args []string, listeners []listener) (*child, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(pair[1])
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	// The holder's output is for tend.
	files := []uintptr{null.Fd(), 2, 2, uintptr(pair[1])}
	for _, l := range listeners {
		files = append(files, uintptr(l.fd))
	}
	argv := slices.Concat([]string{os.Args[0]}, args, []string{strconv.Itoa(len(listeners))})
	pid, err := syscall.ForkExec(executable, argv, &syscall.ProcAttr{Env: os.Environ(), Files: files})
	if err != nil {
		_ = unix.Close(pair[0])
		return nil, &os.PathError{Op: "exec", Path: executable, Err: err}
	}
	return newChild(pid, pair[0])
}

// newChild returns the child with a process id at the other end of a descriptor.
func newChild(pid, fd int) (*child, error) {
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, err
	}
	return &child{pid: pid, started: time.Now(), fd: fd, control: os.NewFile(uintptr(fd), "proxy")}, nil
}

// send gives the proxy an order.
func (c *child) send(order proxy.Order) {
	_ = c.control.SetWriteDeadline(time.Now().Add(sendLimit))
	if err := ingress.Write(c.control, order); err != nil {
		c.signal(syscall.SIGKILL)
	}
}

// retire has the proxy end after its last connection.
func (c *child) retire() {
	c.retired = true
	c.send(proxy.Order{Retire: true})
}

// signal signals the proxy. It has not been reaped, so that no other has its number.
func (c *child) signal(s syscall.Signal) { _ = syscall.Kill(c.pid, s) }

// read passes on the proxy's statuses until it has ended.
func (c *child) read(reports chan<- report) {
	statuses := ingress.NewReader[ingress.Status](c.control)
	for {
		status, malformed, err := statuses.Next()
		if err != nil {
			return
		}
		if malformed == nil { // as the rest of a line is that the executable before had begun to read
			reports <- report{from: c, status: status}
		}
	}
}
