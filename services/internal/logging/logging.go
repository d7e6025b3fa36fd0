// Package logging makes the services' loggers and carries them, with the ids of
// the request they speak of, in contexts.
package logging

import (
	"context"
	"io"

	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// New returns a logger that writes JSON lines to w. level is one of debug,
// info, warn and error.
func New(w io.Writer, level, service, version string) (*zap.Logger, error) {
	lvl, err := zapcore.ParseLevel(level)
	if err != nil {
		return nil, err
	}
	encoder := zap.NewProductionEncoderConfig()
	encoder.TimeKey = "time"
	encoder.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	core := zapcore.NewCore(zapcore.NewJSONEncoder(encoder), zapcore.Lock(zapcore.AddSync(w)), lvl)
	return zap.New(core).With(zap.String("service", service), zap.String("version", version)), nil
}

// IDs identify a request: RequestID this one request, CorrelationID the whole
// of what a client's request set off. Both are passed on to other services.
type IDs struct {
	RequestID     string
	CorrelationID string
}

type contextKey struct{}

type values struct {
	log *zap.Logger
	ids IDs
}

// NewContext returns a context whose logger names ids in each line, and the trace that ctx
// belongs to.
func NewContext(ctx context.Context, log *zap.Logger, ids IDs) context.Context {
	log = log.With(zap.String("requestId", ids.RequestID), zap.String("correlationId", ids.CorrelationID))
	if traceID := TraceID(ctx); traceID != "" {
		log = log.With(zap.String("traceId", traceID))
	}
	return context.WithValue(ctx, contextKey{}, values{log: log, ids: ids})
}

// From returns the context's logger, or one that discards.
func From(ctx context.Context) *zap.Logger {
	if v, ok := ctx.Value(contextKey{}).(values); ok {
		return v.log
	}
	return zap.NewNop()
}

// TraceID returns the id of the trace that ctx belongs to, "" where it belongs to none.
func TraceID(ctx context.Context) string {
	if span := trace.SpanContextFromContext(ctx); span.HasTraceID() {
		return span.TraceID().String()
	}
	return ""
}

// IDsFrom returns the ids that NewContext stored.
func IDsFrom(ctx context.Context) IDs {
	v, _ := ctx.Value(contextKey{}).(values)
	return v.ids
}
