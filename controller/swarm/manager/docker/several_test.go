package docker_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/swarm/manager"
	"github.com/tendhq/tend/controller/swarm/manager/docker"
)

// answering is a manager that gives one answer to every request, and counts them.
type answering struct {
	status int
	body   string
	asked  atomic.Int64
}

func (a *answering) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Api-Version", "1.41")
	if strings.HasSuffix(r.URL.Path, "/_ping") {
		return
	}
	a.asked.Add(1)
	if a.status == 0 {
		panic(http.ErrAbortHandler) // the connection breaks
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.status)
	fmt.Fprint(w, a.body)
}

// managers are clients of managers that answer so.
func managers(t *testing.T, answers ...*answering) *docker.Manager {
	t.Helper()
	var hosts []string
	for _, a := range answers {
		server := httptest.NewServer(a)
		t.Cleanup(server.Close)
		hosts = append(hosts, "tcp://"+server.Listener.Addr().String())
	}
	m, err := docker.New(hosts...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Close()) })
	return m
}

func noLeader() *answering {
	return &answering{status: http.StatusInternalServerError, body: `{"message": "rpc error: code = Unknown desc = The swarm does not have a leader. It's possible that too few managers are online. Make sure more than half of the managers are online."}`}
}

func noNodes() *answering { return &answering{status: http.StatusOK, body: "[]"} }

func TestTheNextManagerIsAskedWhereOneIsUnavailable(t *testing.T) {
	cut, good := noLeader(), noNodes()
	m := managers(t, cut, good)
	for range 3 {
		_, err := m.Nodes(t.Context())
		require.NoError(t, err)
	}
	require.EqualValues(t, 1, cut.asked.Load(), "the one that answers is asked first from then on")
	require.EqualValues(t, 3, good.asked.Load())
}

func TestNoOtherManagerIsAskedWhereOneMayHaveDoneIt(t *testing.T) {
	lost, good := &answering{}, noNodes()
	m := managers(t, lost, good)
	require.Equal(t, engine.Unknown, engine.ClassOf(m.RemoveService(t.Context(), "web")))
	require.Zero(t, good.asked.Load())
	_, err := m.Nodes(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, lost.asked.Load(), "it is asked last from then on")
}

func TestWhereNoManagerCanBeAskedEachReasonIsSaid(t *testing.T) {
	m := managers(t, noLeader(), noLeader(), &answering{status: http.StatusServiceUnavailable, body: `{"message": "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state. Please run this command on a manager node or promote the current node to a manager."}`})
	_, err := m.Nodes(t.Context())
	require.Equal(t, engine.Unavailable, engine.ClassOf(err))
	require.ErrorIs(t, err, manager.ErrNoQuorum)
	require.ErrorIs(t, err, manager.ErrWorker)
	require.EqualError(t, err, "list nodes: none of 3 managers can be asked: "+manager.ErrNoQuorum.Error()+"; "+manager.ErrWorker.Error())
}

func TestErrorsAreSaidWithoutTheirProtocol(t *testing.T) {
	m := managers(t, &answering{status: http.StatusInternalServerError, body: `{"message": "rpc error: code = Unknown desc = update out of sequence"}`})
	err := m.RemoveService(t.Context(), "web")
	require.Equal(t, engine.Conflict, engine.ClassOf(err))
	require.EqualError(t, err, "remove service web: Error response from daemon: update out of sequence")
}
