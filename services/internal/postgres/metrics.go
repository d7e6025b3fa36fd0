package postgres

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/tendhq/tend/services/internal/metrics"
	"github.com/tendhq/tend/services/internal/tracing"
)

// tracer measures statements by their first keyword, and makes a span of each that belongs
// to a trace.
type tracer struct {
	metrics  *metrics.Metrics
	database string
}

type statementKey struct{}

type statement struct {
	operation string
	start     time.Time
	span      trace.Span
}

func (t tracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	operation := "other"
	if fields := strings.Fields(data.SQL); len(fields) > 0 {
		switch word := strings.ToLower(fields[0]); word {
		case "select", "insert", "update", "delete", "begin", "commit", "rollback":
			operation = word
		}
	}
	ctx, span := t.span(ctx, operation, data.SQL)
	return context.WithValue(ctx, statementKey{}, statement{operation: operation, start: time.Now(), span: span})
}

// span begins the span of a statement, with its text, which has no values. Of what nobody
// traces nothing is put together.
func (t tracer) span(ctx context.Context, operation, sql string) (context.Context, trace.Span) {
	if span := trace.SpanFromContext(ctx); !span.IsRecording() {
		return ctx, noop.Span{}
	}
	return tracing.Start(ctx, strings.ToUpper(operation)+" "+t.database, trace.SpanKindClient,
		semconv.DBSystemNamePostgreSQL, semconv.DBNamespace(t.database), semconv.DBOperationName(operation), semconv.DBQueryText(sql))
}

func (t tracer) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryEndData) {
	if s, ok := ctx.Value(statementKey{}).(statement); ok {
		t.metrics.ObserveQuery(s.operation, time.Since(s.start), data.Err)
		tracing.End(s.span, data.Err)
	}
}

var connections = prometheus.NewDesc("database_connections", "Connections of the pool.", []string{"state"}, nil)

type poolCollector struct{ pool *pgxpool.Pool }

func (poolCollector) Describe(ch chan<- *prometheus.Desc) { ch <- connections }

func (c poolCollector) Collect(ch chan<- prometheus.Metric) {
	stat := c.pool.Stat()
	ch <- prometheus.MustNewConstMetric(connections, prometheus.GaugeValue, float64(stat.AcquiredConns()), "used")
	ch <- prometheus.MustNewConstMetric(connections, prometheus.GaugeValue, float64(stat.IdleConns()), "idle")
}
