package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"time"

	"github.com/tendhq/tend/state"
)

// coalesce is how long a watch waits after a message for changes that come together.
const coalesce = 25 * time.Millisecond

// The types of watch events, as in Kubernetes.
const (
	Added    = "ADDED"
	Modified = "MODIFIED"
	Deleted  = "DELETED"
	// Bookmark tells that everything there is has been sent.
	Bookmark = "BOOKMARK"
)

// watched is what a watch has sent of one object.
type watched struct {
	// row and status are what the object was made from. As rows are immutable, the same
	// ones make the same object.
	row, status any
	// sum is the object's, kept in its place, as there may be many.
	sum [sha256.Size]byte
	// object makes it again.
	object func(*state.Snapshot) any
}

// watch is a stream of everything: the project, workloads and replicas as they are, and
// then each change of them; and events.
type watch struct {
	*server
	out  *stream
	sent map[string]watched
}

// watchAll streams everything. A stream that is resumed begins with all objects anew, as
// what they are now is what counts, and with the events that came after.
func (s *server) watchAll(w http.ResponseWriter, r *http.Request) {
	q, err := parseEventQuery(r)
	if err == nil && !wantsStream(r) {
		err = problem(http.StatusNotAcceptable, "a watch is a stream: send Accept: "+StreamType)
	}
	if err == nil && q.since > s.Store.Snapshot().LastEvent() {
		err = problem(http.StatusGone, "no event of that number has happened yet, so it is from a state that was lost: begin without Last-Event-ID and since")
	}
	if err != nil {
		fail(w, err)
		return
	}
	release, ok := s.hold(w, r)
	if !ok {
		return
	}
	defer release()
	c := &watch{server: s, out: newStream(w), sent: map[string]watched{}}
	for first := true; ; first = false {
		// What is read here only tells when to look again: the snapshot that is sent from
		// is newer.
		changing := s.Store.Snapshot()
		changes := changing.Watch()
		changing.Workloads()
		changing.Statuses()
		changing.Scales()
		changing.Replicas("")
		changing.Events(q.since)
		snap := s.Store.Snapshot()
		err := c.objects(snap)
		for _, e := range q.find(snap) {
			if err == nil {
				err = c.send(Added, e.Metadata.Name, encode(e))
			}
		}
		if first && err == nil {
			err = c.send(Bookmark, "", encode(s.project()))
		}
		q.since, q.limit = snap.LastEvent(), 0
		if err != nil || !c.out.wait(r.Context(), changes) {
			return
		}
		select {
		case <-time.After(coalesce):
		case <-r.Context().Done():
			return
		}
	}
}

// objects sends the objects that differ from those that were sent.
func (c *watch) objects(snap *state.Snapshot) error {
	there := map[string]bool{}
	put := func(key string, row, status any, object func(*state.Snapshot) any) error {
		there[key] = true
		before, known := c.sent[key]
		if known && before.row == row && before.status == status {
			return nil
		}
		text := encode(object(snap))
		now := watched{row: row, status: status, sum: sha256.Sum256(text), object: object}
		c.sent[key] = now
		switch {
		case !known:
			return c.send(Added, "", text)
		case now.sum != before.sum:
			return c.send(Modified, "", text)
		}
		return nil
	}
	project := c.project()
	if err := put("project", project, nil, func(*state.Snapshot) any { return project }); err != nil {
		return err
	}
	statuses := map[string]*state.Status{}
	for _, row := range snap.Statuses() {
		statuses[row.Workload] = row
	}
	for _, row := range snap.Workloads() {
		status, scale := statuses[row.Name], snap.Scale(row.Name)
		decided := struct {
			*state.Status
			*state.Scale
		}{status, scale}
		if err := put("workload "+row.Name, row, decided, func(*state.Snapshot) any { return toWorkload(row, status, scale) }); err != nil {
			return err
		}
	}
	for _, row := range snap.Replicas("") {
		if err := put("replica "+row.ID, row, statuses[row.Workload], func(snap *state.Snapshot) any { return toReplica(snap, row.Replica) }); err != nil {
			return err
		}
	}
	for key, gone := range c.sent {
		if !there[key] {
			delete(c.sent, key)
			if err := c.send(Deleted, "", encode(gone.object(snap))); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *watch) send(kind, id string, object []byte) error {
	return c.out.send(id, encode(WatchEvent{Type: kind, Object: json.RawMessage(bytes.TrimSpace(object))}))
}

// project is the controller's view of itself.
func (s *server) project() Project {
	p := Project{TypeMeta: typeMeta(ProjectKind), Metadata: Metadata{Name: s.Project}, Status: ProjectStatus{Ready: true, Version: s.Version, Swarm: s.Swarm}}
	if err := s.Ready(); err != nil {
		p.Status.Ready, p.Status.Message = false, err.Error()
	}
	return p
}
