package prometheus

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAQueryIsANumberOrAnError(t *testing.T) {
	for name, c := range map[string]struct {
		status  int
		answer  string
		value   float64
		failure string
	}{
		"a scalar":     {200, `{"status":"success","data":{"resultType":"scalar","result":[1,"2.5"]}}`, 2.5, ""},
		"a vector":     {200, `{"status":"success","data":{"resultType":"vector","result":[{"value":[1,"2"]},{"value":[1,"3"]}]}}`, 5, ""},
		"nothing":      {200, `{"status":"success","data":{"resultType":"vector","result":[]}}`, 0, "the query has no answer"},
		"no number":    {200, `{"status":"success","data":{"resultType":"vector","result":[{"value":[1,"NaN"]}]}}`, 0, `the answer is "NaN", which is no number`},
		"a matrix":     {200, `{"status":"success","data":{"resultType":"matrix","result":[]}}`, 0, "the query has a matrix for an answer"},
		"a wrong one":  {400, `{"status":"error","error":"parse error: unexpected end"}`, 0, "the query is refused: parse error: unexpected end"},
		"another host": {404, `not found`, 0, "answers with status 404, and not as Prometheus does"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				assert.Equal(t, "/api/v1/query", r.URL.Path)
				assert.Equal(t, `sum(rate(a{b="c"}[1m]))`, r.URL.Query().Get("query"))
				w.WriteHeader(c.status)
				fmt.Fprint(w, c.answer)
			}))
			defer server.Close()
			value, err := Query(t.Context(), server.URL+"/", `sum(rate(a{b="c"}[1m]))`)
			if c.failure != "" {
				require.ErrorContains(t, err, c.failure)
				return
			}
			require.NoError(t, err)
			assert.InDelta(t, c.value, value, 1e-9)
		})
	}
}

func TestTargetsAndAlertsAreListed(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.String() {
		case "/api/v1/targets?state=active":
			fmt.Fprint(w, `{"status":"success","data":{"activeTargets":[{"labels":{"job":"shop"},"scrapeUrl":"http://a/metrics","health":"down","lastError":"refused"}]}}`)
		case "/api/v1/alerts":
			fmt.Fprint(w, `{"status":"success","data":{"alerts":[{"labels":{"alertname":"ServiceDown"},"annotations":{"summary":"it is down"},"state":"firing"}]}}`)
		default:
			t.Errorf("asked for %s", r.URL)
		}
	}))
	defer server.Close()
	targets, err := Targets(t.Context(), server.URL)
	require.NoError(t, err)
	assert.Equal(t, []Target{{Labels: map[string]string{"job": "shop"}, ScrapeURL: "http://a/metrics", Health: "down", LastError: "refused"}}, targets)
	alerts, err := Alerts(t.Context(), server.URL+"/")
	require.NoError(t, err)
	assert.Equal(t, []Alert{{Labels: map[string]string{"alertname": "ServiceDown"}, Annotations: map[string]string{"summary": "it is down"}, State: "firing"}}, alerts)
}
