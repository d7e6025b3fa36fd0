package api

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/state"
)

// told is a message of a watch in short: "ADDED Replica shop-web-1".
type told struct{ id, text string }

func (r *reader) told() told {
	r.t.Helper()
	m := r.next()
	var e WatchEvent
	require.NoError(r.t, json.Unmarshal([]byte(m.data), &e))
	var object struct {
		Kind     string
		Metadata Metadata
	}
	require.NoError(r.t, json.Unmarshal(e.Object, &object))
	return told{m.id, e.Type + " " + object.Kind + " " + object.Metadata.Name}
}

// begun reads a watch until its bookmark.
func (r *reader) begun() (texts []string) {
	r.t.Helper()
	for {
		switch m := r.told(); {
		case m.text == "BOOKMARK Project shop":
			return texts
		default:
			texts = append(texts, m.text)
		}
	}
}

func TestAWatchTellsEverythingAndThenEachChange(t *testing.T) {
	store := published()
	store.Update(func(tx *state.Tx) {
		tx.PutWorkload(&state.Workload{Name: "web:80", Generation: 1, Spec: &spec.Workload{Name: "web:80", Kind: spec.Ingress, Replicas: 1,
			Strategy: spec.Strategy{Type: spec.Recreate}, Restart: spec.Restart{Condition: spec.RestartAny},
		}})
	})
	r := open(t, serve(t, store), "/api/v1/watch", "")
	assert.Equal(t, []string{
		"ADDED Project shop", "ADDED Job seed", "ADDED Deployment web", "ADDED Ingress web:80",
		"ADDED Replica shop-web-2", "ADDED Replica shop-web-1", "ADDED Replica shop-gone-1",
		"ADDED Event 1", "ADDED Event 2", "ADDED Event 4",
	}, r.begun())

	store.Update(func(tx *state.Tx) { tx.PutStatus(core.Status{Workload: "web", Outcome: core.OutcomeMoving}) })
	// What the planner says of web's replicas has gone with its status.
	for _, object := range []string{"Deployment web", "Replica shop-web-2", "Replica shop-web-1"} {
		assert.Equal(t, told{"", "MODIFIED " + object}, r.told())
	}
	store.Update(func(tx *state.Tx) {
		tx.PutStatus(core.Status{Workload: "web", Outcome: core.OutcomeMoving}) // another row that says the same
		tx.DeleteWorkload("seed")
	})
	assert.Equal(t, told{"", "DELETED Job seed"}, r.told())
	add(store, "web", "something")
	assert.Equal(t, told{"5", "ADDED Event 5"}, r.told())
}

func TestAWatchIsResumed(t *testing.T) {
	store := published()
	server := serve(t, store)
	r := open(t, server, "/api/v1/watch", "2")
	assert.Equal(t, []string{
		"ADDED Project shop", "ADDED Job seed", "ADDED Deployment web",
		"ADDED Replica shop-web-2", "ADDED Replica shop-web-1", "ADDED Replica shop-gone-1", "ADDED Event 4",
	}, r.begun())

	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/api/v1/watch", nil)
	require.NoError(t, err)
	request.Header.Set("Accept", StreamType)
	request.Header.Set("Last-Event-ID", "99")
	response, err := server.Client().Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	answer := readAnswer(t, response)
	assert.Equal(t, http.StatusGone, answer.status)
	assert.Contains(t, answer.body, "begin without Last-Event-ID")
}

func TestAWatchTellsOfTheEventsWantedAlone(t *testing.T) {
	r := open(t, serve(t, published()), "/api/v1/watch?limit=1", "")
	texts := r.begun()
	assert.Equal(t, "ADDED Event 4", texts[len(texts)-1])
	assert.NotContains(t, texts, "ADDED Event 2")
}
