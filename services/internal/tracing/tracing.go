// Package tracing tells a collector what a service does for a request: a span of
// OpenTelemetry for each part of it, all of them one trace, whichever services they are in.
package tracing

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/embedded"
	"go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"

	"github.com/tendhq/tend/services/internal/config"
)

const (
	scope = "github.com/tendhq/tend/services"
	// endpoint is where the collector is, as OpenTelemetry names the variable.
	endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT"
	// traceparent is the one field of W3C Trace Context that events and mails keep.
	traceparent = "traceparent"
	// deliveryTimeout bounds an attempt to deliver spans, and so what a collector that hangs
	// adds to a service's end.
	deliveryTimeout = 2 * time.Second
)

// Propagator passes a trace on from one service to the next, as W3C Trace Context.
var Propagator propagation.TraceContext

// FromEnv returns the provider of a service's spans. They go to the collector that
// OTEL_EXPORTER_OTLP_ENDPOINT names, by OTLP over HTTP; where it is not set no spans are made.
// OpenTelemetry's other variables are read from the process. close delivers what waits, in
// two seconds at most.
func FromEnv(env *config.Env, service, version string, registerer prometheus.Registerer, log *zap.Logger) (provider trace.TracerProvider, close func()) {
	if env.String(endpoint, "") == "" {
		return noop.NewTracerProvider(), func() {}
	}
	collector := env.URL(endpoint)
	delivery, err := otlptracehttp.New(context.Background(),
		otlptracehttp.WithEndpointURL(collector.JoinPath("v1", "traces").String()), otlptracehttp.WithTimeout(deliveryTimeout),
		// Spans that come meanwhile have more need of the room than those that failed.
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{Enabled: false}))
	if err != nil {
		env.Fail("%s: %w", endpoint, err)
		return noop.NewTracerProvider(), func() {}
	}
	about, err := resource.New(context.Background(), resource.WithHost(), resource.WithTelemetrySDK(),
		resource.WithAttributes(semconv.ServiceName(service), semconv.ServiceVersion(version)), resource.WithFromEnv())
	if err != nil {
		env.Fail("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	spans := sdktrace.NewTracerProvider(sdktrace.WithResource(about), sdktrace.WithSpanProcessor(newBounded(delivery, registerer, log)))
	return spans, func() {
		ctx, cancel := context.WithTimeout(context.Background(), deliveryTimeout)
		defer cancel()
		// What was not delivered was counted.
		_ = spans.Shutdown(ctx)
	}
}

// Start begins a span of the trace that ctx belongs to, and none where it belongs to none.
func Start(ctx context.Context, name string, kind trace.SpanKind, attributes ...attribute.KeyValue) (context.Context, trace.Span) {
	return tracerOfContext{}.Start(ctx, name, trace.WithSpanKind(kind), trace.WithAttributes(attributes...))
}

// Continue begins a span of the trace whose traceparent was kept, or of a new one where it
// is "".
func Continue(ctx context.Context, provider trace.TracerProvider, kept, name string, kind trace.SpanKind, attributes ...attribute.KeyValue) (context.Context, trace.Span) {
	ctx = Propagator.Extract(ctx, propagation.MapCarrier{traceparent: kept})
	return provider.Tracer(scope).Start(ctx, name, trace.WithSpanKind(kind), trace.WithAttributes(attributes...))
}

// End ends a span; err, where it is not nil, is why what it is about failed.
func End(span trace.Span, err error) {
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
	}
	span.End()
}

// Traceparent returns what Continue takes, "" where ctx belongs to no trace.
func Traceparent(ctx context.Context) string {
	carrier := propagation.MapCarrier{}
	Propagator.Inject(ctx, carrier)
	return carrier[traceparent]
}

// OfContext makes a span with the provider of its parent, which it takes from the context.
// Without a parent it makes none. Clients use it: they are shared by all requests, and
// have no provider of their own.
var OfContext providerOfContext

type providerOfContext struct{ embedded.TracerProvider }

// Tracer implements trace.TracerProvider.
func (providerOfContext) Tracer(string, ...trace.TracerOption) trace.Tracer { return tracerOfContext{} }

type tracerOfContext struct{ embedded.Tracer }

// Start implements trace.Tracer.
func (tracerOfContext) Start(ctx context.Context, name string, options ...trace.SpanStartOption) (context.Context, trace.Span) {
	return trace.SpanFromContext(ctx).TracerProvider().Tracer(scope).Start(ctx, name, options...)
}
