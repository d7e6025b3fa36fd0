package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/logs"
)

// wrote is a config in which two replicas have written.
func wrote() Config {
	c := config(published())
	c.Controller.(*intents).written = []logs.Line{
		{At: noon, Replica: "shop-web-1", Text: "one"}, {At: noon.Add(time.Second), Replica: "shop-web-2", Text: "two"},
		{At: noon.Add(time.Minute), Replica: "shop-web-1", Text: "<three>"},
	}
	return c
}

func TestLogsAreAListOfLines(t *testing.T) {
	for query, want := range map[string][]string{
		"":                                   {"one", "two", "<three>"},
		"?tail=1":                            {"<three>"},
		"?since=2026-01-02T11:00:01Z":        {"two", "<three>"},
		"?since=2026-01-02T12:00:02%2B01:00": {"<three>"},
		"?since=1s":                          nil,
	} {
		answer := ask(t, New(wrote()), http.MethodGet, "/api/v1/workloads/web/logs"+query)
		require.Equal(t, http.StatusOK, answer.status, answer.body)
		var list List[LogLine]
		require.NoError(t, json.Unmarshal([]byte(answer.body), &list))
		var texts []string
		for _, l := range list.Items {
			texts = append(texts, l.Text)
		}
		assert.Equal(t, want, texts, query)
	}
}

func TestLogsAreFollowedAndResumed(t *testing.T) {
	server := httptest.NewServer(onSocket(New(wrote())))
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	r := open(t, server, "/api/v1/workloads/web/logs", "")
	first, second := r.next(), r.next()
	assert.Equal(t, "2026-01-02T11:00:00Z", first.id)
	assert.JSONEq(t, `{"time":"2026-01-02T11:00:01Z","replica":"shop-web-2","text":"two"}`, second.data)
	r = open(t, server, "/api/v1/workloads/web/logs", second.id)
	assert.Contains(t, r.next().data, "<three>")
}

func TestLogsTellWhyThereAreNone(t *testing.T) {
	c := wrote()
	c.Controller.(*intents).engine = &engine.Error{Op: "read logs", Class: engine.Unavailable, Err: errors.New("connection refused")}
	answer := ask(t, New(c), http.MethodGet, "/api/v1/workloads/web/logs")
	assert.Equal(t, http.StatusBadGateway, answer.status)
	assert.Contains(t, answer.body, "connection refused")
	answer = ask(t, New(c), http.MethodGet, "/api/v1/workloads/wbe/logs")
	assert.Contains(t, answer.body, `did you mean \"web\"?`)
}

func TestAReplicaIsKilledByItsName(t *testing.T) {
	c := wrote()
	answer := send(t, c, http.MethodPost, "/api/v1/replicas/shop-web-1/kill", "")
	require.Equal(t, http.StatusOK, answer.status, answer.body)
	assert.Equal(t, []string{"b1"}, c.Controller.(*intents).killed)
	events := c.Store.Snapshot().Events(0)
	last := events[len(events)-1]
	assert.Equal(t, [...]string{"web", "Killed", "shop-web-1", "uid 1000"}, [...]string{last.Workload, last.Reason, last.Message, last.Actor})
	for class, status := range map[engine.Class]int{engine.NotFound: http.StatusNotFound, engine.Conflict: http.StatusConflict, engine.Unavailable: http.StatusBadGateway} {
		c.Controller.(*intents).engine = &engine.Error{Op: "kill container", Class: class, Err: errors.New("no")}
		assert.Equal(t, status, send(t, c, http.MethodPost, "/api/v1/replicas/shop-web-1/kill", "").status)
	}
}
