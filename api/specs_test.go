package api

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/spec/load"
)

const webSpec = "apiVersion: tend/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  replicas: 2\n"

// written is a project with one spec file, and a config that serves it.
func written(t *testing.T) (c Config, file string) {
	t.Helper()
	dir := t.TempDir()
	file = filepath.Join(dir, "specs", "web.yaml")
	require.NoError(t, os.Mkdir(filepath.Dir(file), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte("services:\n  web: {image: \"web:1\"}\n"), 0o644))
	require.NoError(t, os.WriteFile(file, []byte(webSpec), 0o644))
	c = config(published())
	c.Spec = load.Options{ProjectDirectory: dir}
	return c, file
}

// put sends a spec file, with headers given as "Name: value".
func put(t *testing.T, c Config, name, content string, headers ...string) answer {
	t.Helper()
	s := httptest.NewServer(onSocket(New(c)))
	defer s.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.URL+"/api/v1/specs/"+name, strings.NewReader(content))
	require.NoError(t, err)
	r.Header.Set("Content-Type", SpecType)
	for _, h := range headers {
		key, value, _ := strings.Cut(h, ": ")
		r.Header.Set(key, value)
	}
	response, err := s.Client().Do(r)
	require.NoError(t, err)
	defer response.Body.Close()
	return readAnswer(t, response)
}

func content(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(text)
}

func TestASpecFileIsReadAndWrittenByWhatWasSeen(t *testing.T) {
	c, file := written(t)
	list := ask(t, New(c), http.MethodGet, "/api/v1/specs")
	var files List[SpecFile]
	require.NoError(t, json.Unmarshal([]byte(list.body), &files))
	require.Len(t, files.Items, 1)
	assert.Equal(t, "web.yaml", files.Items[0].Metadata.Name)
	assert.Equal(t, []string{"web"}, files.Items[0].Workloads)

	got := ask(t, New(c), http.MethodGet, "/api/v1/specs/web.yaml")
	assert.Equal(t, webSpec, got.body)
	etag := got.header.Get("ETag")
	assert.Equal(t, files.Items[0].ETag, etag)

	next := strings.Replace(webSpec, "2", "3", 1)
	answer := put(t, c, "web.yaml", next, "If-Match: "+etag)
	require.Equal(t, http.StatusOK, answer.status, answer.body)
	assert.Equal(t, next, content(t, file))
	events := c.Store.Snapshot().Events(0)
	last := events[len(events)-1]
	assert.Equal(t, "SpecWritten", last.Reason)
	assert.Equal(t, "uid 1000", last.Actor)

	answer = put(t, c, "web.yaml", webSpec, "If-Match: "+etag)
	assert.Equal(t, http.StatusPreconditionFailed, answer.status, answer.body)
	assert.Equal(t, next, content(t, file))
	assert.Equal(t, http.StatusOK, put(t, c, "web.yaml", webSpec, "If-Match: *").status)
}

func TestWhatIsNotWrittenByPut(t *testing.T) {
	c, file := written(t)
	restricted := c
	restricted.Spec.Policy = spec.Restricted
	privileged := webSpec + "  template: {privileged: true}\n"
	for name, test := range map[string]struct {
		config  Config
		file    string
		content string
		header  string
		status  int
		detail  string
	}{
		"no precondition":               {c, "web.yaml", webSpec, "X: y", http.StatusPreconditionRequired, "If-Match"},
		"new, and there already":        {c, "web.yaml", webSpec, "If-None-Match: *", http.StatusPreconditionFailed, "there already"},
		"seen, and gone":                {c, "db.yaml", webSpec, `If-Match: "x"`, http.StatusPreconditionFailed, "not there any more"},
		"invalid":                       {c, "web.yaml", webSpec + "  replicaz: 2\n", "If-Match: *", http.StatusUnprocessableEntity, "web.yaml:6:3"},
		"no YAML":                       {c, "web.yaml", "{", "If-Match: *", http.StatusUnprocessableEntity, "web.yaml:1"},
		"beyond the policy":             {restricted, "web.yaml", privileged, "If-Match: *", http.StatusUnprocessableEntity, "policy"},
		"10 MB":                         {c, "web.yaml", strings.Repeat("# comment\n", 1<<20), "If-Match: *", http.StatusRequestEntityTooLarge, "1048576 bytes"},
		"another type":                  {c, "web.yaml", webSpec, "Content-Type: text/plain", http.StatusPreconditionRequired, ""},
		"a hidden file":                 {c, ".web.yaml", webSpec, "If-None-Match: *", http.StatusUnprocessableEntity, "name"},
		"another folder's":              {c, "..%2fcompose.yaml", webSpec, "If-None-Match: *", http.StatusUnprocessableEntity, "name"},
		"a service that does not exist": {c, "x.yaml", strings.Replace(webSpec, "web", "wep", 1), "If-None-Match: *", http.StatusUnprocessableEntity, "did you mean"},
	} {
		t.Run(name, func(t *testing.T) {
			answer := put(t, test.config, test.file, test.content, test.header)
			assert.Equal(t, test.status, answer.status, answer.body)
			assert.Contains(t, answer.body, test.detail)
			assert.Equal(t, webSpec, content(t, file))
			var p Problem
			require.NoError(t, json.Unmarshal([]byte(answer.body), &p))
			assert.Equal(t, test.status == http.StatusUnprocessableEntity, len(p.Problems) > 0)
		})
	}
	answer := put(t, c, "web.yaml", webSpec, "If-Match: *", "Content-Type: text/plain")
	assert.Equal(t, http.StatusUnsupportedMediaType, answer.status)
}

func TestANewSpecFileIsWritten(t *testing.T) {
	c, file := written(t)
	require.NoError(t, os.Remove(file))
	answer := put(t, c, "web.yaml", webSpec, "If-None-Match: *")
	require.Equal(t, http.StatusOK, answer.status, answer.body)
	assert.Equal(t, webSpec, content(t, file))
	assert.Equal(t, http.StatusNotFound, ask(t, New(c), http.MethodGet, "/api/v1/specs/nope.yaml").status)
}

func TestSpecFilesAreForWhoMayChangeThem(t *testing.T) {
	c, _ := written(t)
	for _, path := range []string{"/api/v1/specs", "/api/v1/specs/web.yaml"} {
		near := peer{name: loopback}
		assert.Equal(t, http.StatusUnauthorized, askAs(New(c), near, "127.0.0.1", "", path).Code)
		assert.Equal(t, http.StatusForbidden, askAs(New(c), near, "127.0.0.1", "Bearer "+tokenOf(t, Reader), path).Code)
		assert.Equal(t, http.StatusOK, askAs(New(c), near, "127.0.0.1", "Bearer "+tokenOf(t, Admin), path).Code)
		anonymous := c
		anonymous.AnonymousRead = true
		assert.Equal(t, http.StatusForbidden, askAs(New(anonymous), near, "127.0.0.1", "", path).Code)
	}
}

func TestValidateTellsEveryMistakeAndWhere(t *testing.T) {
	c, file := written(t)
	check := func(body string) (result ValidationResult) {
		answer := send(t, c, http.MethodPost, "/api/v1/validate", body)
		require.Equal(t, http.StatusOK, answer.status, answer.body)
		require.NoError(t, json.Unmarshal([]byte(answer.body), &result))
		return result
	}
	assert.Equal(t, ValidationResult{Valid: true, Problems: []SpecProblem{}}, check("{}"))
	wrong := check(`{"specs": {"web.yaml": "apiVersion: tend/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicaz: 2}\n"}}`)
	require.Len(t, wrong.Problems, 1)
	assert.Equal(t, SpecProblem{File: file, Line: 4, Column: 8, Workload: "web", Message: wrong.Problems[0].Message, Hint: wrong.Problems[0].Hint}, wrong.Problems[0])
	assert.Contains(t, wrong.Problems[0].Hint, "replicas")
	wrong = check(`{"compose": "services:\n  web: {imagge: x}\n"}`)
	require.Len(t, wrong.Problems, 1)
	assert.Equal(t, 2, wrong.Problems[0].Line)
	assert.True(t, check(`{"compose": "services: {web: {image: x}, more: {image: y}}", "specs": {"more.yaml": "apiVersion: tend/v1\nkind: Deployment\nmetadata: {name: more}\nspec: {}\n"}}`).Valid)
	assert.Equal(t, webSpec, content(t, file))

	assert.Equal(t, http.StatusBadRequest, send(t, c, http.MethodPost, "/api/v1/validate", `{"specs": {"../x.yaml": ""}}`).status)
	assert.Equal(t, http.StatusRequestEntityTooLarge, send(t, c, http.MethodPost, "/api/v1/validate", `{"compose": "`+strings.Repeat("x", 10<<20)+`"}`).status)
}
