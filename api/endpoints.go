package api

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/tendhq/tend/state"
)

const (
	// defaultWait and maxWait bound how long a blocking query is held.
	defaultWait = 30 * time.Second
	maxWait     = 5 * time.Minute
	// maxSubscriber bounds the length of a subscriber's name.
	maxSubscriber = 128
)

// endpointQuery says how to answer a query for the endpoints.
type endpointQuery struct {
	// blocks holds the answer until the index differs from index, for at most wait.
	blocks bool
	index  uint64
	wait   time.Duration
	// subscriber is who has the endpoints of index in force; it may be empty.
	subscriber string
}

func parseEndpointQuery(r *http.Request) (endpointQuery, error) {
	values := r.URL.Query()
	q := endpointQuery{wait: defaultWait, subscriber: values.Get("subscriber")}
	if len(q.subscriber) > maxSubscriber {
		return q, problem(http.StatusBadRequest, fmt.Sprintf("subscriber has at most %d bytes", maxSubscriber))
	}
	if index := values.Get("index"); index != "" {
		n, err := strconv.ParseUint(index, 10, 64)
		if err != nil {
			return q, problem(http.StatusBadRequest, fmt.Sprintf("index is that of an answer, a number, and not %q", index))
		}
		q.blocks, q.index = true, n
	}
	if wait := values.Get("wait"); wait != "" {
		d, err := time.ParseDuration(wait)
		if err != nil || d < 0 || d > maxWait {
			return q, problem(http.StatusBadRequest, fmt.Sprintf("wait is a duration as 30s, of at most %s, and not %q", maxWait, wait))
		}
		q.wait = d
	}
	return q, nil
}

// endpoints answers with the endpoints: at once, as a stream, or, when asked
// for what follows an index, once there is something or the wait is over.
func (s *server) endpoints(w http.ResponseWriter, r *http.Request) {
	q, err := parseEndpointQuery(r)
	if err != nil {
		fail(w, err)
		return
	}
	if err := s.Ready(); err != nil {
		// What is not known yet must not look like a project without replicas:
		// a subscriber goes on with what it had.
		fail(w, problem(http.StatusServiceUnavailable, "the endpoints are not known yet, or not any more: go on with the last ones"))
		return
	}
	if q.blocks {
		if !wantsStream(r) {
			release, err := s.hold(r)
			if err != nil {
				fail(w, err)
				return
			}
			defer release()
		}
		lost := func() {}
		if q.subscriber != "" {
			lost = s.Controller.Subscribed(q.subscriber, s.acknowledged(q.index))
		}
		if !wantsStream(r) {
			_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(q.wait + sendTimeout))
			s.block(r.Context(), q)
			if r.Context().Err() != nil {
				lost()
			}
		}
	}
	s.serve(listEndpoints)(w, r)
}

// acknowledged is the index that a subscriber has in force. One that was not
// given out yet is from before a restart, and says nothing.
func (s *server) acknowledged(index uint64) uint64 {
	if index > s.Store.Snapshot().EndpointsIndex() {
		return 0
	}
	return index
}

// block waits until the index is another one than the query's, its wait is
// over, or ctx ends.
func (s *server) block(ctx context.Context, q endpointQuery) {
	ctx, cancel := context.WithTimeout(ctx, q.wait)
	defer cancel()
	for {
		snap := s.Store.Snapshot()
		changes := snap.Watch()
		if snap.EndpointsIndex() != q.index || changes.WatchCtx(ctx) != nil {
			return
		}
	}
}

func listEndpoints(snap *state.Snapshot, _ *http.Request) (any, error) {
	return endpoints(snap)
}

// endpoints lists what is published. Before every workload was looked at, it is
// not known what that is: to answer with less would withdraw replicas that
// serve, when the controller was restarted.
func endpoints(snap *state.Snapshot) (Endpoints, error) {
	e := Endpoints{Index: snap.EndpointsIndex(), Workloads: map[string][]Endpoint{}}
	for _, row := range snap.Workloads() {
		if _, ok := snap.Status(row.Name); !ok {
			return e, problem(http.StatusServiceUnavailable, "the controller has not looked at workload "+row.Name+" yet: go on with the endpoints known before, and ask again")
		}
		e.Workloads[row.Name] = toEndpoints(snap.Endpoints(row.Name))
	}
	return e, nil
}
