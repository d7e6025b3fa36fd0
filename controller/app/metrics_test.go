package app

import (
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/tendhq/tend/api"
	"github.com/tendhq/tend/controller/recorder"
	"github.com/tendhq/tend/controller/tracing"
)

var (
	described = regexp.MustCompile(`fqName: "(tend_\w+)".*constLabels: \{([^}]*)\}, variableLabels: \{([^}]*)\}`)
	row       = regexp.MustCompile("(?m)^\\| `(tend_\\w+)` \\| (\\w+) \\| ([^|]*)\\|")
)

// registered are all metrics, by name, with their labels.
func registered(t *testing.T, s *shop) (*prometheus.Registry, map[string]string) {
	t.Helper()
	ctl := New(s.options, nil)
	recording := recorder.Start(t.TempDir(), zap.NewNop())
	t.Cleanup(recording.Close)
	registry := ctl.Metrics().Registerer().(*prometheus.Registry)
	describe(registry, "1.2.3", recording)
	api.NewMetrics(registry)
	_, _, err := tracing.New("", "1.2.3", registry, zap.NewNop())
	require.NoError(t, err)
	ch := make(chan *prometheus.Desc, 1000)
	registry.Describe(ch)
	close(ch)
	all := map[string]string{}
	for d := range ch {
		if m := described.FindStringSubmatch(d.String()); m != nil {
			labels := strings.FieldsFunc(m[3], func(r rune) bool { return r == ',' || r == ' ' })
			for _, pair := range strings.Split(m[2], ",") {
				if name, _, ok := strings.Cut(pair, "="); ok {
					labels = append(labels, name)
				}
			}
			slices.Sort(labels)
			all[m[1]] = strings.Join(labels, ", ")
		}
	}
	return registry, all
}

// The reference has each metric that there is, with its labels, and no other.
func TestTheReferenceOfMetricsIsComplete(t *testing.T) {
	_, all := registered(t, newShop(t))
	text, err := os.ReadFile("../../docs/reference/metrics.md")
	require.NoError(t, err)
	documented := map[string]string{}
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		labels := strings.FieldsFunc(m[3], func(r rune) bool { return r == ',' || r == ' ' })
		slices.Sort(labels)
		documented[m[1]] = strings.Join(labels, ", ")
	}
	assert.Equal(t, documented, all)
}

// What is scraped of a project that runs has the types of the reference, and is as
// Prometheus wants it.
func TestMetricsAreAsPrometheusWantsThem(t *testing.T) {
	s := newShop(t)
	s.options.API.EndpointsListen = address(t)
	s.run()
	c := s.converges(2)
	_, err := c.Kill(t.Context(), "shop-web-1")
	require.NoError(t, err)
	token, err := os.ReadFile(s.options.DataDir + "/" + api.TokenFile(api.Reader))
	require.NoError(t, err)
	scrape := func() string {
		_, text := s.metrics(strings.TrimSpace(string(token)))
		return text
	}
	eventually(t, func() bool { return strings.Contains(scrape(), `tend_restarts_total{workload="web"} 1`) }, "the killed replica is not started again")
	_, err = c.Restart(t.Context(), "web")
	require.NoError(t, err)
	eventually(t, func() bool {
		return strings.Contains(scrape(), `tend_rollout_duration_seconds_count{result="complete",workload="web"} 2`)
	}, "the rollout is not complete")
	s.converges(2)
	metrics := scrape()
	problems, err := testutil.GatherAndLint(prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return parse(metrics) }))
	require.NoError(t, err)
	assert.Empty(t, problems)

	text, err := os.ReadFile("../../docs/reference/metrics.md")
	require.NoError(t, err)
	types := map[string]string{}
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		types[m[1]] = m[2]
	}
	families, err := parse(metrics)
	require.NoError(t, err)
	seen := map[string]bool{}
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "tend_") {
			seen[f.GetName()] = true
			assert.Equal(t, types[f.GetName()], strings.ToLower(f.GetType().String()), f.GetName())
		}
	}
	for _, name := range []string{
		"tend_build_info", "tend_queue_depth", "tend_engine_request_duration_seconds", "tend_rollout_duration_seconds", "tend_restarts_total",
		"tend_intents_total", "tend_api_requests_total", "tend_api_request_duration_seconds", "tend_replicas", "tend_workload_outcome", "tend_recorder_queue_depth",
	} {
		assert.True(t, seen[name], "%s is not there", name)
	}
	for _, text := range []string{
		`tend_build_info{goversion="`, `tend_intents_total{reason="RolloutRestarted"} 1`, `tend_intents_total{reason="Killed"} 1`,
		`tend_api_requests_total{code="200",method="POST",route="/api/v1/replicas/{replica}/kill"} 1`,
		`tend_engine_request_duration_seconds_count{code="ok",operation="kill_container"} 1`,
		`tend_replicas{phase="ready",workload="web"} 2`, `tend_workload_outcome{outcome="Converged",workload="web"} 1`,
		`tend_rollout_duration_seconds_count{result="complete",workload="web"}`,
	} {
		assert.Contains(t, metrics, text)
	}

	some, err := c.Metrics(t.Context(), "tend_build_info", "tend_ingress_wait_seconds")
	require.NoError(t, err)
	defer some.Close()
	wanted, err := io.ReadAll(some)
	require.NoError(t, err)
	families, err = parse(string(wanted))
	require.NoError(t, err)
	require.Len(t, families, 1, "there is no ingress")
	assert.Equal(t, "tend_build_info", families[0].GetName())
}

// parse reads what was scraped.
func parse(text string) (families []*dto.MetricFamily, err error) {
	parser := expfmt.NewTextParser(model.LegacyValidation)
	parsed, err := parser.TextToMetricFamilies(strings.NewReader(text))
	for _, f := range parsed {
		families = append(families, f)
	}
	return families, err
}
