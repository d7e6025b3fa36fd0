// Package metrics holds the Prometheus metrics that all services share. Names
// and labels are those that the shop's dashboards and alerts ask for.
package metrics

import (
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics are one service's metrics, each with the label service.
type Metrics struct {
	registry *prometheus.Registry
	// Registerer adds metrics of the service's own.
	Registerer prometheus.Registerer

	requests        *prometheus.CounterVec
	requestDuration *prometheus.HistogramVec
	rpcs            *prometheus.CounterVec
	rpcDuration     *prometheus.HistogramVec
	queries         *prometheus.CounterVec
	queryDuration   *prometheus.HistogramVec
	calls           *prometheus.CounterVec
	callDuration    *prometheus.HistogramVec
	hedges          *prometheus.CounterVec
	refusals        *prometheus.CounterVec
	active          prometheus.Gauge
}

// New returns the metrics of the named service.
func New(service string) *Metrics {
	registry := prometheus.NewRegistry()
	m := &Metrics{
		registry:        registry,
		Registerer:      prometheus.WrapRegistererWith(prometheus.Labels{"service": service}, registry),
		requests:        counter("http_requests_total", "HTTP requests answered.", "method", "route", "status_code"),
		requestDuration: histogram("http_request_duration_seconds", "Time to answer an HTTP request.", "method", "route", "status_code"),
		rpcs:            counter("grpc_requests_total", "gRPC calls answered.", "method", "code"),
		rpcDuration:     histogram("grpc_request_duration_seconds", "Time to answer a gRPC call.", "method", "code"),
		queries:         counter("database_queries_total", "SQL statements run.", "operation", "status"),
		queryDuration:   histogram("database_query_duration_seconds", "Time to run an SQL statement.", "operation"),
		calls:           counter("service_calls_total", "Calls to other services, each attempt counted.", "target_service", "method", "status_code"),
		callDuration:    histogram("service_call_duration_seconds", "Time of one attempt to call another service.", "target_service", "method", "status_code"),
		hedges:          counter("service_calls_hedged_total", "Reads of other services that were slow and so were made at a second replica, by whether that one answered first.", "target_service", "won"),
		refusals:        counter("service_calls_refused_total", "Calls that were not made, and repetitions (budget), by what has refused them: breaker, bulkhead or budget.", "target_service", "by"),
		active:          prometheus.NewGauge(prometheus.GaugeOpts{Name: "active_connections", Help: "HTTP connections that are open."}),
	}
	m.Registerer.MustRegister(
		m.requests, m.requestDuration, m.rpcs, m.rpcDuration, m.queries, m.queryDuration, m.calls, m.callDuration, m.hedges, m.refusals, m.active,
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return m
}

func counter(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

func histogram(name, help string, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: prometheus.DefBuckets}, labels)
}

// Handler serves the metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// Middleware counts and times requests by route pattern, never by path, so that
// ids in paths do not become series.
func (m *Metrics) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		ww := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		next.ServeHTTP(ww, r)
		labels := prometheus.Labels{
			"method":      method(r.Method),
			"route":       route(r),
			"status_code": strconv.Itoa(max(ww.Status(), http.StatusOK)),
		}
		m.requests.With(labels).Inc()
		m.requestDuration.With(labels).Observe(time.Since(start).Seconds())
	})
}

func route(r *http.Request) string {
	if pattern := chi.RouteContext(r.Context()).RoutePattern(); pattern != "" {
		return pattern
	}
	return "unmatched"
}

// method bounds the label: a client may send any word as a method.
func method(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	}
	return "other"
}

// ConnState counts the connections that are open. It is for http.Server's hook of this name.
func (m *Metrics) ConnState(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		m.active.Inc()
	case http.StateClosed, http.StateHijacked:
		m.active.Dec()
	}
}

// ObserveRPC records one gRPC call that was answered.
func (m *Metrics) ObserveRPC(method, code string, duration time.Duration) {
	m.rpcs.WithLabelValues(method, code).Inc()
	m.rpcDuration.WithLabelValues(method, code).Observe(duration.Seconds())
}

// ObserveQuery records one SQL statement.
func (m *Metrics) ObserveQuery(operation string, duration time.Duration, err error) {
	status := "success"
	if err != nil {
		status = "error"
	}
	m.queries.WithLabelValues(operation, status).Inc()
	m.queryDuration.WithLabelValues(operation).Observe(duration.Seconds())
}

// ObserveCall records one attempt to call another service. status is 0 where no
// response came.
func (m *Metrics) ObserveCall(target, method string, status int, duration time.Duration) {
	code := strconv.Itoa(status)
	m.calls.WithLabelValues(target, method, code).Inc()
	m.callDuration.WithLabelValues(target, method, code).Observe(duration.Seconds())
}

// ObserveHedge records a read that was made at a second replica, and whether that one has
// answered first.
func (m *Metrics) ObserveHedge(target string, won bool) {
	m.hedges.WithLabelValues(target, strconv.FormatBool(won)).Inc()
}

// ObserveRefusal records a call or a repetition that was refused by the breaker, the
// bulkhead or the budget.
func (m *Metrics) ObserveRefusal(target, by string) {
	m.refusals.WithLabelValues(target, by).Inc()
}
