package api

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/tendhq/tend/controller"
	"github.com/tendhq/tend/state"
)

// endpointsPath is where the endpoints are asked for.
const endpointsPath = "/api/v1/endpoints"

const (
	// defaultWait and maxWait bound how long a blocking query is held.
	defaultWait = 30 * time.Second
	maxWait     = 5 * time.Minute
	// maxSubscriber bounds the length of a subscriber's name.
	maxSubscriber = 128
)

// endpointQuery is a query for the endpoints.
type endpointQuery struct {
	// blocks holds the answer until the index differs from index, for at most wait.
	blocks bool
	index  uint64
	wait   time.Duration
	// subscriber names the one who has the endpoints of index in force; it may be
	// empty.
	subscriber string
}

func parseEndpointQuery(r *http.Request) (endpointQuery, error) {
	q, err := parseBlockingQuery(r)
	q.subscriber = r.URL.Query().Get("subscriber")
	switch {
	case err != nil:
		return q, err
	case len(q.subscriber) > maxSubscriber:
		return q, problem(http.StatusBadRequest, fmt.Sprintf("subscriber has at most %d bytes", maxSubscriber))
	case q.wait > maxWait:
		return q, problem(http.StatusBadRequest, fmt.Sprintf("wait is at most %s, and not %s", maxWait, q.wait))
	}
	return q, nil
}

// parseBlockingQuery reads the index and the wait of a query. The caller bounds the wait.
func parseBlockingQuery(r *http.Request) (endpointQuery, error) {
	values := r.URL.Query()
	q := endpointQuery{wait: defaultWait}
	if index := values.Get("index"); index != "" {
		n, err := strconv.ParseUint(index, 10, 64)
		if err != nil {
			return q, problem(http.StatusBadRequest, fmt.Sprintf("index is the number that an earlier answer gave, and not %q", index))
		}
		q.blocks, q.index = true, n
	}
	if wait := values.Get("wait"); wait != "" {
		d, err := time.ParseDuration(wait)
		if err != nil || d < 0 {
			return q, problem(http.StatusBadRequest, fmt.Sprintf("wait is a duration as 30s, and not %q", wait))
		}
		q.wait = d
	}
	return q, nil
}

// endpoints answers with the endpoints: at once, as a stream, or, where a query asks
// for what follows an index, once there is something or the wait is over.
func (s *server) endpoints(w http.ResponseWriter, r *http.Request) {
	q, err := parseEndpointQuery(r)
	if err != nil {
		fail(w, err)
		return
	}
	carried, err := readCarried(w, r, q)
	if err != nil {
		fail(w, err)
		return
	}
	if err := s.Ready(); err != nil {
		// Endpoints that are not known yet must not look like a project without
		// replicas: a subscriber keeps those that it had.
		fail(w, endpointsUnknown())
		return
	}
	if q.blocks {
		if !wantsStream(r) {
			release, ok := s.hold(w, r)
			if !ok {
				return
			}
			defer release()
		}
		disconnected := func() {}
		if q.subscriber != "" {
			who := controller.Subscriber{Peer: peerFrom(r).name, Name: q.subscriber}
			if disconnected, err = s.Controller.Subscribed(who, s.acknowledged(q.index)); err != nil {
				fail(w, problem(http.StatusTooManyRequests, fmt.Sprintf("endpoints are followed from here under %d names already: use one of them, or wait a minute", controller.MaxNames)))
				return
			}
			if carried != nil {
				s.Controller.Carried(who, carried)
			}
		}
		if !wantsStream(r) {
			_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(q.wait + sendTimeout))
			s.block(r.Context(), q)
			if r.Context().Err() != nil {
				disconnected()
			}
		}
	}
	s.serve(listEndpoints)(w, r)
}

// endpointsUnknown is the answer while the controller cannot tell which replicas are ready.
func endpointsUnknown() *Problem {
	return problem(http.StatusServiceUnavailable, "the endpoints are not known yet, or not any more: go on with the last ones")
}

// acknowledged is the index that a subscriber has in force. An index that was not given
// out yet is from before a restart, and acknowledges nothing.
func (s *server) acknowledged(index uint64) uint64 {
	if index > s.Store.Snapshot().EndpointsIndex() {
		return 0
	}
	return index
}

// block waits until the index differs from the query's, its wait is over, or ctx ends.
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

// endpoints lists the published endpoints. It fails before every workload has been
// planned: after a restart of the controller, an answer with fewer endpoints would
// withdraw replicas that serve.
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
