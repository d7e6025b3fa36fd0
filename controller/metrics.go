package controller

import (
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/ingresses"
	"github.com/tendhq/tend/controller/plan"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/ingress"
	"github.com/tendhq/tend/state"
)

// Metrics are what Prometheus scrapes. Their labels are bounded: by the workloads of the
// project, by the words of tend, and by nothing that a container or a client chooses.
type Metrics struct {
	registry  *prometheus.Registry
	actions   *prometheus.HistogramVec
	events    *prometheus.CounterVec
	plans     prometheus.Histogram
	engineUp  prometheus.Gauge
	engine    *prometheus.HistogramVec
	specValid prometheus.Gauge
	specWrong prometheus.Gauge
	durable   prometheus.Gauge
	commits   prometheus.Histogram
	rollouts  *prometheus.HistogramVec
	restarts  *prometheus.CounterVec
	drains    *prometheus.HistogramVec
	probes    *prometheus.HistogramVec
	intents   *prometheus.CounterVec
	exhausted *prometheus.CounterVec
	scales    *prometheus.CounterVec
}

// NewMetrics makes the metrics, on a registry of their own.
func NewMetrics() *Metrics {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
	}
	actions := []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120}
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		actions:  histogram("tend_action_duration_seconds", "Duration of the actions carried out, by kind and result.", actions, "action", "result"),
		events:   counter("tend_events_total", "Events, by type and reason.", "type", "reason"),
		plans: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "tend_plan_duration_seconds", Help: "Duration of planning one workload.",
			Buckets: prometheus.ExponentialBuckets(1e-5, 4, 8),
		}),
		engineUp:  gauge("tend_engine_up", "1 while the container engine answers."),
		engine:    histogram("tend_engine_request_duration_seconds", "Duration of requests to the engine, by operation and code: ok, or the class of the error.", actions, "operation", "code"),
		specValid: gauge("tend_spec_valid", "1 while what is written is in force; 0 while the last good spec stands in for it."),
		specWrong: gauge("tend_spec_errors", "Mistakes in what is written."),
		durable:   gauge("tend_state_durable", "1 while what tend decides survives a restart; 0 while it cannot be written."),
		commits: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "tend_state_commit_duration_seconds", Help: "Duration of making what was decided durable.",
			Buckets: prometheus.ExponentialBuckets(1e-4, 4, 8),
		}),
		rollouts:  histogram("tend_rollout_duration_seconds", "Duration of rollouts from their begin, by result: complete or failed.", []float64{1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600}, "workload", "result"),
		restarts:  counter("tend_restarts_total", "Containers that were started again, by tend or by the engine.", "workload"),
		drains:    histogram("tend_drain_duration_seconds", "Time between the withdrawal of an endpoint and the stop, by result: acknowledged by all who follow the endpoints, or timed_out.", []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}, "result"),
		probes:    histogram("tend_probe_duration_seconds", "Duration of probes, by probe and result: success or failure.", []float64{.001, .005, .01, .05, .1, .5, 1, 5, 10}, "probe", "result"),
		intents:   counter("tend_intents_total", "Changes that people asked for through the API, by the reason of their event.", "reason"),
		exhausted: counter("tend_container_oom_kills_total", "Processes of a replica that the kernel has ended for lack of memory.", ofReplica...),
		scales:    counter("tend_autoscaler_changes_total", "Changes of the number of replicas by the autoscaler.", "workload", "direction"),
	}
	m.registry.MustRegister(m.actions, m.events, m.plans, m.engineUp, m.engine, m.specValid, m.specWrong, m.durable, m.commits,
		m.rollouts, m.restarts, m.drains, m.probes, m.intents, m.exhausted, m.scales,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	// An increase is seen from the value before it, so that what alerts count begins at 0.
	for _, r := range reasons {
		m.events.WithLabelValues(string(core.Warning), r.failed)
	}
	m.drains.WithLabelValues(drainAcknowledged)
	m.drains.WithLabelValues(drainTimedOut)
	return m
}

// The results of rollouts and drains.
const (
	rolloutComplete   = "complete"
	rolloutFailed     = "failed"
	drainAcknowledged = "acknowledged"
	drainTimedOut     = "timed_out"
)

// begin has the counts of a workload that is written begin at 0.
func (m *Metrics) begin(workload string) {
	m.rollouts.WithLabelValues(workload, rolloutComplete)
	m.rollouts.WithLabelValues(workload, rolloutFailed)
	m.restarts.WithLabelValues(workload)
}

// Registerer takes more metrics, of what is around the controller.
func (m *Metrics) Registerer() prometheus.Registerer { return m.registry }

// Describe sends what there is to know of each metric before it has a value.
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) { m.registry.Describe(ch) }

// watch adds what a controller knows at the time of each scrape: of the queue, of the
// replicas of each workload, and what the ingresses have counted.
func (m *Metrics) watch(c *Controller) {
	m.registry.MustRegister(&queueCollector{c}, &statusCollector{store: c.store}, &ingressCollector{ingresses: c.ingresses},
		&gatewayCollector{gateways: &c.gateways}, &usageCollector{store: c.store, sampler: c.sampler}, &scaleCollector{store: c.store})
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

// engineCall is told of each request to the engine.
func (m *Metrics) engineCall(op string, took time.Duration, err error) {
	code := "ok"
	if err != nil {
		code = strings.ReplaceAll(engine.ClassOf(err).String(), " ", "_")
	}
	m.engine.WithLabelValues(op, code).Observe(took.Seconds())
}

// probe is told of each probe.
func (m *Metrics) probe(name string, took time.Duration, err error) {
	result := "success"
	if err != nil {
		result = "failure"
	}
	m.probes.WithLabelValues(name, result).Observe(took.Seconds())
}

// decided counts the rollouts and the drains that a plan has brought to an end. A drain
// that nobody was asked to acknowledge is not counted.
func (m *Metrics) decided(in plan.Input, p plan.Plan) {
	before, after := in.Rollout, p.Rollout
	switch {
	case after.Failed != "" && after.Failed != before.Failed:
		m.rollouts.WithLabelValues(in.Workload, rolloutFailed).Observe(in.Now.Sub(before.StartedAt).Seconds())
	case after.Complete && !before.Complete && !after.StartedAt.IsZero():
		m.rollouts.WithLabelValues(in.Workload, rolloutComplete).Observe(in.Now.Sub(after.StartedAt).Seconds())
	}
	for _, a := range p.Actions {
		if drain, drained := before.Drains[a.ID]; drained && a.Kind == core.StopReplica && !drain.Unasked && in.Subscribers > 0 {
			result := drainTimedOut
			if in.Acknowledged[a.ID] {
				result = drainAcknowledged
			}
			m.drains.WithLabelValues(result).Observe(in.Now.Sub(drain.Since).Seconds())
		}
	}
}

// forget drops the counts of a workload that is gone.
func (m *Metrics) forget(workload string) {
	of := prometheus.Labels{"workload": workload}
	m.rollouts.DeletePartialMatch(of)
	m.restarts.DeletePartialMatch(of)
	m.exhausted.DeletePartialMatch(of)
	m.scales.DeletePartialMatch(of)
}

// Scaled counts a change of a workload's number of replicas by the autoscaler.
func (m *Metrics) Scaled(workload string, by int) {
	direction := "up"
	if by < 0 {
		direction = "down"
	}
	m.scales.WithLabelValues(workload, direction).Inc()
}

// oomKill is told of each process that the kernel has ended for lack of memory.
func (m *Metrics) oomKill(workload string, number int) {
	m.exhausted.WithLabelValues(workload, strconv.Itoa(number)).Inc()
}

// restarted is told of containers that tend, or the engine, has started again.
func (m *Metrics) restarted(workload string, times int) {
	m.restarts.WithLabelValues(workload).Add(float64(times))
}

func (m *Metrics) event(e *state.Event)       { m.events.WithLabelValues(string(e.Type), e.Reason).Inc() }
func (m *Metrics) planned(took time.Duration) { m.plans.Observe(took.Seconds()) }
func (m *Metrics) link(err error)             { m.engineUp.Set(gauge(err == nil)) }
func (m *Metrics) kept(err error)             { m.durable.Set(gauge(err == nil)) }
func (m *Metrics) commit(took time.Duration)  { m.commits.Observe(took.Seconds()) }

func (m *Metrics) spec(err error) {
	m.specValid.Set(gauge(err == nil))
	n := 0
	if wrong := (spec.Errors{}); errors.As(err, &wrong) {
		n = len(wrong)
	} else if err != nil {
		n = 1
	}
	m.specWrong.Set(float64(n))
}

func gauge(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// queueCollector tells of the queue.
type queueCollector struct{ *Controller }

var (
	queueDepthDesc  = prometheus.NewDesc("tend_queue_depth", "Workloads that are to be planned.", nil, nil)
	queueOldestDesc = prometheus.NewDesc("tend_queue_oldest_age_seconds", "For how long the workload that waits longest is to be planned.", nil, nil)
)

// Describe implements prometheus.Collector.
func (c *queueCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- queueDepthDesc
	ch <- queueOldestDesc
}

// Collect implements prometheus.Collector.
func (c *queueCollector) Collect(ch chan<- prometheus.Metric) {
	depth, oldest := c.queue(time.Now())
	ch <- prometheus.MustNewConstMetric(queueDepthDesc, prometheus.GaugeValue, float64(depth))
	ch <- prometheus.MustNewConstMetric(queueOldestDesc, prometheus.GaugeValue, oldest.Seconds())
}

// statusCollector turns the statuses into gauges.
type statusCollector struct{ store *state.Store }

var (
	replicasDesc  = prometheus.NewDesc("tend_workload_replicas", "Replicas of a workload: desired, existing, updated, ready and available.", []string{"workload", "state"}, nil)
	phasesDesc    = prometheus.NewDesc("tend_replicas", "Containers of a workload, by where they are in their life.", []string{"workload", "phase"}, nil)
	convergedDesc = prometheus.NewDesc("tend_workload_converged", "1 while what runs is what is written and nothing is under way.", []string{"workload"}, nil)
	outcomeDesc   = prometheus.NewDesc("tend_workload_outcome", "1 for the outcome of a workload.", []string{"workload", "outcome"}, nil)
	conditionDesc = prometheus.NewDesc("tend_workload_condition", "1 while a condition of a workload is true, 0 while it is false.", []string{"workload", "condition", "reason"}, nil)
	pausedDesc    = prometheus.NewDesc("tend_workload_paused", "1 while the rollout of a workload is held.", []string{"workload"}, nil)
)

func (c *statusCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{replicasDesc, phasesDesc, convergedDesc, outcomeDesc, conditionDesc, pausedDesc} {
		ch <- d
	}
}

func (c *statusCollector) Collect(ch chan<- prometheus.Metric) {
	send := func(d *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	for _, s := range c.store.Snapshot().Statuses() {
		for state, n := range map[string]int{
			"desired": s.Desired, "existing": s.Replicas, "updated": s.Updated, "ready": s.Ready, "available": s.Available,
		} {
			send(replicasDesc, float64(n), s.Workload, state)
		}
		phases := map[core.Phase]int{}
		for _, r := range s.ReplicaStatuses {
			phases[r.Phase]++
		}
		for phase, n := range phases {
			send(phasesDesc, float64(n), s.Workload, string(phase))
		}
		send(convergedDesc, gauge(s.Converged), s.Workload)
		if s.Outcome != "" {
			send(outcomeDesc, 1, s.Workload, string(s.Outcome))
		}
		for _, condition := range s.Conditions {
			send(conditionDesc, gauge(condition.Status), s.Workload, string(condition.Type), condition.Reason)
		}
		send(pausedDesc, gauge(s.Paused), s.Workload)
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
		ch <- latency(ingressLatencyDesc, name, t.Latency)
	}
}

// gatewayCollector turns what gateways have carried into metrics.
type gatewayCollector struct{ gateways *gateways }

var (
	gatewayRequestsDesc = prometheus.NewDesc("tend_gateway_requests_total", "Requests that gateways carried to a workload.", []string{"workload"}, nil)
	gatewayFailuresDesc = prometheus.NewDesc("tend_gateway_failures_total", "Requests that no replica took or answered.", []string{"workload"}, nil)
	gatewayErrorsDesc   = prometheus.NewDesc("tend_gateway_server_errors_total", "Answers of replicas with a status of 500 or more.", []string{"workload"}, nil)
	gatewayLatencyDesc  = prometheus.NewDesc("tend_gateway_wait_seconds", "How long clients waited until the answer began.", []string{"workload"}, nil)
)

func (c *gatewayCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{gatewayRequestsDesc, gatewayFailuresDesc, gatewayErrorsDesc, gatewayLatencyDesc} {
		ch <- d
	}
}

func (c *gatewayCollector) Collect(ch chan<- prometheus.Metric) {
	for workload, t := range c.gateways.counters() {
		count := func(d *prometheus.Desc, n int64) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), workload)
		}
		count(gatewayRequestsDesc, t.Requests)
		count(gatewayFailuresDesc, t.Failures)
		count(gatewayErrorsDesc, t.ServerErrors)
		ch <- latency(gatewayLatencyDesc, workload, t.Latency)
	}
}

// latency is a histogram of waits. Nobody has added them up, so that its sum is not
// known.
func latency(desc *prometheus.Desc, name string, counts ingress.Histogram) prometheus.Metric {
	buckets := map[float64]uint64{}
	all := uint64(0)
	for i, n := range counts {
		all += uint64(n)
		if i < len(ingress.LatencyBounds) {
			buckets[ingress.LatencyBounds[i].Seconds()] = all
		}
	}
	return prometheus.MustNewConstHistogram(desc, all, math.NaN(), buckets, name)
}
