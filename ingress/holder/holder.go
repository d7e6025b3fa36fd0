// Package holder is the first process of an ingress. It owns the listeners and whatever
// must outlive the proxies that it starts: a proxy that dies takes its own connections
// along and no other, as new ones wait at the listeners for the next proxy.
package holder

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/tendhq/tend/ingress"
	"github.com/tendhq/tend/ingress/proxy"
)

const (
	// startLimit is how long the proxy of an upgrade may take to serve.
	startLimit = 10 * time.Second
	// shortLife is less than a proxy lives that works. After one the next waits for
	// restartPause.
	shortLife    = time.Second
	restartPause = 500 * time.Millisecond
)

// Options are what a holder needs.
type Options struct {
	Listen  []string // addresses to listen on
	State   string   // file that keeps the last configuration; beside it is the socket for [Ask]
	Proxy   []string // arguments by which this executable becomes a proxy; the number of listeners follows
	Version string
	Input   io.Reader // requests from tend
	Output  io.Writer // statuses to tend
}

// holder is used by one goroutine, that of Run.
type holder struct {
	Options
	listeners []listener
	config    *ingress.Config // the last one
	children  []*child        // the newest one last
	restarts  int
	gone      ingress.Counters // of proxies that have ended
	err       error            // of the last request
	proxyErr  error            // why no proxy serves
	heard     time.Time
	ending    bool

	input    *ingress.Reader[ingress.Request]
	requests chan request
	reports  chan report
	ended    chan os.Signal   // some child
	restart  <-chan time.Time // when the next proxy is due
	told     *latest
}

// request is a line from tend, or why it is none.
type request struct {
	ingress.Request
	malformed error
	done      chan struct{} // closed when the next line may be read
}

// report is a status of a proxy.
type report struct {
	from   *child
	status ingress.Status
}

// Run holds the listeners until SIGTERM, and then until the last connection has ended.
func Run(o Options) error {
	h := &holder{
		Options:  o,
		requests: make(chan request),
		reports:  make(chan report),
		ended:    make(chan os.Signal, 1),
		told:     newLatest(),
	}
	signal.Notify(h.ended, syscall.SIGCHLD)
	terminate := make(chan os.Signal, 1)
	signal.Notify(terminate, syscall.SIGTERM, syscall.SIGINT)
	if err := h.begin(); err != nil {
		return err
	}
	go h.told.write(o.Output)
	go h.read()
	for !h.ending || len(h.children) > 0 {
		select {
		case r := <-h.requests:
			h.obey(r)
			close(r.done)
		case r := <-h.reports:
			h.note(r)
		case <-h.ended:
			h.reap()
		case <-h.restart:
			h.startProxy()
		case <-terminate:
			h.end()
		}
		h.tell()
	}
	return nil
}

// begin opens the listeners, or takes over those of the executable before.
func (h *holder) begin() error {
	before, err := takeOver()
	if err != nil {
		return err
	}
	h.config, h.err = loadConfig(h.State)
	if err := h.serveStatus(); err != nil {
		return err
	}
	if before == nil {
		h.input = ingress.NewReader[ingress.Request](h.Input)
		if h.listeners, err = listen(h.Listen); err != nil {
			return err
		}
	} else {
		h.resume(before)
	}
	h.reap()
	if h.current() == nil {
		h.startProxy()
	}
	h.tell()
	return nil
}

// read reads lines from tend, one after the other: what follows a line stays where it
// is until the line was carried out, as that may put another executable in our place.
func (h *holder) read() {
	for {
		value, malformed, err := h.input.Next()
		if err != nil {
			return // tend has closed it: the last configuration holds
		}
		r := request{Request: value, malformed: malformed, done: make(chan struct{})}
		h.requests <- r
		<-r.done
	}
}

// obey carries out a request.
func (h *holder) obey(r request) {
	if h.ending {
		return
	}
	h.err = r.malformed
	if h.err == nil {
		h.heard = time.Now()
	}
	if h.err == nil && r.Config != nil {
		h.err = h.configure(*r.Config)
	}
	if h.err == nil && r.Upgrade != "" {
		if err := h.upgrade(r.Upgrade); err != nil {
			h.err = fmt.Errorf("upgrade to %s: %w", r.Upgrade, err)
		}
	}
	h.tell()
	h.told.again()
}

// configure puts a configuration in force. The proxies' reports tell when it is.
func (h *holder) configure(config ingress.Config) error {
	if err := config.Validate(); err != nil {
		return err
	}
	h.config = &config
	for _, c := range h.children {
		c.send(proxy.Order{Config: h.config})
	}
	return saveConfig(h.State, config)
}

// current returns the proxy that accepts connections.
func (h *holder) current() *child {
	for _, c := range h.children {
		if !c.retired {
			return c
		}
	}
	return nil
}

// startProxy starts the proxy that accepts connections.
func (h *holder) startProxy() {
	h.restart = nil
	if h.ending {
		return
	}
	if _, err := h.start("/proc/self/exe"); err != nil {
		h.proxyErr = err
		h.restart = time.After(restartPause)
	}
}

// start starts a proxy from an executable.
func (h *holder) start(executable string) (*child, error) {
	c, err := startChild(executable, h.Proxy, h.listeners)
	if err != nil {
		return nil, fmt.Errorf("start a proxy: %w", err)
	}
	h.adopt(c)
	return c, nil
}

// note notes what a proxy reports. One that reports serves.
func (h *holder) note(r report) {
	r.from.status = &r.status
	h.proxyErr = nil
}

// adopt follows a proxy that runs.
func (h *holder) adopt(c *child) {
	h.children = append(h.children, c)
	go c.read(h.reports)
	if h.config != nil {
		c.send(proxy.Order{Config: h.config})
	}
}

// reap notes which processes have ended. The first process of a container inherits
// those of others, too.
func (h *holder) reap() {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		for i, c := range h.children {
			if c.pid == pid {
				h.children = append(h.children[:i:i], h.children[i+1:]...)
				h.lost(c, status)
				break
			}
		}
	}
}

// lost notes the end of a proxy. The one that accepted connections is replaced.
func (h *holder) lost(c *child, status syscall.WaitStatus) {
	_ = c.control.Close()
	if c.status != nil {
		h.gone = h.gone.Plus(c.status.Total)
	}
	if c.retired || h.ending {
		return
	}
	h.restarts++
	if time.Since(c.started) < shortLife {
		h.proxyErr = fmt.Errorf("a proxy ended after %s: %s", time.Since(c.started).Round(time.Millisecond), describe(status))
		h.restart = time.After(restartPause)
		return
	}
	h.startProxy()
}

// end has everything end: the listeners at once, the proxies after their last
// connections.
func (h *holder) end() {
	h.ending = true
	closeAll(h.listeners)
	for _, c := range h.children {
		c.signal(syscall.SIGTERM)
	}
}

// tell tells tend what has changed.
func (h *holder) tell() {
	var statuses []ingress.Status
	for _, c := range h.children {
		if c.status != nil {
			statuses = append(statuses, *c.status)
		}
	}
	s := ingress.Join(statuses)
	s.Total = s.Total.Plus(h.gone)
	s.Version, s.Restarts, s.Heard = h.Version, h.restarts, h.heard
	for _, l := range h.listeners {
		s.Listening = append(s.Listening, l.address)
	}
	if err := errors.Join(h.err, h.proxyErr); err != nil {
		s.Error = err.Error()
	}
	h.told.set(s)
}

func describe(status syscall.WaitStatus) string {
	if status.Signaled() {
		return "signal " + status.Signal().String()
	}
	return fmt.Sprintf("exit code %d", status.ExitStatus())
}
