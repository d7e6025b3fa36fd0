package api

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/spec/edit"
	"github.com/tendhq/tend/controller/spec/load"
	"github.com/tendhq/tend/state"
)

// send sends JSON as whoever reaches the Unix socket.
func send(t *testing.T, c Config, method, path, body string) answer {
	t.Helper()
	s := httptest.NewServer(onSocket(New(c)))
	defer s.Close()
	response, err := s.Client().Do(request(t, method, s.URL+path, body))
	require.NoError(t, err)
	defer response.Body.Close()
	return readAnswer(t, response)
}

// request is a request with a body of JSON.
func request(t *testing.T, method, url, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	return r
}

func rollout(t *testing.T, c Config, verb, body string) answer {
	t.Helper()
	return send(t, c, http.MethodPost, "/api/v1/workloads/web/rollout/"+verb, body)
}

func intent(c Config) core.Intent {
	row, ok := c.Store.Snapshot().Intent("web")
	if !ok {
		return core.Intent{}
	}
	return row.Intent
}

// rewrite puts another spec of web in force.
func rewrite(c Config, change func(*spec.Workload)) {
	c.Store.Update(func(tx *state.Tx) {
		row, _ := tx.Workload("web")
		next := *row.Spec
		change(&next)
		tx.PutWorkload(&state.Workload{Name: "web", Generation: row.Generation + 1, Spec: &next})
	})
}

func TestPauseAndResumeOverrideTheSpecWhereItSaysOtherwise(t *testing.T) {
	c := config(published())
	for range 2 { // asked for again, it stands already
		answer := rollout(t, c, "pause", "")
		assert.Equal(t, http.StatusOK, answer.status, answer.body)
		assert.Contains(t, answer.body, `"name":"web"`)
		require.NotNil(t, intent(c).Paused)
		assert.True(t, *intent(c).Paused)
	}
	rollout(t, c, "resume", "{}")
	assert.Nil(t, intent(c).Paused)

	rewrite(c, func(w *spec.Workload) { w.Paused = true })
	rollout(t, c, "resume", "")
	require.NotNil(t, intent(c).Paused)
	assert.False(t, *intent(c).Paused)
	rollout(t, c, "pause", "")
	assert.Nil(t, intent(c).Paused)
}

func TestRestartNotesWhen(t *testing.T) {
	c := config(published())
	before := time.Now()
	assert.Equal(t, http.StatusOK, rollout(t, c, "restart", "").status)
	assert.WithinRange(t, intent(c).RestartedAt, before, time.Now())
}

func TestUndoGoesBackInTheHistory(t *testing.T) {
	c := config(published())
	assert.Equal(t, http.StatusOK, rollout(t, c, "undo", "").status)
	assert.Equal(t, core.Intent{Undo: "rev1", UndoOf: "rev2"}, intent(c))
	rollout(t, c, "undo", "")
	assert.Equal(t, core.Intent{Undo: "rev0", UndoOf: "rev2"}, intent(c), "one before the one in force")
	assert.Equal(t, http.StatusConflict, rollout(t, c, "undo", "").status, "nothing is before that")
	rollout(t, c, "undo", `{"toRevision": 2}`)
	assert.Equal(t, core.Intent{Undo: "rev1", UndoOf: "rev2"}, intent(c))
	assert.Equal(t, http.StatusNotFound, rollout(t, c, "undo", `{"toRevision": 4}`).status)
	rollout(t, c, "undo", `{"toRevision": 3}`)
	assert.Equal(t, core.Intent{}, intent(c), "what is written needs no override")
}

func TestAnUndoEndsWithTheSpecThatItUndid(t *testing.T) {
	c := config(published())
	rollout(t, c, "undo", "")
	rewrite(c, func(w *spec.Workload) { w.Revision = "rev3" })
	c.Store.Update(func(tx *state.Tx) {
		tx.PutRevision(&state.Revision{Workload: "web", Revision: "rev3", Number: 4, Spec: &spec.Workload{}, At: noon})
	})
	rollout(t, c, "undo", "")
	assert.Equal(t, core.Intent{Undo: "rev2", UndoOf: "rev3"}, intent(c))
}

func TestUndoAfterARollbackGoesBeforeWhatWasRolledBackTo(t *testing.T) {
	c := config(published())
	c.Store.Update(func(tx *state.Tx) {
		tx.PutStatus(core.Status{Workload: "web", ObservedGeneration: 2, CurrentRevision: "rev1", UpdateRevision: "rev1"})
	})
	rollout(t, c, "undo", "")
	assert.Equal(t, core.Intent{Undo: "rev0", UndoOf: "rev2"}, intent(c))
}

func TestAPausedRolloutIsResumedBeforeItIsUndoneOrRestarted(t *testing.T) {
	c := config(published())
	rollout(t, c, "pause", "")
	for _, verb := range []string{"undo", "restart"} {
		answer := rollout(t, c, verb, "")
		assert.Equal(t, http.StatusConflict, answer.status)
		assert.Contains(t, answer.body, "resume it first")
	}
}

func TestBodiesAreReadStrictly(t *testing.T) {
	c := config(published())
	for body, status := range map[string]int{
		`{"toRevison": 1}`:                     http.StatusBadRequest,
		`{"toRevision": "1"}`:                  http.StatusBadRequest,
		`{"toRevision": -1}`:                   http.StatusBadRequest,
		`{"toRevision": 1} {}`:                 http.StatusBadRequest,
		`{"toRevision"`:                        http.StatusBadRequest,
		`[]`:                                   http.StatusBadRequest,
		`{"x": "` + strings.Repeat("x", 8<<10): http.StatusRequestEntityTooLarge,
	} {
		answer := rollout(t, c, "undo", body)
		assert.Equal(t, status, answer.status, "%.40s: %s", body, answer.body)
		assert.Equal(t, ProblemType, answer.header.Get("Content-Type"))
	}
	for _, verb := range []string{"pause", "resume", "restart"} {
		assert.Equal(t, http.StatusBadRequest, rollout(t, c, verb, `{"now": true}`).status)
	}
	assert.Equal(t, core.Intent{}, intent(c))

	s := httptest.NewServer(onSocket(New(c)))
	defer s.Close()
	answer := do(t, s.Client(), http.MethodPost, s.URL+"/api/v1/workloads/web/rollout/undo", "{}")
	assert.Equal(t, http.StatusUnsupportedMediaType, answer.status)
}

func TestScaleEditsTheSpecFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "specs", "web.yaml")
	require.NoError(t, os.Mkdir(filepath.Dir(file), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte("services: {web: {image: \"web:1\"}}"), 0o644))
	const written = "apiVersion: tend/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  replicas: 2 # for now\n"
	require.NoError(t, os.WriteFile(file, []byte(written), 0o644))
	c := config(published())
	c.Spec = load.Options{ProjectDirectory: dir}

	answer := send(t, c, http.MethodPut, "/api/v1/workloads/web/scale", `{"replicas": 4}`)
	assert.Equal(t, http.StatusOK, answer.status, answer.body)
	got, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, strings.Replace(written, "2", "4", 1), string(got))

	answer = send(t, c, http.MethodPut, "/api/v1/workloads/web/scale", `{"replicas": -1}`)
	assert.Equal(t, http.StatusUnprocessableEntity, answer.status, answer.body)
	assert.Contains(t, answer.body, "web.yaml:5:13")
}

func TestScaleWithIfMatchIsOfTheGenerationInForce(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte("services: {web: {image: \"web:1\"}}"), 0o644))
	c := config(published())
	c.Spec = load.Options{ProjectDirectory: dir}
	putInForce := func() {
		p, err := load.Project(t.Context(), c.Spec)
		require.NoError(t, err)
		rewrite(c, func(w *spec.Workload) { *w = *p.Workloads["web"] })
	}
	putInForce()
	scale := func(ifMatch string, replicas int) answer {
		s := httptest.NewServer(onSocket(New(c)))
		defer s.Close()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.URL+"/api/v1/workloads/web/scale", strings.NewReader(fmt.Sprintf(`{"replicas": %d}`, replicas)))
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("If-Match", ifMatch)
		response, err := s.Client().Do(r)
		require.NoError(t, err)
		defer response.Body.Close()
		return readAnswer(t, response)
	}
	for _, other := range []string{`"2"`, `3`, `W/"3"`} {
		assert.Equal(t, http.StatusPreconditionFailed, scale(other, 4).status, other)
	}
	assert.NoDirExists(t, filepath.Join(dir, "specs"))
	answer := scale(`"3"`, 4)
	assert.Equal(t, http.StatusOK, answer.status, answer.body)
	answer = scale(`"3"`, 5)
	assert.Equal(t, http.StatusPreconditionFailed, answer.status, "4 is written, though not in force")
	assert.Contains(t, answer.body, "not in force yet")
	putInForce()
	assert.Equal(t, http.StatusPreconditionFailed, scale(`"3"`, 5).status)
	assert.Equal(t, http.StatusOK, scale(`"4"`, 5).status)
	assert.Equal(t, http.StatusOK, scale("", 6).status, "an empty one asks for nothing")
}

func TestAScaleOfWhatWasChangedMeanwhileIsAConflict(t *testing.T) {
	assert.Equal(t, http.StatusConflict, specProblem(&edit.ChangedError{File: "specs/web.yaml"}).Status)
}

func TestAScaleThatCannotBeWrittenIsAConflict(t *testing.T) {
	p := specProblem(&edit.ReadOnlyError{File: "specs/web.yaml", Instead: "run `tend scale web --replicas 4`", Err: os.ErrPermission})
	assert.Equal(t, http.StatusConflict, p.Status)
	assert.Contains(t, p.Detail, "tend scale web --replicas 4")
}

// What runs on each node has as many replicas as there are nodes for it, which only the plan
// knows.
func TestTheReplicasOfWhatRunsOnEachNodeAreCounted(t *testing.T) {
	row := &state.Workload{Name: "agent", Spec: &spec.Workload{Name: "agent", Kind: spec.Deployment, Replicas: 1, Global: &spec.Global{}}}
	assert.Equal(t, 1, toWorkload(row, nil, nil).Spec.Replicas)
	assert.Equal(t, 5, toWorkload(row, &state.Status{Status: core.Status{Workload: "agent", Desired: 5}}, nil).Spec.Replicas)
}
