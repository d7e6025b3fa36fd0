package controller

import (
	"math"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/ingresses"
	"github.com/tendhq/tend/ingress"
	"github.com/tendhq/tend/state"
)

// Metrics are what Prometheus scrapes.
type Metrics struct {
	registry  *prometheus.Registry
	actions   *prometheus.HistogramVec
	events    *prometheus.CounterVec
	plans     prometheus.Histogram
	engineUp  prometheus.Gauge
	specValid prometheus.Gauge
	durable   prometheus.Gauge
	commits   prometheus.Histogram
}

// NewMetrics makes the metrics, on a registry of their own.
func NewMetrics() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		actions: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tend_action_duration_seconds", Help: "Duration of the actions carried out, by kind and result.",
			Buckets: []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120},
		}, []string{"action", "result"}),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tend_events_total", Help: "Events, by type and reason.",
		}, []string{"type", "reason"}),
		plans: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "tend_plan_duration_seconds", Help: "Duration of planning one workload.",
			Buckets: prometheus.ExponentialBuckets(1e-5, 4, 8),
		}),
		engineUp:  prometheus.NewGauge(prometheus.GaugeOpts{Name: "tend_engine_up", Help: "1 while the container engine answers."}),
		specValid: prometheus.NewGauge(prometheus.GaugeOpts{Name: "tend_spec_valid", Help: "1 while what is written is in force; 0 while the last good spec stands in for it."}),
		durable:   prometheus.NewGauge(prometheus.GaugeOpts{Name: "tend_state_durable", Help: "1 while what tend decides survives a restart; 0 while it cannot be written."}),
		commits: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "tend_state_commit_duration_seconds", Help: "Duration of making what was decided durable.",
			Buckets: prometheus.ExponentialBuckets(1e-4, 4, 8),
		}),
	}
	m.registry.MustRegister(m.actions, m.events, m.plans, m.engineUp, m.specValid, m.durable, m.commits,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// watch adds gauges for the replicas of each workload, read from the state at
// each scrape.
func (m *Metrics) watch(s *state.Store) {
	m.registry.MustRegister(&statusCollector{store: s})
}

// watchIngresses adds what the ingresses count, read from their last statuses at each
// scrape.
func (m *Metrics) watchIngresses(i *ingresses.Ingresses) {
	m.registry.MustRegister(&ingressCollector{ingresses: i})
}

// Handler serves the metrics.
func (m *Metrics) Handler() http.Handler {
	const scrapers = 4 // at a time, as each scrape holds all metrics
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: scrapers})
}

func (m *Metrics) action(a core.Action, took time.Duration, err error) {
	result := "ok"
	if err != nil {
		result = "error"
	}
	m.actions.WithLabelValues(string(a.Kind), result).Observe(took.Seconds())
}

func (m *Metrics) event(e *state.Event)       { m.events.WithLabelValues(string(e.Type), e.Reason).Inc() }
func (m *Metrics) planned(took time.Duration) { m.plans.Observe(took.Seconds()) }
func (m *Metrics) link(err error)             { m.engineUp.Set(gauge(err == nil)) }
func (m *Metrics) spec(err error)             { m.specValid.Set(gauge(err == nil)) }
func (m *Metrics) kept(err error)             { m.durable.Set(gauge(err == nil)) }
func (m *Metrics) commit(took time.Duration)  { m.commits.Observe(took.Seconds()) }

func gauge(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// statusCollector turns the statuses into gauges.
type statusCollector struct{ store *state.Store }

var (
	replicasDesc  = prometheus.NewDesc("tend_workload_replicas", "Replicas of a workload: desired, existing, updated, ready and available.", []string{"workload", "state"}, nil)
	convergedDesc = prometheus.NewDesc("tend_workload_converged", "1 while what runs is what is written and nothing is under way.", []string{"workload"}, nil)
)

func (c *statusCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- replicasDesc
	ch <- convergedDesc
}

func (c *statusCollector) Collect(ch chan<- prometheus.Metric) {
	for _, s := range c.store.Snapshot().Statuses() {
		for state, n := range map[string]int{
			"desired": s.Desired, "existing": s.Replicas, "updated": s.Updated, "ready": s.Ready, "available": s.Available,
		} {
			ch <- prometheus.MustNewConstMetric(replicasDesc, prometheus.GaugeValue, float64(n), s.Workload, state)
		}
		ch <- prometheus.MustNewConstMetric(convergedDesc, prometheus.GaugeValue, gauge(s.Converged), s.Workload)
	}
}

// ingressCollector turns the statuses of ingresses into metrics. Its counters begin anew
// when an ingress's container is started.
type ingressCollector struct{ ingresses *ingresses.Ingresses }

var (
	ingressUpDesc          = prometheus.NewDesc("tend_ingress_up", "1 while an ingress serves and can be spoken to.", []string{"ingress"}, nil)
	ingressHeldDesc        = prometheus.NewDesc("tend_ingress_held", "Connections and requests that wait for a ready replica.", []string{"ingress"}, nil)
	ingressOpenDesc        = prometheus.NewDesc("tend_ingress_open", "Connections and requests that replicas have now.", []string{"ingress"}, nil)
	ingressConnectionsDesc = prometheus.NewDesc("tend_ingress_connections_total", "Connections that clients made.", []string{"ingress"}, nil)
	ingressRequestsDesc    = prometheus.NewDesc("tend_ingress_requests_total", "Requests, where the port speaks HTTP.", []string{"ingress"}, nil)
	ingressFailuresDesc    = prometheus.NewDesc("tend_ingress_failures_total", "Connections and requests that no replica took or answered.", []string{"ingress"}, nil)
	ingressErrorsDesc      = prometheus.NewDesc("tend_ingress_server_errors_total", "Answers of replicas with a status of 500 or more.", []string{"ingress"}, nil)
	ingressBytesDesc       = prometheus.NewDesc("tend_ingress_bytes_total", "Bytes from clients (in) and to them (out).", []string{"ingress", "direction"}, nil)
	ingressLatencyDesc     = prometheus.NewDesc("tend_ingress_wait_seconds", "How long clients waited: for a connection until a replica took it, for a request until the answer began.", []string{"ingress"}, nil)
)

func (c *ingressCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		ingressUpDesc, ingressHeldDesc, ingressOpenDesc, ingressConnectionsDesc, ingressRequestsDesc,
		ingressFailuresDesc, ingressErrorsDesc, ingressBytesDesc, ingressLatencyDesc,
	} {
		ch <- d
	}
}

func (c *ingressCollector) Collect(ch chan<- prometheus.Metric) {
	for name, r := range c.ingresses.Reports() {
		gaugeOf := func(d *prometheus.Desc, value float64) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, name)
		}
		count := func(d *prometheus.Desc, n int64, labels ...string) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), append([]string{name}, labels...)...)
		}
		open := 0
		for _, e := range r.Status.Endpoints {
			open += e.Open
		}
		gaugeOf(ingressUpDesc, gauge(r.Serving && r.Err == ""))
		gaugeOf(ingressHeldDesc, float64(r.Status.Held))
		gaugeOf(ingressOpenDesc, float64(open))
		t := r.Status.Total
		count(ingressConnectionsDesc, t.Connections)
		count(ingressRequestsDesc, t.Requests)
		count(ingressFailuresDesc, t.Failures)
		count(ingressErrorsDesc, t.ServerErrors)
		count(ingressBytesDesc, t.BytesIn, "in")
		count(ingressBytesDesc, t.BytesOut, "out")
		ch <- latency(name, t.Latency)
	}
}

// latency is a histogram of waits. Nobody has added them up, so that its sum is not
// known.
func latency(name string, counts ingress.Histogram) prometheus.Metric {
	buckets := map[float64]uint64{}
	all := uint64(0)
	for i, n := range counts {
		all += uint64(n)
		if i < len(ingress.LatencyBounds) {
			buckets[ingress.LatencyBounds[i].Seconds()] = all
		}
	}
	return prometheus.MustNewConstHistogram(ingressLatencyDesc, all, math.NaN(), buckets, name)
}
