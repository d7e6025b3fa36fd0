// Package tracing delivers the spans of what tend does to a collector of OpenTelemetry.
package tracing

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"
)

const (
	scope = "github.com/tendhq/tend"
	// EndpointVariable names the collector, as OpenTelemetry has it.
	EndpointVariable = "OTEL_EXPORTER_OTLP_ENDPOINT"
	// deliveryTimeout bounds an attempt to deliver spans, and so what a collector that hangs
	// adds to the end of the process.
	deliveryTimeout = 2 * time.Second
)

// New returns the tracer of this process. Its spans go to the collector at a URL, by OTLP
// over HTTP; where that is empty no spans are made. OpenTelemetry's variables are read from
// the process. Nothing waits for the collector: 2,048 spans wait for it, and what finds no
// room is dropped. close delivers what waits, in two seconds at most.
func New(endpoint, version string, registerer prometheus.Registerer, log *zap.Logger) (tracer trace.Tracer, close func(), err error) {
	ended := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "tend_trace_spans_ended_total", Help: "Spans that were to be delivered to the collector of traces.",
	})
	delivered := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "tend_trace_spans_delivered_total", Help: "Spans that the collector has taken. The others wait, or were dropped, as it was away or too slow.",
	})
	registerer.MustRegister(ended, delivered)
	if endpoint == "" {
		return noop.Tracer{}, func() {}, nil
	}
	collector, err := url.Parse(endpoint)
	if err != nil || collector.Host == "" || collector.Scheme != "http" && collector.Scheme != "https" {
		return nil, nil, fmt.Errorf("%s is not the URL of a collector: write it as http://collector:4318", EndpointVariable)
	}
	// Spans that come meanwhile have more need of the room than those that failed.
	exporter, err := otlptracehttp.New(context.Background(), otlptracehttp.WithEndpointURL(collector.JoinPath("v1", "traces").String()),
		otlptracehttp.WithTimeout(deliveryTimeout), otlptracehttp.WithRetry(otlptracehttp.RetryConfig{Enabled: false}))
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", EndpointVariable, err)
	}
	about, err := resource.New(context.Background(), resource.WithHost(), resource.WithTelemetrySDK(),
		resource.WithAttributes(semconv.ServiceName("tend"), semconv.ServiceVersion(version)), resource.WithFromEnv())
	if err != nil {
		return nil, nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	batches := sdktrace.NewBatchSpanProcessor(&counting{SpanExporter: exporter, delivered: delivered, log: log.Named("tracing")},
		sdktrace.WithExportTimeout(deliveryTimeout))
	provider := sdktrace.NewTracerProvider(sdktrace.WithResource(about), sdktrace.WithSpanProcessor(counted{batches, ended}))
	return provider.Tracer(scope), func() {
		ctx, cancel := context.WithTimeout(context.Background(), deliveryTimeout)
		defer cancel()
		_ = provider.Shutdown(ctx) // what was not delivered is seen in the counts
	}, nil
}

// counted counts the spans that are to be delivered.
type counted struct {
	sdktrace.SpanProcessor
	ended prometheus.Counter
}

// OnEnd implements sdktrace.SpanProcessor.
func (c counted) OnEnd(span sdktrace.ReadOnlySpan) {
	if span.SpanContext().IsSampled() {
		c.ended.Inc()
	}
	c.SpanProcessor.OnEnd(span)
}

// counting counts what is delivered, and logs when that begins to fail.
type counting struct {
	sdktrace.SpanExporter
	delivered prometheus.Counter
	away      bool // the collector has not taken the last spans
	log       *zap.Logger
}

// ExportSpans implements sdktrace.SpanExporter. It does not fail, as nobody could do more
// about it, and is not called concurrently.
func (c *counting) ExportSpans(ctx context.Context, batch []sdktrace.ReadOnlySpan) error {
	err := c.SpanExporter.ExportSpans(ctx, batch)
	if err == nil {
		c.delivered.Add(float64(len(batch)))
	} else if !c.away {
		c.log.Warn("the collector takes no spans", zap.Error(err))
	}
	c.away = err != nil
	return nil
}
