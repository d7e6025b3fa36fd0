package tracing

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/tendhq/tend/services/internal/config"
)

// open returns the provider of a service whose collector is at a URL, "" for none.
func open(t *testing.T, url string) (trace.TracerProvider, func(), *prometheus.Registry, *observer.ObservedLogs) {
	t.Helper()
	registry := prometheus.NewRegistry()
	core, logs := observer.New(zapcore.DebugLevel)
	env := config.NewEnv(func(name string) (string, bool) { return url, name == endpoint })
	provider, deliver := FromEnv(env, "test-service", "1.0.0", registry, zap.New(core))
	if err := env.Err(); err != nil {
		t.Fatal(err)
	}
	return provider, deliver, registry, logs
}

// count returns a result of trace_spans_total.
func count(t *testing.T, registry *prometheus.Registry, result string) int {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == "trace_spans_total" && m.GetLabel()[0].GetValue() == result {
				return int(m.GetCounter().GetValue())
			}
		}
	}
	t.Fatalf("no metric counts spans that are %s", result)
	return 0
}

func TestACollectorThatHangsHoldsNothingUp(t *testing.T) {
	release := make(chan struct{})
	collector := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer collector.Close()
	defer close(release)
	provider, deliver, registry, logs := open(t, collector.URL)

	const spans = 3 * maxWaiting
	begin := time.Now()
	for range spans {
		_, span := provider.Tracer(scope).Start(t.Context(), "x")
		span.End()
	}
	if took := time.Since(begin); took > deliveryTimeout/2 {
		t.Errorf("%d spans took %s", spans, took)
	}
	if got := count(t, registry, "dropped"); got < spans-maxWaiting {
		t.Errorf("%d spans are counted as dropped, want all but the %d that may wait", got, maxWaiting)
	}
	begin = time.Now()
	deliver()
	if took := time.Since(begin); took > 2*deliveryTimeout {
		t.Errorf("the end took %s", took)
	}
	told := func() int { return logs.FilterMessage("the collector takes no spans").Len() }
	for deadline := time.Now().Add(deliveryTimeout); told() == 0 && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	if told() != 1 {
		t.Errorf("%d lines of the log tell of it, want 1", told())
	}
}

func TestSpansAreCountedWhetherTheCollectorIsThereOrNot(t *testing.T) {
	status := http.StatusServiceUnavailable
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
	defer collector.Close()
	for _, want := range []struct {
		status             int
		delivered, dropped int
	}{{http.StatusOK, 3, 0}, {http.StatusServiceUnavailable, 0, 3}} {
		status = want.status
		provider, deliver, registry, _ := open(t, collector.URL)
		for range 3 {
			_, span := provider.Tracer(scope).Start(t.Context(), "x")
			span.End()
		}
		deliver()
		if delivered, dropped := count(t, registry, "delivered"), count(t, registry, "dropped"); delivered != want.delivered || dropped != want.dropped {
			t.Errorf("answered %d: %d delivered and %d dropped, want %d and %d", want.status, delivered, dropped, want.delivered, want.dropped)
		}
	}
}

func TestWithoutACollectorATraceIsOnlyPassedOn(t *testing.T) {
	const given = "00-11111111111111111111111111111111-2222222222222222-01"
	provider, deliver, _, _ := open(t, "")
	defer deliver()
	ctx, span := Continue(t.Context(), provider, given, "x", trace.SpanKindServer)
	if span.IsRecording() {
		t.Error("a span is recorded for nobody")
	}
	if got := Traceparent(ctx); got != given {
		t.Errorf("traceparent = %q, want %q", got, given)
	}
	if ctx, _ := Start(context.Background(), "x", trace.SpanKindClient); Traceparent(ctx) != "" {
		t.Error("a trace began of itself")
	}
}

func TestATraceThatWasKeptIsGoneOnWith(t *testing.T) {
	collector := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer collector.Close()
	provider, deliver, _, _ := open(t, collector.URL)
	defer deliver()
	ctx, first := Continue(t.Context(), provider, "", "first", trace.SpanKindServer)
	later, second := Continue(context.Background(), provider, Traceparent(ctx), "second", trace.SpanKindConsumer)
	_, third := Start(later, "third", trace.SpanKindClient)
	for _, span := range []trace.Span{second, third} {
		if span.SpanContext().TraceID() != first.SpanContext().TraceID() || !span.IsRecording() {
			t.Errorf("%+v is not of the trace of %+v", span.SpanContext(), first.SpanContext())
		}
	}
	_, forged := Continue(context.Background(), provider, "00-nonsense", "forged", trace.SpanKindConsumer)
	if !forged.SpanContext().IsValid() {
		t.Error("a traceparent that is none keeps a span from being made")
	}
}
