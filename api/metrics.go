package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/prometheus/client_golang/prometheus"
)

// Metrics count the requests, for all listeners together.
type Metrics struct {
	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	held      prometheus.Gauge
}

// NewMetrics makes the metrics and registers them.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tend_api_requests_total", Help: "Requests to the API, by method, route and status code.",
		}, []string{"method", "route", "code"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tend_api_request_duration_seconds", Help: "Duration of requests to the API, by route; without streams and blocking queries.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5},
		}, []string{"route"}),
		held: prometheus.NewGauge(prometheus.GaugeOpts{Name: "tend_api_streams", Help: "Streams and blocking queries that are held now."}),
	}
	r.MustRegister(m.requests, m.durations, m.held)
	return m
}

// held is where a request notes that it is held, as a stream or a blocking query.
type heldKey struct{}

// middleware counts the requests. With no metrics it does nothing.
func (m *Metrics) middleware(next http.Handler) http.Handler {
	if m == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began, held := time.Now(), new(bool)
		recorded := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		r = r.WithContext(context.WithValue(r.Context(), heldKey{}, held))
		defer func() {
			route, method := "none", "other" // what no route takes has no bound
			if c := chi.RouteContext(r.Context()); c != nil && c.RoutePattern() != "" {
				route, method = c.RoutePattern(), r.Method
			}
			code := recorded.Status()
			if code == 0 {
				code = http.StatusOK
			}
			m.requests.WithLabelValues(method, route, strconv.Itoa(code)).Inc()
			if !*held {
				m.durations.WithLabelValues(route).Observe(time.Since(began).Seconds())
			}
		}()
		next.ServeHTTP(recorded, r)
	})
}

// hold notes that a request is held, until release is called.
func (m *Metrics) hold(r *http.Request) (release func()) {
	if m == nil {
		return func() {}
	}
	if held, ok := r.Context().Value(heldKey{}).(*bool); ok {
		*held = true
	}
	m.held.Inc()
	return m.held.Dec
}
