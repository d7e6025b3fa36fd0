package api

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/tendhq/tend/state"
)

var update = flag.Bool("update", false, "write the golden files")

// ask sends a request as whoever reaches the Unix socket.
func ask(t *testing.T, h http.Handler, method, path string) answer {
	t.Helper()
	s := httptest.NewServer(onSocket(h))
	defer s.Close()
	return do(t, s.Client(), method, s.URL+path, "")
}

// answer is a response, read whole.
type answer struct {
	status int
	header http.Header
	body   string
}

func do(t *testing.T, c *http.Client, method, url, body string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	response, err := c.Do(r)
	require.NoError(t, err)
	defer response.Body.Close()
	return readAnswer(t, response)
}

func readAnswer(t *testing.T, response *http.Response) answer {
	t.Helper()
	got, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return answer{status: response.StatusCode, header: response.Header, body: string(got)}
}

func TestAnswersAreTheGoldenOnesAndShowNoSecret(t *testing.T) {
	for name, path := range map[string]string{
		"workloads":         "/api/v1/workloads",
		"workload":          "/api/v1/workloads/web",
		"workload-replicas": "/api/v1/workloads/web/replicas",
		"removed-replicas":  "/api/v1/workloads/gone/replicas",
		"replicas":          "/api/v1/replicas",
		"events":            "/api/v1/events",
		"workload-events":   "/api/v1/workloads/web/events",
		"events-of-web":     "/api/v1/events?workload=web&limit=1",
		"events-since":      "/api/v1/events?since=1",
		"events-restarted":  "/api/v1/events?since=1000&workload=",
		"no-events":         "/api/v1/workloads/seed/events",
		"healthz":           "/healthz",
		"readyz":            "/readyz",
		"revisions":         "/api/v1/workloads/web/revisions",
		"endpoints":         "/api/v1/endpoints",
		"prometheus":        "/api/v1/discovery/prometheus",
		"prometheus-front":  "/api/v1/discovery/prometheus?network=frontend",
		"traefik":           "/api/v1/discovery/traefik?network=backend",
		"plan":              "/api/v1/workloads/web/plan",
		"diff":              "/api/v1/workloads/web/revisions/diff?from=2&to=3",
		"images":            "/api/v1/images",
		"subscribers":       "/api/v1/subscribers",
		"traffic":           "/api/v1/traffic",
		"traffic-since":     "/api/v1/traffic?since=2026-01-02T11:00:10Z",
	} {
		t.Run(name, func(t *testing.T) {
			answer := ask(t, New(config(published())), http.MethodGet, path)
			assert.Equal(t, http.StatusOK, answer.status)
			assert.Equal(t, "application/json", answer.header.Get("Content-Type"))
			assert.NotContains(t, answer.body, secret)
			var pretty bytes.Buffer
			require.NoError(t, json.Indent(&pretty, []byte(answer.body), "", "  "))
			file := filepath.Join("testdata", name+".json")
			if *update {
				require.NoError(t, os.WriteFile(file, pretty.Bytes(), 0o644))
			}
			want, err := os.ReadFile(file)
			require.NoError(t, err)
			assert.Equal(t, string(want), pretty.String())
		})
	}
}

func TestListsOfNothingAreEmptyAndNotNull(t *testing.T) {
	h := New(config(state.New(func([]state.Change) {})))
	for _, path := range []string{"/api/v1/workloads", "/api/v1/replicas", "/api/v1/events"} {
		answer := ask(t, h, http.MethodGet, path)
		assert.JSONEq(t, `{"apiVersion": "tend/v1", "kind": "List", "items": []}`, answer.body, path)
	}
}

func TestFailuresAreProblemDocuments(t *testing.T) {
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{http.MethodGet, "/api/v1/workloads/nope", http.StatusNotFound},
		{http.MethodGet, "/api/v1/workloads/nope/replicas", http.StatusNotFound},
		{http.MethodGet, "/api/v1/workloads/nope/events", http.StatusNotFound},
		{http.MethodGet, "/api/v2", http.StatusNotFound},
		{http.MethodGet, "/page/nope.js", http.StatusNotFound},
		{http.MethodDelete, "/api/v1/workloads/web", http.StatusMethodNotAllowed},
		{http.MethodPost, "/healthz", http.StatusMethodNotAllowed},
		{http.MethodGet, "/api/v1/events?since=yesterday", http.StatusBadRequest},
		{http.MethodGet, "/api/v1/events?since=18446744073709551615", http.StatusBadRequest},
		{http.MethodGet, "/api/v1/events?limit=0", http.StatusBadRequest},
		{http.MethodGet, "/api/v1/events?limit=-1", http.StatusBadRequest},
		{http.MethodGet, "/api/v1/traffic?since=lunch", http.StatusBadRequest},
		{http.MethodGet, "/api/v1/workloads/nope/revisions", http.StatusNotFound},
		{http.MethodGet, "/api/v1/workloads/nope/plan", http.StatusNotFound},
		{http.MethodGet, "/api/v1/workloads/nope/logs", http.StatusNotFound},
		{http.MethodGet, "/api/v1/workloads/web/logs?tail=0", http.StatusBadRequest},
		{http.MethodGet, "/api/v1/workloads/web/logs?tail=10001", http.StatusBadRequest},
		{http.MethodGet, "/api/v1/workloads/web/logs?since=yesterday", http.StatusBadRequest},
		{http.MethodGet, "/api/v1/workloads/nope/revisions/diff?from=1&to=2", http.StatusNotFound},
		{http.MethodGet, "/api/v1/workloads/web/revisions/diff", http.StatusBadRequest},
		{http.MethodGet, "/api/v1/workloads/web/revisions/diff?from=1&to=9", http.StatusNotFound},
		{http.MethodGet, "/api/v1/watch", http.StatusNotAcceptable},
		{http.MethodPost, "/api/v1/replicas/nope/kill", http.StatusNotFound},
		{http.MethodPost, "/api/v1/replicas/shop-gone-1/kill", http.StatusConflict},
		{http.MethodGet, "/api/v1/endpoints?index=first", http.StatusBadRequest},
		{http.MethodGet, "/api/v1/endpoints?index=-1", http.StatusBadRequest},
		{http.MethodGet, "/api/v1/endpoints?wait=soon", http.StatusBadRequest},
		{http.MethodGet, "/api/v1/endpoints?wait=-1s", http.StatusBadRequest},
		{http.MethodGet, "/api/v1/endpoints?wait=301s", http.StatusBadRequest},
		{http.MethodGet, "/api/v1/endpoints?subscriber=" + strings.Repeat("x", 129), http.StatusBadRequest},
		{http.MethodPost, "/api/v1/workloads/nope/rollout/pause", http.StatusNotFound},
		{http.MethodPost, "/api/v1/workloads/seed/rollout/pause", http.StatusConflict},
		{http.MethodPut, "/api/v1/workloads/nope/scale", http.StatusNotFound},
		{http.MethodPut, "/api/v1/workloads/web/scale", http.StatusBadRequest},
	} {
		t.Run(c.method+" "+c.path, func(t *testing.T) {
			answer := ask(t, New(config(shop())), c.method, c.path)
			assert.Equal(t, c.status, answer.status)
			assert.Equal(t, "application/problem+json", answer.header.Get("Content-Type"))
			var p Problem
			require.NoError(t, json.Unmarshal([]byte(answer.body), &p))
			assert.Equal(t, c.status, p.Status)
			assert.Equal(t, http.StatusText(c.status), p.Title)
			assert.NotEmpty(t, p.Detail)
			if c.status == http.StatusMethodNotAllowed {
				assert.Equal(t, "GET, HEAD", answer.header.Get("Allow"))
			}
		})
	}
}

func TestAMethodThatAPathDoesNotTakeIsAnsweredWithThoseItTakes(t *testing.T) {
	for path, allow := range map[string]string{"scale": "PUT", "rollout/undo": "POST", "revisions": "GET, HEAD"} {
		answer := ask(t, New(config(shop())), http.MethodDelete, "/api/v1/workloads/web/"+path)
		assert.Equal(t, http.StatusMethodNotAllowed, answer.status)
		assert.Equal(t, allow, answer.header.Get("Allow"), path)
	}
}

func TestHeadAnswersAsGetWithoutABody(t *testing.T) {
	answer := ask(t, New(config(shop())), http.MethodHead, "/api/v1/workloads")
	assert.Equal(t, http.StatusOK, answer.status)
	assert.Empty(t, answer.body)
}

func TestARequestWithABodyIsRefused(t *testing.T) {
	s := httptest.NewServer(onSocket(New(config(shop()))))
	defer s.Close()
	assert.Equal(t, http.StatusRequestEntityTooLarge, do(t, s.Client(), http.MethodGet, s.URL+"/api/v1/workloads", "{}").status)
}

func TestReadyzTellsTheReason(t *testing.T) {
	c := config(shop())
	c.Ready = func() error { return errNotReady }
	answer := ask(t, New(c), http.MethodGet, "/readyz")
	assert.Equal(t, http.StatusServiceUnavailable, answer.status)
	assert.Contains(t, answer.body, errNotReady.Error())
}

func TestMetricsAreServed(t *testing.T) {
	answer := ask(t, New(config(shop())), http.MethodGet, "/metrics")
	assert.Equal(t, "tend_engine_up 1\n", answer.body)
}

type openAPIDocument struct {
	Paths      map[string]map[string]any
	Components struct {
		Schemas map[string]struct {
			Required   []string
			Properties map[string]any
		}
	}
}

func document(t *testing.T) (d openAPIDocument) {
	t.Helper()
	answer := ask(t, New(config(shop())), http.MethodGet, "/openapi.yaml")
	require.NoError(t, yaml.Unmarshal([]byte(answer.body), &d))
	return d
}

func TestOpenAPINamesEveryRouteAndNoOther(t *testing.T) {
	var routes, documented []string
	require.NoError(t, chi.Walk(config(shop()).control(), func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		routes = append(routes, method+" "+route)
		return nil
	}))
	for path, item := range document(t).Paths {
		for key := range item {
			if key != "parameters" {
				documented = append(documented, strings.ToUpper(key)+" "+path)
			}
		}
	}
	assert.ElementsMatch(t, routes, documented)
}

func TestTheReadOnlyListenerServesWhatGatewaysAndScrapersNeedAndNoMore(t *testing.T) {
	var routes []string
	require.NoError(t, chi.Walk(config(shop()).readOnly(), func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		routes = append(routes, method+" "+route)
		return nil
	}))
	assert.ElementsMatch(t, []string{
		"GET /healthz", "GET /readyz", "GET /metrics",
		"GET /api/v1/endpoints", "POST /api/v1/endpoints", "GET /api/v1/discovery/prometheus", "GET /api/v1/discovery/traefik",
		"GET /v1/agent/self", "GET /v1/status/leader", "GET /v1/catalog/services", "GET /v1/catalog/service/{name}", "GET /v1/health/service/{name}",
	}, routes)
}

func TestOpenAPIDescribesTheWireTypes(t *testing.T) {
	schemas := document(t).Components.Schemas
	lists := map[string]any{
		"WorkloadList": List[Workload]{}, "ReplicaList": List[Replica]{}, "EventList": List[Event]{}, "RevisionList": List[Revision]{},
		"LogLineList": List[LogLine]{}, "ImageList": List[Image]{}, "SubscriberList": List[Subscriber]{}, "SpecFileList": List[SpecFile]{}, "TrafficList": List[Traffic]{},
	}
	described := map[string]bool{}
	var check func(name string, typ reflect.Type)
	check = func(name string, typ reflect.Type) {
		if described[name] {
			return
		}
		described[name] = true
		var properties, required []string
		for _, f := range reflect.VisibleFields(typ) {
			if f.Anonymous {
				continue
			}
			key, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			properties = append(properties, key)
			if options == "" {
				required = append(required, key)
			}
			field := f.Type
			for slices.Contains([]reflect.Kind{reflect.Slice, reflect.Pointer, reflect.Map}, field.Kind()) {
				field = field.Elem()
			}
			if field.Kind() == reflect.Struct && field.PkgPath() == typ.PkgPath() {
				check(field.Name(), field)
			}
		}
		var documented []string
		for key := range schemas[name].Properties {
			documented = append(documented, key)
		}
		assert.ElementsMatch(t, properties, documented, "properties of %s", name)
		assert.ElementsMatch(t, required, schemas[name].Required, "required properties of %s", name)
	}
	for name, list := range lists {
		check(name, reflect.TypeOf(list))
	}
	check("Health", reflect.TypeFor[Health]())
	check("Problem", reflect.TypeFor[Problem]())
	check("Endpoints", reflect.TypeFor[Endpoints]())
	check("ConsulEntry", reflect.TypeFor[ConsulEntry]())
	check("ConsulCatalogEntry", reflect.TypeFor[ConsulCatalogEntry]())
	check("ConsulRegistration", reflect.TypeFor[ConsulRegistration]())
	check("Carried", reflect.TypeFor[Carried]())
	check("Undo", reflect.TypeFor[Undo]())
	check("Scale", reflect.TypeFor[Scale]())
	for _, typ := range []reflect.Type{
		reflect.TypeFor[Project](), reflect.TypeFor[WatchEvent](), reflect.TypeFor[Plan](), reflect.TypeFor[RevisionDiff](),
		reflect.TypeFor[Session](), reflect.TypeFor[Login](), reflect.TypeFor[Link](),
		reflect.TypeFor[Validation](), reflect.TypeFor[ValidationResult](),
	} {
		check(typ.Name(), typ)
	}
	check("TargetGroup", reflect.TypeFor[TargetGroup]())
	check("TraefikConfiguration", reflect.TypeFor[TraefikConfiguration]())
	for name := range schemas {
		assert.True(t, described[name], "%s describes nothing", name)
	}
}
