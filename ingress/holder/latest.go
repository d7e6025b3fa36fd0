package holder

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"reflect"
	"sync"
	"time"

	"github.com/tendhq/tend/ingress"
)

// latest is the status that is to be told next. Whoever reads slowly misses what came
// in between, and the holder waits for nobody.
type latest struct {
	mu      sync.Mutex
	changed *sync.Cond
	status  ingress.Status
	due     bool
}

func newLatest() *latest {
	l := &latest{}
	l.changed = sync.NewCond(&l.mu)
	return l
}

// set has a status told if it differs from the last one.
func (l *latest) set(s ingress.Status) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !reflect.DeepEqual(l.status, s) {
		l.status, l.due = s, true
		l.changed.Signal()
	}
}

// again has a status told though it may not have changed.
func (l *latest) again() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.due = true
	l.changed.Signal()
}

// write writes what is due, for ever. Where nobody reads, it waits.
func (l *latest) write(w io.Writer) {
	for {
		l.mu.Lock()
		for !l.due {
			l.changed.Wait()
		}
		l.due = false
		s := l.status
		l.mu.Unlock()
		if ingress.Write(w, s) != nil {
			return
		}
	}
}

func (l *latest) get() ingress.Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.status
}

func socketOf(state string) string { return state + ".sock" }

// serveStatus answers [Ask].
func (h *holder) serveStatus() error {
	path := socketOf(h.State)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.SetDeadline(time.Now().Add(time.Second))
			_ = ingress.Write(c, h.told.get())
			_ = c.Close()
		}
	}()
	return nil
}

// Ask returns the status of the holder that keeps its state in a file.
func Ask(state string) (s ingress.Status, err error) {
	c, err := net.Dial("unix", socketOf(state))
	if err != nil {
		return s, fmt.Errorf("the ingress does not run: %w", err)
	}
	defer c.Close()
	return s, json.NewDecoder(c).Decode(&s)
}
