package api

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/state"
)

// message is a server-sent event.
type message struct{ id, data string }

// reader reads a stream.
type reader struct {
	t     *testing.T
	lines *bufio.Scanner
}

// open begins a stream, which ends with the test.
func open(t *testing.T, s *httptest.Server, path, lastEventID string) *reader {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+path, nil)
	require.NoError(t, err)
	r.Header.Set("Accept", "text/event-stream")
	if lastEventID != "" {
		r.Header.Set("Last-Event-ID", lastEventID)
	}
	answer, err := s.Client().Do(r)
	require.NoError(t, err)
	t.Cleanup(func() { answer.Body.Close() })
	require.Equal(t, http.StatusOK, answer.StatusCode)
	require.Equal(t, "text/event-stream", answer.Header.Get("Content-Type"))
	return &reader{t: t, lines: bufio.NewScanner(answer.Body)}
}

func (r *reader) next() (m message) {
	r.t.Helper()
	for r.lines.Scan() {
		key, value, _ := strings.Cut(r.lines.Text(), ": ")
		switch key {
		case "id":
			m.id = value
		case "data":
			m.data = value
		case "":
			if m.data != "" {
				return m
			}
		}
	}
	r.t.Fatalf("the stream has ended: %v", r.lines.Err())
	return m
}

func (r *reader) event() Event {
	r.t.Helper()
	m := r.next()
	var e Event
	require.NoError(r.t, json.Unmarshal([]byte(m.data), &e))
	assert.Equal(r.t, e.Metadata.Name, m.id)
	return e
}

func serve(t *testing.T, s *state.Store) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(onSocket(New(config(s))))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server
}

func add(s *state.Store, workload, text string) {
	s.Update(func(tx *state.Tx) {
		tx.AddEvent(core.Event{Type: core.Normal, Workload: workload, Reason: "Created", Message: text}, noon)
	})
}

func TestEventsAreStreamedAsTheyHappen(t *testing.T) {
	store := shop()
	server := serve(t, store)
	all := open(t, server, "/api/v1/events?since=0", "")
	for _, name := range []string{"1", "2", "4"} {
		assert.Equal(t, name, all.event().Metadata.Name)
	}
	web := open(t, server, "/api/v1/events?workload=web&limit=1", "")
	assert.Equal(t, "4", web.event().Metadata.Name, "of the past the newest alone")
	for _, text := range []string{"first", "second", "third"} {
		add(store, "seed", text)
		add(store, "web", text)
		for _, workload := range []string{"seed", "web"} {
			e := all.event()
			assert.Equal(t, workload, e.Workload)
			assert.Equal(t, text, e.Message)
		}
		assert.Equal(t, text, web.event().Message)
	}
}

func TestAStreamOfEventsIsResumedWhereItEnded(t *testing.T) {
	store := shop()
	server := serve(t, store)
	r := open(t, server, "/api/v1/events", "")
	r.event()
	last := r.event().Metadata.Name
	add(store, "web", "while nobody read")

	// The header is what a browser adds to the address it was given.
	r = open(t, server, "/api/v1/events?since=0", last)
	assert.Equal(t, "BackOff", r.event().Reason)
	e := r.event()
	assert.Equal(t, "while nobody read", e.Message)
	last = e.Metadata.Name
	r = open(t, server, "/api/v1/events", last)
	add(store, "web", "after that")
	assert.Equal(t, "after that", r.event().Message)
}

func TestAnEventThatHappensAgainIsStreamedAgain(t *testing.T) {
	store := shop()
	r := open(t, serve(t, store), "/api/v1/events", "4")
	add(store, "web", "again")
	assert.Equal(t, 1, r.event().Count)
	add(store, "web", "again")
	assert.Equal(t, 2, r.event().Count)
}

func TestAStreamFromBeforeARestartBeginsAnew(t *testing.T) {
	r := open(t, serve(t, shop()), "/api/v1/events", "4711")
	assert.Equal(t, "1", r.event().Metadata.Name)
}

func TestListsAreStreamedAtEachChange(t *testing.T) {
	store := shop()
	server := serve(t, store)
	workloads := open(t, server, "/api/v1/workloads", "")
	workload := open(t, server, "/api/v1/workloads/web", "")
	replicas := open(t, server, "/api/v1/replicas", "")
	ofOne := open(t, server, "/api/v1/workloads/web/replicas", "")
	for _, r := range []*reader{workloads, workload, replicas, ofOne} {
		require.NotEmpty(t, r.next().data)
	}

	row, _ := store.Snapshot().Status("web")
	status := row.Status
	status.Replicas = 7
	store.Update(func(tx *state.Tx) { tx.PutStatus(status) })
	assert.Contains(t, workloads.next().data, `"replicas":7`)
	assert.Contains(t, workload.next().data, `"replicas":7`)

	store.Update(func(tx *state.Tx) { tx.DeleteReplica("a2") })
	assert.NotContains(t, replicas.next().data, "shop-web-2")
	assert.NotContains(t, ofOne.next().data, "shop-web-2")
}

func TestAChangeThatDoesNotShowSendsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := shop()
		ctx, cancel := context.WithCancel(t.Context())
		r := httptest.NewRequest(http.MethodGet, "/api/v1/workloads", nil).WithContext(ctx)
		r.Header.Set("Accept", "text/event-stream")
		answer := httptest.NewRecorder()
		go onSocket(New(config(store))).ServeHTTP(answer, r)
		sent := func() int {
			synctest.Wait()
			return strings.Count(answer.Body.String(), "data: ")
		}
		assert.Equal(t, 1, sent())
		store.Update(func(tx *state.Tx) {
			s, _ := tx.Status("web")
			tx.PutStatus(s.Status)
		})
		assert.Equal(t, 1, sent())
		store.Update(func(tx *state.Tx) { tx.PutStatus(core.Status{Workload: "web", Replicas: 7}) })
		assert.Equal(t, 2, sent())
		cancel()
		synctest.Wait()
	})
}

func TestAStreamOfWhatIsTakenAwayEnds(t *testing.T) {
	store := shop()
	r := open(t, serve(t, store), "/api/v1/workloads/web", "")
	r.next()
	store.Update(func(tx *state.Tx) { tx.DeleteWorkload("web") })
	assert.False(t, r.lines.Scan())
	assert.NoError(t, r.lines.Err())
}

func TestAStreamOfNothingIsAProblem(t *testing.T) {
	for _, path := range []string{"/api/v1/workloads/nope", "/api/v1/workloads/nope/events"} {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Header.Set("Accept", "text/event-stream")
		answer := httptest.NewRecorder()
		onSocket(New(config(shop()))).ServeHTTP(answer, r)
		assert.Equal(t, http.StatusNotFound, answer.Code)
		assert.Equal(t, ProblemType, answer.Header().Get("Content-Type"))
	}
}

func TestAQuietStreamShowsThatItStands(t *testing.T) {
	for beats, lasts := range []time.Duration{time.Second, heartbeat + time.Second, 2*heartbeat + time.Second} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), lasts)
			defer cancel()
			r := httptest.NewRequest(http.MethodGet, "/api/v1/events?since=4", nil).WithContext(ctx)
			r.Header.Set("Accept", "text/event-stream")
			answer := httptest.NewRecorder()
			onSocket(New(config(shop()))).ServeHTTP(answer, r)
			assert.True(t, answer.Flushed, "it has begun, though there is nothing to tell")
			assert.Equal(t, strings.Repeat(":\n\n", beats), answer.Body.String())
		})
	}
}

func TestAStreamOutlivesTheTimeoutsOfRequests(t *testing.T) {
	const timeout = 500 * time.Millisecond
	store := shop()
	server := httptest.NewUnstartedServer(onSocket(New(config(store))))
	server.Config.ReadTimeout, server.Config.WriteTimeout = timeout, timeout
	server.Start()
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	began := time.Now()
	events := open(t, server, "/api/v1/events?since=4", "")
	replicas := open(t, server, "/api/v1/replicas", "")
	replicas.next()
	for time.Since(began) < 2*timeout {
		add(store, "web", time.Since(began).String())
		events.event()
	}
	store.Update(func(tx *state.Tx) { tx.DeleteReplica("a2") })
	assert.NotContains(t, replicas.next().data, "shop-web-2")
}
