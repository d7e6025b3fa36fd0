package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/state"
)

// query asks for endpoints in a bubble of synctest, and returns how it answers.
func query(c Config, query string) func() (answered bool, e Endpoints) {
	answer := httptest.NewRecorder()
	done := make(chan struct{})
	go func() {
		defer close(done)
		onSocket(NewReadOnly(c)).ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/api/v1/endpoints?"+query, nil))
	}()
	return func() (bool, Endpoints) {
		synctest.Wait()
		select {
		case <-done:
		default:
			return false, Endpoints{}
		}
		var e Endpoints
		_ = json.Unmarshal(answer.Body.Bytes(), &e)
		return true, e
	}
}

func publish(s *state.Store, workload string, replicas ...string) {
	s.Update(func(tx *state.Tx) {
		var endpoints []core.Endpoint
		for _, r := range replicas {
			endpoints = append(endpoints, core.Endpoint{Workload: workload, ID: r, Replica: r})
		}
		tx.PutEndpoints(workload, endpoints)
	})
}

func TestAQueryIsHeldUntilTheIndexGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := published()
		at := store.Snapshot().EndpointsIndex()
		ask := query(config(store), fmt.Sprintf("index=%d&wait=1m", at))
		answered, _ := ask()
		require.False(t, answered)

		add(store, "web", "something else")
		store.Update(func(tx *state.Tx) { tx.PutStatus(core.Status{Workload: "web", Ready: 1}) })
		answered, _ = ask()
		require.False(t, answered, "nothing was published")

		publish(store, "web", "shop-web-1")
		answered, e := ask()
		require.True(t, answered)
		assert.Equal(t, at+1, e.Index)
		require.Len(t, e.Workloads["web"], 1)
		assert.Equal(t, "shop-web-1", e.Workloads["web"][0].Replica)
		assert.NotNil(t, e.Workloads["seed"], "a workload without endpoints is there")
	})
}

func TestAQueryIsAnsweredAtOnceWhenThereIsSomethingNew(t *testing.T) {
	at := published().Snapshot().EndpointsIndex()
	for name, q := range map[string]string{
		"without an index":               "",
		"with an older one":              fmt.Sprintf("index=%d", at-1),
		"with one from before a restart": "index=4711",
	} {
		synctest.Test(t, func(t *testing.T) {
			answered, e := query(config(published()), q)()
			require.True(t, answered, name)
			assert.Equal(t, at, e.Index, name)
		})
	}
}

func TestAQueryIsAnsweredWithTheSameIndexWhenTheWaitIsOver(t *testing.T) {
	at := published().Snapshot().EndpointsIndex()
	for wait, lasts := range map[string]time.Duration{"": 30 * time.Second, "&wait=5m": 5 * time.Minute, "&wait=0s": 0} {
		synctest.Test(t, func(t *testing.T) {
			ask := query(config(published()), fmt.Sprintf("index=%d%s", at, wait))
			if lasts > 0 {
				time.Sleep(lasts - time.Nanosecond)
				answered, _ := ask()
				require.False(t, answered, wait)
				time.Sleep(time.Nanosecond)
			}
			answered, e := ask()
			require.True(t, answered, wait)
			assert.Equal(t, at, e.Index)
		})
	}
}

func TestAskingForWhatFollowsAnIndexAcknowledgesIt(t *testing.T) {
	c := config(published())
	at := c.Store.Snapshot().EndpointsIndex()
	h := NewReadOnly(c)
	acknowledged := c.Controller.(*intents).acknowledged
	ask(t, h, http.MethodGet, "/api/v1/endpoints")
	ask(t, h, http.MethodGet, "/api/v1/endpoints?subscriber=reader")
	ask(t, h, http.MethodGet, fmt.Sprintf("/api/v1/endpoints?index=%d&wait=0s", at))
	assert.Empty(t, acknowledged)
	ask(t, h, http.MethodGet, fmt.Sprintf("/api/v1/endpoints?index=%d&wait=0s&subscriber=gateway", at))
	ask(t, h, http.MethodGet, "/api/v1/endpoints?index=0&subscriber=new")
	ask(t, h, http.MethodGet, fmt.Sprintf("/api/v1/endpoints?index=%d&subscriber=old", at+1))
	assert.Equal(t, map[string]uint64{"gateway": at, "new": 0, "old": 0}, acknowledged,
		"an index that was not given out says nothing")
}

func TestAnIndexFromTheFutureIsAnsweredAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := config(published())
		at := c.Store.Snapshot().EndpointsIndex()
		answered, e := query(c, fmt.Sprintf("index=%d&wait=1m", at+1000))()
		assert.True(t, answered)
		assert.Equal(t, at, e.Index)
	})
}

func TestAnAcknowledgementCountsWhileTheQueryIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := config(published())
		at := c.Store.Snapshot().EndpointsIndex()
		ask := query(c, fmt.Sprintf("index=%d&subscriber=gateway", at))
		answered, _ := ask()
		require.False(t, answered)
		assert.Equal(t, at, c.Controller.(*intents).acknowledged["gateway"])
		publish(c.Store, "web")
		ask()
	})
}

func TestAQueryWhoseConnectionBreaksIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := config(published())
		at := c.Store.Snapshot().EndpointsIndex()
		for name, hangsUp := range map[string]bool{"stays": false, "leaves": true} {
			ctx, hangUp := context.WithCancel(t.Context())
			path := fmt.Sprintf("/api/v1/endpoints?index=%d&wait=10s&subscriber=%s", at, name)
			var held sync.WaitGroup
			held.Go(func() {
				onSocket(NewReadOnly(c)).ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil))
			})
			synctest.Wait()
			if hangsUp {
				hangUp()
			}
			held.Wait()
			hangUp()
		}
		assert.Equal(t, []string{"leaves"}, c.Controller.(*intents).lost)
	})
}

func TestEndpointsAreNotKnownBeforeEveryWorkloadWasLookedAt(t *testing.T) {
	store := published()
	store.Update(func(tx *state.Tx) { tx.PutWorkload(&state.Workload{Name: "new", Spec: &spec.Workload{Name: "new"}}) })
	for _, path := range []string{"endpoints", "discovery/prometheus", "discovery/traefik"} {
		answer := ask(t, NewReadOnly(config(store)), http.MethodGet, "/api/v1/"+path)
		assert.Equal(t, http.StatusServiceUnavailable, answer.status, path)
		assert.Contains(t, answer.body, "new")
	}
}

func TestEndpointsAreStreamedAtEachChange(t *testing.T) {
	store := published()
	r := open(t, serve(t, store), "/api/v1/endpoints", "")
	assert.Contains(t, r.next().data, "shop-web-2")
	publish(store, "web", "shop-web-1")
	assert.NotContains(t, r.next().data, "shop-web-2")
}

// A held query outlives the server's time-outs, and ends with the server.
func TestAHeldQueryOverARealServer(t *testing.T) {
	const timeout = 300 * time.Millisecond
	store := published()
	server := httptest.NewUnstartedServer(onSocket(NewReadOnly(config(store))))
	ctx, shutdown := context.WithCancel(context.Background())
	server.Config.ReadTimeout, server.Config.WriteTimeout = timeout, timeout
	server.Config.BaseContext = func(net.Listener) context.Context { return ctx }
	server.Start()
	defer server.Close()
	index := store.Snapshot().EndpointsIndex()
	hold := func() <-chan answer {
		answered := make(chan answer, 1)
		go func() {
			answered <- do(t, server.Client(), http.MethodGet, fmt.Sprintf("%s/api/v1/endpoints?index=%d&wait=1m", server.URL, index), "")
		}()
		return answered
	}
	held := hold()
	select {
	case a := <-held:
		t.Fatalf("answered early: %d %s", a.status, a.body)
	case <-time.After(2 * timeout):
	}
	publish(store, "web", "shop-web-1")
	assert.Equal(t, http.StatusOK, (<-held).status)

	index = store.Snapshot().EndpointsIndex()
	held = hold()
	shutdown()
	assert.Equal(t, http.StatusOK, (<-held).status)
}
