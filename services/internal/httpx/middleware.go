package httpx

import (
	"context"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/google/uuid"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"

	"github.com/tendhq/tend/services/internal/logging"
	"github.com/tendhq/tend/services/internal/tracing"
)

// The headers that carry logging.IDs between services.
const (
	RequestIDHeader     = "X-Request-ID"
	CorrelationIDHeader = "X-Correlation-ID"
)

// Trace makes a span of each request of the API, of the trace that its caller names, or of a
// new one. Its name has the route's pattern, never the path. A provider that makes no spans
// costs nothing but passing the trace on.
func Trace(provider trace.TracerProvider) func(http.Handler) http.Handler {
	if _, off := provider.(noop.TracerProvider); off {
		return passOn
	}
	traced := otelhttp.NewMiddleware("", otelhttp.WithTracerProvider(provider), otelhttp.WithPropagators(tracing.Propagator),
		otelhttp.WithFilter(func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/api/") }))
	return func(next http.Handler) http.Handler {
		return traced(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r)
			// The route is known once the request has passed the router.
			if route := chi.RouteContext(r.Context()).RoutePattern(); route != "" {
				span := trace.SpanFromContext(r.Context())
				span.SetName(r.Method + " " + route)
				span.SetAttributes(semconv.HTTPRoute(route))
			}
		}))
	}
}

// passOn gives a request the trace that its caller names.
func passOn(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Traceparent") != "" {
			r = r.WithContext(tracing.Propagator.Extract(r.Context(), propagation.HeaderCarrier(r.Header)))
		}
		next.ServeHTTP(w, r)
	})
}

// WithIDs takes the request's ids from its headers, or makes new ones, gives
// them to the request's logger and returns them to the client.
func WithIDs(log *zap.Logger) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ids := logging.IDs{
				RequestID:     AcceptID(r.Header.Get(RequestIDHeader)),
				CorrelationID: AcceptID(r.Header.Get(CorrelationIDHeader)),
			}
			w.Header().Set(RequestIDHeader, ids.RequestID)
			w.Header().Set(CorrelationIDHeader, ids.CorrelationID)
			next.ServeHTTP(w, r.WithContext(logging.NewContext(r.Context(), log, ids)))
		})
	}
}

// AcceptID returns id if it is safe to log and to pass on, else a new one.
func AcceptID(id string) string {
	if len(id) < 1 || len(id) > 128 {
		return uuid.NewString()
	}
	for _, c := range id {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == '.':
		default:
			return uuid.NewString()
		}
	}
	return id
}

// AccessLog writes one line for each request.
func AccessLog(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		ww := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		next.ServeHTTP(ww, r)
		logging.From(r.Context()).Info("request",
			zap.String("method", r.Method),
			zap.String("path", r.URL.Path),
			zap.Int("status", ww.Status()),
			zap.Int("bytes", ww.BytesWritten()),
			zap.Duration("duration", time.Since(start)),
			zap.String("remote", r.RemoteAddr))
	})
}

// Recover turns a panic into a 500 problem and an error in the log.
func Recover(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			switch reason := recover(); reason {
			case nil:
			case http.ErrAbortHandler:
				panic(reason)
			default:
				logging.From(r.Context()).Error("panic", zap.Any("reason", reason), zap.ByteString("stack", debug.Stack()))
				writeError(w, r, NewProblem(http.StatusInternalServerError, "the request failed for a reason of ours"))
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// Timeout ends the request's context after d.
func Timeout(d time.Duration) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithTimeout(r.Context(), d)
			defer cancel()
			next.ServeHTTP(w, r.WithContext(ctx))
		})
	}
}

// NotFound answers requests that no route matches.
func NotFound(_ http.ResponseWriter, r *http.Request) error {
	return NewProblem(http.StatusNotFound, "there is nothing at "+r.URL.Path)
}

// MethodNotAllowed answers requests whose route lacks their method.
func MethodNotAllowed(_ http.ResponseWriter, r *http.Request) error {
	return NewProblem(http.StatusMethodNotAllowed, r.Method+" is not allowed here")
}
