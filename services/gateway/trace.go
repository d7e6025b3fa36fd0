package main

import (
	"context"
	"errors"
	"net/http"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"
)

func init() {
	caddy.RegisterModule(new(traced))
	httpcaddyfile.RegisterHandlerDirective("trace", directive(func() handlerModule { return new(traced) }))
	// Its route is a variable that map makes.
	httpcaddyfile.RegisterDirectiveOrder("trace", httpcaddyfile.After, "map")
}

const (
	// maxWaiting is how many spans wait for the collector at most.
	maxWaiting = 2048
	// deliveryTimeout bounds an attempt to deliver spans.
	deliveryTimeout = 2 * time.Second
)

// traced begins a trace with each request, and passes it on as W3C Trace Context. Spans go to
// the collector at OTEL_EXPORTER_OTLP_ENDPOINT, by OTLP over HTTP; without it there are none.
//
// Caddy's module "tracing" is not used: it continues any trace that a client names, reports
// status 200 for answers of error routes, and does not count the spans that it drops.
type traced struct {
	// Route is what a request asks for, one of few, unlike its path.
	Route string `json:"route"`

	tracer  trace.Tracer
	deliver func() error
}

// CaddyModule implements caddy.Module.
func (*traced) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.trace", New: func() caddy.Module { return new(traced) }}
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler.
func (t *traced) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive
	if !d.AllArgs(&t.Route) {
		return d.ArgErr()
	}
	return nil
}

// Provision implements caddy.Provisioner.
func (t *traced) Provision(ctx caddy.Context) error {
	t.tracer, t.deliver = noop.NewTracerProvider().Tracer(""), func() error { return nil }
	if os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == "" {
		return nil
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithTimeout(deliveryTimeout), otlptracehttp.WithRetry(otlptracehttp.RetryConfig{Enabled: false}))
	if err != nil {
		return err
	}
	about, err := resource.New(ctx, resource.WithHost(), resource.WithTelemetrySDK(),
		resource.WithAttributes(semconv.ServiceName("gateway"), semconv.ServiceVersion(version)), resource.WithFromEnv())
	if err != nil {
		return err
	}
	spans := newSpans(exporter, ctx.GetMetricsRegistry(), ctx.Logger())
	provider := sdktrace.NewTracerProvider(sdktrace.WithResource(about), sdktrace.WithSpanProcessor(spans))
	t.tracer = provider.Tracer("github.com/tendhq/tend/services/gateway")
	t.deliver = func() error {
		ctx, cancel := context.WithTimeout(context.Background(), deliveryTimeout)
		defer cancel()
		_ = provider.Shutdown(ctx) // what was not delivered was counted
		return nil
	}
	return nil
}

// Cleanup implements caddy.CleanerUpper.
func (t *traced) Cleanup() error { return t.deliver() }

var propagator propagation.TraceContext

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (t *traced) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	route := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer).ReplaceAll(t.Route, "")
	method := semconv.HTTPRequestMethodOther
	if slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions}, r.Method) {
		method = semconv.HTTPRequestMethodKey.String(r.Method)
	}
	options := []trace.SpanStartOption{
		trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(method, semconv.HTTPRoute(route), semconv.URLPath(r.URL.Path)),
	}
	// A trace that a client names is linked to, and not gone on with: it could be anybody's.
	if theirs := trace.SpanContextFromContext(propagator.Extract(context.Background(), propagation.HeaderCarrier(r.Header))); theirs.IsValid() {
		options = append(options, trace.WithLinks(trace.Link{SpanContext: theirs}))
	}
	for _, name := range propagator.Fields() {
		r.Header.Del(name)
	}
	ctx, span := t.tracer.Start(r.Context(), method.Value.AsString()+" "+route, options...)
	defer span.End()
	propagator.Inject(ctx, propagation.HeaderCarrier(r.Header))
	if id := span.SpanContext(); id.HasTraceID() {
		caddyhttp.SetVar(ctx, "trace_id", id.TraceID().String())
		if fields, ok := ctx.Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok {
			fields.Add(zap.String("trace_id", id.TraceID().String()))
		}
	}
	answer := caddyhttp.NewResponseRecorder(w, nil, nil)
	err := next.ServeHTTP(answer, r.WithContext(ctx))
	status := max(answer.Status(), http.StatusOK)
	if err != nil { // an error route answers
		status = http.StatusInternalServerError
		if refusal, ok := errors.AsType[caddyhttp.HandlerError](err); ok && refusal.StatusCode != 0 {
			status = refusal.StatusCode
		}
	}
	span.SetAttributes(semconv.HTTPResponseStatusCode(status))
	if status >= 500 {
		span.SetStatus(codes.Error, http.StatusText(status))
	}
	return err
}

// spans delivers spans in batches, and never waits for the collector: what finds no room, or
// is not taken, is dropped and counted. The processor within it has as much room, and so
// drops none, which it would do without a word.
type spans struct {
	sdktrace.SpanProcessor
	waiting            *atomic.Int64
	delivered, dropped prometheus.Counter
}

func newSpans(exporter sdktrace.SpanExporter, registerer prometheus.Registerer, log *zap.Logger) spans {
	counter := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "trace_spans_total", Help: "Spans, by whether the collector has taken them or they were dropped, as it was away or too slow.",
	}, []string{"result"})
	// There is one handler for each of the gateway's ports, with one metric between them.
	var other prometheus.AlreadyRegisteredError
	if err := registerer.Register(counter); errors.As(err, &other) {
		counter = other.ExistingCollector.(*prometheus.CounterVec)
	}
	s := spans{waiting: new(atomic.Int64), delivered: counter.WithLabelValues("delivered"), dropped: counter.WithLabelValues("dropped")}
	s.SpanProcessor = sdktrace.NewBatchSpanProcessor(&deliverer{SpanExporter: exporter, spans: s, log: log},
		sdktrace.WithMaxQueueSize(maxWaiting), sdktrace.WithExportTimeout(deliveryTimeout))
	return s
}

// OnEnd implements sdktrace.SpanProcessor.
func (s spans) OnEnd(span sdktrace.ReadOnlySpan) {
	if !span.SpanContext().IsSampled() {
		return
	}
	if s.waiting.Add(1) > maxWaiting {
		s.waiting.Add(-1)
		s.dropped.Inc()
		return
	}
	s.SpanProcessor.OnEnd(span)
}

type deliverer struct {
	sdktrace.SpanExporter
	spans spans
	away  bool // the collector has not taken the last spans
	log   *zap.Logger
}

// ExportSpans implements sdktrace.SpanExporter.
func (d *deliverer) ExportSpans(ctx context.Context, batch []sdktrace.ReadOnlySpan) error {
	err := d.SpanExporter.ExportSpans(ctx, batch)
	d.spans.waiting.Add(-int64(len(batch)))
	counter := d.spans.delivered
	if err != nil {
		counter = d.spans.dropped
		if !d.away {
			d.log.Warn("the collector takes no spans", zap.Error(err))
		}
	}
	counter.Add(float64(len(batch)))
	d.away = err != nil
	return nil
}

var (
	_ caddy.Provisioner  = (*traced)(nil)
	_ caddy.CleanerUpper = (*traced)(nil)
	_ handlerModule      = (*traced)(nil)
)
