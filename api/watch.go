package api

import (
	"encoding/json"
	"net/http"
	"strings"
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
	object      string
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
	release, err := s.hold(r)
	if err != nil {
		fail(w, err)
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
	put := func(key string, row, status any, make func() any) error {
		there[key] = true
		before, known := c.sent[key]
		if known && before.row == row && before.status == status {
			return nil
		}
		now := watched{row: row, status: status, object: string(encode(make()))}
		c.sent[key] = now
		switch {
		case !known:
			return c.send(Added, "", []byte(now.object))
		case now.object != before.object:
			return c.send(Modified, "", []byte(now.object))
		}
		return nil
	}
	project := c.project()
	if err := put("project", project, nil, func() any { return project }); err != nil {
		return err
	}
	statuses := map[string]*state.Status{}
	for _, row := range snap.Statuses() {
		statuses[row.Workload] = row
	}
	for _, row := range snap.Workloads() {
		if err := put("workload "+row.Name, row, statuses[row.Name], func() any { return toWorkload(row, statuses[row.Name]) }); err != nil {
			return err
		}
	}
	for _, row := range snap.Replicas("") {
		if err := put("replica "+row.ID, row, statuses[row.Workload], func() any { return toReplica(snap, row.Replica) }); err != nil {
			return err
		}
	}
	for key, gone := range c.sent {
		if !there[key] {
			delete(c.sent, key)
			if err := c.send(Deleted, "", []byte(gone.object)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *watch) send(kind, id string, object []byte) error {
	return c.out.send(id, encode(WatchEvent{Type: kind, Object: json.RawMessage(strings.TrimSpace(string(object)))}))
}

// project is the controller's view of itself.
func (s *server) project() Project {
	p := Project{TypeMeta: typeMeta(ProjectKind), Metadata: Metadata{Name: s.Project}, Status: ProjectStatus{Ready: true, Version: s.Version}}
	if err := s.Ready(); err != nil {
		p.Status.Ready, p.Status.Message = false, err.Error()
	}
	return p
}
