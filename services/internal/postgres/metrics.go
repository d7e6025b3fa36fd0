package postgres

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tendhq/tend/services/internal/metrics"
)

// tracer measures statements by their first keyword.
type tracer struct{ metrics *metrics.Metrics }

type traceKey struct{}

type trace struct {
	operation string
	start     time.Time
}

func (t tracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	operation := "other"
	if fields := strings.Fields(data.SQL); len(fields) > 0 {
		switch word := strings.ToLower(fields[0]); word {
		case "select", "insert", "update", "delete", "begin", "commit", "rollback":
			operation = word
		}
	}
	return context.WithValue(ctx, traceKey{}, trace{operation: operation, start: time.Now()})
}

func (t tracer) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryEndData) {
	if tr, ok := ctx.Value(traceKey{}).(trace); ok {
		t.metrics.ObserveQuery(tr.operation, time.Since(tr.start), data.Err)
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
