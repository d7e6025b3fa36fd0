package controller

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/tendhq/tend/controller/core"
)

// The attributes of spans, besides OpenTelemetry's own.
const (
	workloadAttribute = attribute.Key("tend.workload")
	revisionAttribute = attribute.Key("tend.revision")
	objectAttribute   = attribute.Key("tend.object")
	causeAttribute    = attribute.Key("tend.cause")
)

// reconcile is the trace of one plan that had something done: the plan, its actions, and
// the requests to the engine that each of them makes.
type reconcile struct {
	span trace.Span
	open int // the actions that have not ended
}

// beginReconcile begins the trace of a plan that has just been made. The traces of one
// rollout have links to its first one.
func (l *loop) beginReconcile(ctx context.Context, key string, began time.Time, actions []core.Action) *reconcile {
	options := []trace.SpanStartOption{
		trace.WithTimestamp(began), trace.WithNewRoot(),
		trace.WithAttributes(workloadAttribute.String(key), causeAttribute.String(actions[0].Cause)),
	}
	rollout, ok := l.store.Snapshot().Rollout(key)
	first, known := l.rollouts[key]
	rolling := ok && !rollout.Complete
	if rolling {
		options = append(options, trace.WithAttributes(revisionAttribute.String(rollout.Revision)))
		if known = known && first.revision == rollout.Revision; known {
			options = append(options, trace.WithLinks(trace.Link{SpanContext: first.span}))
		}
	}
	ctx, span := l.options.Tracer.Start(ctx, "reconcile", options...)
	switch {
	case !rolling:
		delete(l.rollouts, key)
	case !known:
		l.rollouts[key] = tracedRollout{revision: rollout.Revision, span: span.SpanContext()}
	}
	_, planning := l.options.Tracer.Start(ctx, "plan", trace.WithTimestamp(began))
	planning.End()
	return &reconcile{span: span, open: len(actions)}
}

// tracedRollout is the first trace of a rollout that is under way.
type tracedRollout struct {
	revision string
	span     trace.SpanContext
}

// ended notes that one of the actions has ended.
func (r *reconcile) ended() {
	if r.open--; r.open == 0 {
		r.span.End()
	}
}

// traceAction begins the span of an action of the trace r; end ends it.
func (c *Controller) traceAction(ctx context.Context, r *reconcile, a core.Action) (traced context.Context, end func(error)) {
	ctx, span := c.options.Tracer.Start(trace.ContextWithSpan(ctx, r.span), string(a.Kind), trace.WithAttributes(
		workloadAttribute.String(a.Workload), objectAttribute.String(a.Object), causeAttribute.String(a.Cause)))
	return ctx, func(err error) {
		fail(span, err)
		span.End()
	}
}

// engineCall is told of each request to the engine. One that belongs to a trace is a span
// of it.
func (c *Controller) engineCall(ctx context.Context, op string, took time.Duration, err error) {
	c.metrics.engineCall(op, took, err)
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return
	}
	now := time.Now()
	_, span := c.options.Tracer.Start(ctx, op, trace.WithSpanKind(trace.SpanKindClient), trace.WithTimestamp(now.Add(-took)))
	fail(span, err)
	span.End(trace.WithTimestamp(now))
}

// fail notes why what a span is about has failed, where it has.
func fail(span trace.Span, err error) {
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
	}
}
