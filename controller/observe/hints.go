package observe

import (
	"context"
	"sync"

	"github.com/tendhq/tend/controller/engine"
)

const (
	// lookRate is how many containers are looked at in a second for what events
	// say, and maxHints how many at once after a quiet time. An event storm costs
	// the engine no more than that.
	lookRate = 100
	// maxHints is besides how many containers can wait to be looked at; where it
	// would be more, a full list tells of all, and counts as as many looks.
	maxHints = 1000
)

// hints are the containers that something happened to since they were looked at
// last. However many events come of one, it is looked at once for all of them.
type hints struct {
	mu    sync.Mutex
	ids   map[string]bool
	all   bool // too many to name
	ended bool // no more events come
	ends  *ends
	// come holds a value where there is something to take.
	come chan struct{}
}

func newHints(e *ends) *hints {
	return &hints{ids: map[string]bool{}, come: make(chan struct{}, 1), ends: e}
}

// collect notes events as they come, until their end or that of ctx: of a slow
// reader the engine would drop some.
func (h *hints) collect(ctx context.Context, events <-chan engine.Event) {
	for {
		select {
		case e, open := <-events:
			if !open {
				h.change(func() { h.ended = true })
				return
			}
			if isKept(e.Labels) && h.ends.note(e) {
				h.add(e.ContainerID)
			}
		case <-ctx.Done():
			return
		}
	}
}

// add has containers looked at.
func (h *hints) add(ids ...string) {
	h.change(func() {
		for _, id := range ids {
			switch {
			case h.all || h.ids[id]:
			case len(h.ids) < maxHints:
				h.ids[id] = true
			default:
				h.all = true
				clear(h.ids)
			}
		}
	})
}

func (h *hints) change(do func()) {
	h.mu.Lock()
	do()
	something := h.all || h.ended || len(h.ids) > 0
	h.mu.Unlock()
	if !something {
		return
	}
	select {
	case h.come <- struct{}{}:
	default:
	}
}

// take returns what has come since it was called before.
func (h *hints) take() (ids map[string]bool, all, ended bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	ids, all = h.ids, h.all
	h.ids, h.all = map[string]bool{}, false
	return ids, all, h.ended
}
