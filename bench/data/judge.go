package main

import (
	"fmt"
	"slices"
	"sync"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/mount"

	"github.com/tendhq/tend/e2e/kit"
)

// What must never be done to data.
const (
	twoOnOne    = "two running containers on what is not shared"
	volumeGone  = "a volume deleted"
	foreignHarm = "a container of another Compose file or folder stopped"
	takenDown   = "all taken down by an empty Compose file"
	notBack     = "not running as written in time"
	damaged     = "damaged data"
	unreadable  = "data that cannot be read"
)

// violation is something that must never be, and what was seen of it.
type violation struct{ What, Detail string }

func (v violation) String() string { return v.What + ": " + v.Detail }

// judge holds what the engine tells of one project's containers against what
// must hold of each volume and bind mount.
type judge struct {
	// shared is whether the project's own replicas may share a mount.
	shared bool
	// tell adds a line to the project's story.
	tell func(format string, arguments ...any)

	mu     sync.Mutex
	boxes  map[string]*box // by ID
	mounts map[string]bool // volumes that were seen, by name
	seen   []violation
	closed bool
}

// box is a container of the project.
type box struct {
	id, name string
	running  bool
	// foreign is whether it is of another Compose file or folder.
	foreign bool
	// holds are its writable volumes, by name, and bind mounts, by folder.
	holds []string
}

func newJudge(shared bool, tell func(format string, arguments ...any)) *judge {
	return &judge{shared: shared, tell: tell, boxes: map[string]*box{}, mounts: map[string]bool{}}
}

// fail notes what must never be.
func (j *judge) fail(what, format string, arguments ...any) {
	v := violation{what, fmt.Sprintf(format, arguments...)}
	j.seen = append(j.seen, v)
	j.tell("VIOLATION: %s", v)
}

// report notes what others than the judge have seen.
func (j *judge) report(what, format string, arguments ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.fail(what, format, arguments...)
}

// made notes a container, before it runs.
func (j *judge) made(c container.InspectResponse) {
	j.mu.Lock()
	defer j.mu.Unlock()
	b := &box{id: c.ID, name: c.Name, foreign: c.Config.Labels[kit.ServiceLabel] != service}
	for _, m := range c.Mounts {
		if m.Type == mount.TypeVolume {
			j.mounts[m.Name] = true
		}
		switch {
		case !m.RW:
		case m.Type == mount.TypeVolume:
			b.holds = append(b.holds, "volume "+m.Name)
		case m.Type == mount.TypeBind:
			b.holds = append(b.holds, "folder "+m.Source)
		}
	}
	j.boxes[c.ID] = b
	j.tell("engine: %s %.12s holds %v", b.name, b.id, b.holds)
}

// told notes an event of the engine.
func (j *judge) told(m events.Message) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return
	}
	if m.Type == events.VolumeEventType {
		if m.Action == events.ActionDestroy && j.mounts[m.Actor.ID] {
			j.fail(volumeGone, "%s", m.Actor.ID)
		}
		return
	}
	b := j.boxes[m.Actor.ID]
	if b == nil {
		return
	}
	j.tell("engine: %s %s %.12s", m.Action, b.name, b.id)
	switch m.Action {
	case events.ActionStart:
		b.running = true
		j.started(b)
	case events.ActionDie:
		b.running = false
		if b.foreign {
			j.fail(foreignHarm, "%s", b.name)
		}
	case events.ActionRename:
		b.name = m.Actor.Attributes["name"]
	case events.ActionDestroy:
		delete(j.boxes, b.id)
	}
}

// started holds a container that runs now against all others that run.
func (j *judge) started(b *box) {
	for _, other := range j.boxes {
		if other == b || !other.running || j.shared && !b.foreign && !other.foreign {
			continue
		}
		for _, held := range b.holds {
			if slices.Contains(other.holds, held) {
				j.fail(twoOnOne, "%s began while %s ran on %s", b.name, other.name, held)
			}
		}
	}
}

// close has the judge look away from what follows, as the project is removed.
func (j *judge) close() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.closed = true
}

// violations are those that were seen.
func (j *judge) violations() []violation {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.seen)
}

// volumes are those that the project's containers ever had.
func (j *judge) volumes() (names []string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for name := range j.mounts {
		names = append(names, name)
	}
	return names
}

// audit returns the acknowledged rows that were not read back.
func audit(acknowledged []int, read map[int]bool) (lost []int) {
	for _, n := range acknowledged {
		if !read[n] {
			lost = append(lost, n)
		}
	}
	return lost
}
