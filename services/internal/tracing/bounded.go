package tracing

import (
	"context"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.uber.org/zap"
)

// maxWaiting is how many spans wait for the collector at most, a few megabytes of them.
const maxWaiting = 2048

// bounded delivers spans in batches, and never waits for the collector: what finds no room,
// or is not taken, is dropped and counted. The processor within it has as much room, and so
// drops none, which it would do without a word.
type bounded struct {
	sdktrace.SpanProcessor
	waiting            *atomic.Int64
	delivered, dropped prometheus.Counter
}

func newBounded(exporter sdktrace.SpanExporter, registerer prometheus.Registerer, log *zap.Logger) bounded {
	spans := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "trace_spans_total", Help: "Spans, by whether the collector has taken them or they were dropped, as it was away or too slow.",
	}, []string{"result"})
	registerer.MustRegister(spans)
	b := bounded{waiting: new(atomic.Int64), delivered: spans.WithLabelValues("delivered"), dropped: spans.WithLabelValues("dropped")}
	b.SpanProcessor = sdktrace.NewBatchSpanProcessor(&deliverer{SpanExporter: exporter, spans: b, log: log.Named("tracing")},
		sdktrace.WithMaxQueueSize(maxWaiting), sdktrace.WithExportTimeout(deliveryTimeout))
	return b
}

// OnEnd implements sdktrace.SpanProcessor.
func (b bounded) OnEnd(span sdktrace.ReadOnlySpan) {
	if !span.SpanContext().IsSampled() {
		return
	}
	if b.waiting.Add(1) > maxWaiting {
		b.waiting.Add(-1)
		b.dropped.Inc()
		return
	}
	b.SpanProcessor.OnEnd(span)
}

// deliverer counts what it delivers, and logs when that begins to fail.
type deliverer struct {
	sdktrace.SpanExporter
	spans bounded
	away  bool // the collector has not taken the last spans
	log   *zap.Logger
}

// ExportSpans implements sdktrace.SpanExporter. It does not fail, as nobody could do more
// about it, and is not called concurrently.
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
