package httpx_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-chi/chi/v5"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/tendhq/tend/services/internal/httpx"
)

// BenchmarkTrace measures what a request costs without a span, with tracing that is off, and
// with it on.
func BenchmarkTrace(b *testing.B) {
	for name, provider := range map[string]trace.TracerProvider{"without": nil, "off": noop.NewTracerProvider(), "on": sdktrace.NewTracerProvider()} {
		b.Run(name, func(b *testing.B) {
			r := chi.NewRouter()
			if provider != nil {
				r.Use(httpx.Trace(provider))
			}
			r.Get("/api/things/{id}", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
			request := httptest.NewRequest(http.MethodGet, "/api/things/7", nil)
			b.ReportAllocs()
			for b.Loop() {
				r.ServeHTTP(httptest.NewRecorder(), request)
			}
		})
	}
}
