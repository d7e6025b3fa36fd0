package api

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Whatever is sent is answered; a request that is refused says why and changes
// nothing.
func FuzzRequests(f *testing.F) {
	verbs := []string{"rollout/pause", "rollout/resume", "rollout/restart", "rollout/undo", "scale"}
	for i, body := range []string{"", "{}", `{"toRevision": 1}`, `{"toRevision": -1}`, `{"replicas": 3}`, `{"replicas": 1e9}`, `{} {}`, `[]`, "{\"a\":\xff}", strings.Repeat("[", 5000)} {
		f.Add(uint8(i), body, "application/json", "http://127.0.0.1:7070")
	}
	f.Add(uint8(0), "{}", "text/plain; charset=\"", "http://example.com")
	f.Fuzz(func(t *testing.T, verb uint8, body, contentType, origin string) {
		c := config(published())
		r := httptest.NewRequest(http.MethodPost, "/api/v1/workloads/web/"+verbs[int(verb)%len(verbs)], strings.NewReader(body))
		r.Host = "127.0.0.1:7070"
		r.Header.Set("Content-Type", contentType)
		if verb >= 128 {
			r.Header.Set("Origin", origin)
		}
		w := httptest.NewRecorder()
		onSocket(New(c)).ServeHTTP(w, r)
		require.Less(t, w.Code, 500, w.Body)
		if w.Code >= 400 {
			var told Problem
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &told))
			require.NotEmpty(t, told.Detail)
			_, changed := c.Store.Snapshot().Intent("web")
			require.False(t, changed)
		}
	})
}

// A query is understood or refused as the client's mistake.
func FuzzQueries(f *testing.F) {
	for _, query := range []string{"index=3&wait=10s&subscriber=gateway", "index=-1", "wait=1e9h", "since=3&limit=5", "limit=0", "workload=web", "since=18446744073709551615", "%zz", "a;b"} {
		f.Add(query, "7")
	}
	f.Fuzz(func(t *testing.T, query, last string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.URL.RawQuery = query
		r.Header.Set("Last-Event-ID", last)
		r.Header.Set("Accept", "text/event-stream")
		if q, err := parseEndpointQuery(r); err != nil {
			assertBadRequest(t, err)
		} else {
			assert.GreaterOrEqual(t, q.wait, 0*defaultWait)
			assert.LessOrEqual(t, q.wait, maxWait)
			assert.LessOrEqual(t, len(q.subscriber), maxSubscriber)
		}
		if q, err := parseEventQuery(r); err != nil {
			assertBadRequest(t, err)
		} else {
			assert.GreaterOrEqual(t, q.limit, 0)
			q.find(published().Snapshot())
		}
	})
}

func assertBadRequest(t *testing.T, err error) {
	t.Helper()
	var problem *Problem
	if assert.ErrorAs(t, err, &problem) {
		assert.Equal(t, http.StatusBadRequest, problem.Status)
	}
}
