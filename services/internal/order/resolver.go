package order

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/tendhq/tend/services/internal/logging"
	"github.com/tendhq/tend/services/internal/tracing"
)

const (
	// lease is how long an order belongs to whoever claimed it, longer than a
	// request works on it.
	lease         = 30 * time.Second
	resolvePeriod = 5 * time.Second
	resolveBatch  = 20
)

// resolver finishes orders that a crash or a silent service left unfinished.
type resolver struct {
	saga   saga
	traces trace.TracerProvider
	log    *zap.Logger
}

func (r resolver) run(ctx context.Context) {
	for {
		r.resolve(ctx)
		// Jitter keeps replicas from looking at the same moment.
		wait := resolvePeriod + rand.N(resolvePeriod/2)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

// resolve claims unfinished orders one at a time, so that each has a whole lease.
func (r resolver) resolve(ctx context.Context) {
	for range resolveBatch {
		o, found, err := r.saga.store.claim(ctx)
		if err != nil {
			if ctx.Err() == nil {
				r.log.Warn("unfinished orders not read", zap.Error(err))
			}
			return
		}
		if !found {
			return
		}
		r.finish(ctx, o)
	}
}

func (r resolver) finish(ctx context.Context, o order) {
	ctx, cancel := context.WithTimeout(ctx, sagaTimeout)
	defer cancel()
	ctx, span := tracing.Continue(ctx, r.traces, "", "settle order", trace.SpanKindInternal)
	ctx = logging.NewContext(ctx, r.log, logging.IDs{RequestID: uuid.NewString(), CorrelationID: "order-" + o.OrderID.String()})
	log := logging.From(ctx).With(zap.Stringer("orderId", o.OrderID))
	o, err := r.saga.advance(ctx, o)
	tracing.End(span, err)
	if err != nil {
		log.Warn("order not settled yet", zap.Error(err))
		return
	}
	log.Info("order settled", zap.String("status", string(o.Status)))
}
