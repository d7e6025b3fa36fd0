package observe

import (
	"context"
	"sync"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/spec"
)

const (
	// lookRate is how many containers are inspected per second because of events, and
	// maxHints how many at once after a quiet time. An event storm costs the engine no
	// more than that.
	lookRate = 100
	// maxHints also bounds how many containers can wait to be inspected. Beyond that a
	// full list replaces the single looks, and costs as many of them.
	maxHints = 1000
	// resourceRate is how many times a second the resources are looked at because of
	// events, and maxResourceLooks how many times at once after a quiet time.
	resourceRate, maxResourceLooks = 1, 10
)

// hints are what events came for since it was last looked at. A container is inspected
// once, however many events came for it.
type hints struct {
	mu  sync.Mutex
	ids map[string]bool
	all bool // too many to name
	// resources is set where an event was of an image, a network or a volume.
	resources bool
	ended     bool // no more events come
	ends      *ends
	// oomKill is told of processes that were ended for lack of memory; nil where nobody is.
	oomKill func(workload string, number int)
	// come holds a value while there is something to take.
	come chan struct{}
}

func newHints(e *ends, oomKill func(string, int)) *hints {
	return &hints{ids: map[string]bool{}, come: make(chan struct{}, 1), ends: e, oomKill: oomKill}
}

// collect notes events as they come, until the stream or ctx ends. It never waits, as
// the engine drops events when a reader is slow.
func (h *hints) collect(ctx context.Context, events <-chan engine.Event) {
	for {
		select {
		case e, open := <-events:
			if !open {
				h.change(func() { h.ended = true })
				return
			}
			if e.ContainerID == "" {
				h.change(func() { h.resources = true })
				continue
			}
			kept := isKept(e.Labels)
			if kept && e.Action == "oom" && h.oomKill != nil {
				h.oomKill(spec.WorkloadOf(e.Labels), number(e.Labels[spec.LabelContainerNumber]))
			}
			if kept && h.ends.note(e) {
				h.add(e.ContainerID)
			}
		case <-ctx.Done():
			return
		}
	}
}

// add has containers inspected.
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
	something := h.all || h.resources || h.ended || len(h.ids) > 0
	h.mu.Unlock()
	if !something {
		return
	}
	select {
	case h.come <- struct{}{}:
	default:
	}
}

// taken is what has come since hints were last taken.
type taken struct {
	ids                   map[string]bool
	all, resources, ended bool
}

// take returns what has come since the last call.
func (h *hints) take() taken {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := taken{ids: h.ids, all: h.all, resources: h.resources, ended: h.ended}
	h.ids, h.all, h.resources = map[string]bool{}, false, false
	return t
}
