package api

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/go-chi/chi/v5"

	"github.com/tendhq/tend/state"
)

// eventQuery selects events.
type eventQuery struct {
	workload string
	// since is the ID after which to begin.
	since uint64
	// limit bounds how many past events are returned, the newest; 0 for all.
	limit int
}

// parseEventQuery reads the query and, for a stream that is resumed, the
// Last-Event-ID header.
func parseEventQuery(r *http.Request) (eventQuery, error) {
	values := r.URL.Query()
	q := eventQuery{workload: cmp.Or(chi.URLParam(r, "name"), values.Get("workload"))}
	since := values.Get("since")
	if wantsStream(r) {
		since = cmp.Or(r.Header.Get("Last-Event-ID"), since)
	}
	if since != "" {
		id, err := strconv.ParseUint(since, 10, 63)
		if err != nil {
			return q, problem(http.StatusBadRequest, fmt.Sprintf("since and Last-Event-ID are the name of an event, a number, and not %q", since))
		}
		q.since = id
	}
	if limit := values.Get("limit"); limit != "" {
		n, err := strconv.ParseUint(limit, 10, 31)
		if err != nil || n == 0 {
			return q, problem(http.StatusBadRequest, fmt.Sprintf("limit is a number from 1, and not %q", limit))
		}
		q.limit = int(n)
	}
	return q, nil
}

// find returns what the query asks for, oldest first.
func (q eventQuery) find(snap *state.Snapshot) []Event {
	if q.since > snap.LastEvent() {
		q.since = 0 // the ID is from before a restart of the controller
	}
	var found []Event
	for _, e := range snap.Events(q.since) {
		if q.workload == "" || e.Workload == q.workload {
			found = append(found, toEvent(e))
		}
	}
	if q.limit > 0 && len(found) > q.limit {
		found = slices.Delete(found, 0, len(found)-q.limit)
	}
	return found
}

// events lists events, or streams them one by one, the past ones first.
func (s *server) events(w http.ResponseWriter, r *http.Request) {
	q, err := parseEventQuery(r)
	if err != nil {
		fail(w, err)
		return
	}
	snap := s.Store.Snapshot()
	changes := snap.Watch()
	found := q.find(snap)
	if name := chi.URLParam(r, "name"); name != "" && len(found) == 0 {
		if _, ok := snap.Workload(name); !ok {
			fail(w, noWorkload(snap, name))
			return
		}
	}
	if !wantsStream(r) {
		writeJSON(w, NewList(found))
		return
	}
	release, ok := s.hold(w, r)
	if !ok {
		return
	}
	defer release()
	out := newStream(w)
	for {
		for _, e := range found {
			if out.send(e.Metadata.Name, encode(e)) != nil {
				return
			}
		}
		q.since, q.limit = snap.LastEvent(), 0
		if !out.wait(r.Context(), changes) {
			return
		}
		snap = s.Store.Snapshot()
		changes = snap.Watch()
		found = q.find(snap)
	}
}
