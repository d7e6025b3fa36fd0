package events

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/tendhq/tend/services/internal/logging"
	"github.com/tendhq/tend/services/internal/postgres"
	"github.com/tendhq/tend/services/internal/tracing"
)

const (
	// maxAttempts is how often a message is delivered before it is given up.
	maxAttempts = 5
	// retryDelay is how long a message rests that could not be handled.
	retryDelay = 3 * time.Second
	// awayInterval is how often a consumer tries to reach a bus or a database that is away.
	awayInterval = time.Second
	// remembered is for how long the inbox keeps an event. The bus delivers one again that was
	// not acknowledged, within seconds where somebody consumes. So it can be as old as that
	// only where the service was away for so long right after the effect; therefore a consumer
	// forgets nothing in its first forgetInterval, when it gets what was left.
	remembered     = 30 * 24 * time.Hour
	forgetInterval = time.Hour
	forgetBatch    = 1000
)

// Handler does what an event asks for, in a transaction that also records the event. It
// must have no effect but through tx.
type Handler func(ctx context.Context, tx pgx.Tx, e Event) error

// Consumer gives events to a service's handlers.
type Consumer struct {
	group    string
	db       *postgres.DB
	bus      Bus
	handlers map[string]Handler
	traces   trace.TracerProvider
	log      *zap.Logger
	handled  *prometheus.CounterVec
}

// NewConsumer returns a consumer of the group's events, with a handler for each type.
func NewConsumer(group string, handlers map[string]Handler, db *postgres.DB, bus Bus, traces trace.TracerProvider, registerer prometheus.Registerer, log *zap.Logger) *Consumer {
	c := &Consumer{group: group, db: db, bus: bus, handlers: handlers, traces: traces, log: log.Named("consumer"), handled: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "events_handled_total", Help: "Events handled: done, later (to be delivered again) or dead.",
	}, []string{"event_type", "result"})}
	registerer.MustRegister(c.handled)
	return c
}

// Run consumes until ctx ends, and forgets old events meanwhile.
func (c *Consumer) Run(ctx context.Context) {
	var forgetting sync.WaitGroup
	defer forgetting.Wait()
	forgetting.Go(func() {
		for pause(ctx, forgetInterval); ctx.Err() == nil; pause(ctx, forgetInterval) {
			if err := c.forget(ctx); err != nil && ctx.Err() == nil {
				c.log.Warn("old events are not forgotten", zap.Error(err))
			}
		}
	})
	for ctx.Err() == nil {
		err := c.bus.Consume(ctx, c.group, c.handle)
		if ctx.Err() == nil {
			c.log.Warn("the event bus is away", zap.Error(err))
		}
		pause(ctx, awayInterval)
	}
}

// forget removes the events from the inbox that the bus delivers no more.
func (c *Consumer) forget(ctx context.Context) error {
	for removed := int64(forgetBatch); removed == forgetBatch; {
		err := c.db.Write(ctx, func(ctx context.Context, tx pgx.Tx) error {
			tag, err := tx.Exec(ctx, `DELETE FROM inbox WHERE event_id IN
				(SELECT event_id FROM inbox WHERE received_at < now() - $1::interval LIMIT $2 FOR UPDATE SKIP LOCKED)`, remembered, forgetBatch)
			removed = tag.RowsAffected()
			return err
		})
		if err != nil {
			return fmt.Errorf("forget events: %w", err)
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

func (c *Consumer) handle(ctx context.Context, message []byte, attempt int) Verdict {
	e, err := decode(message)
	if err != nil {
		// Another delivery would not read better.
		c.log.Error("a message is no event", zap.Error(err))
		c.handled.WithLabelValues("unknown", "dead").Inc()
		return Dead
	}
	handler, ok := c.handlers[e.EventType]
	if !ok {
		return Done
	}
	ctx, span := tracing.Continue(ctx, c.traces, e.Traceparent, "process "+e.EventType, trace.SpanKindConsumer,
		semconv.MessagingOperationTypeProcess, semconv.MessagingDestinationName(exchange), semconv.MessagingMessageID(e.EventID.String()))
	defer func() { tracing.End(span, err) }()
	ctx = logging.NewContext(ctx, c.log, logging.IDs{RequestID: e.EventID.String(), CorrelationID: e.CorrelationID})
	log := logging.From(ctx).With(zap.String("eventType", e.EventType), zap.Int("attempt", attempt))
	err = c.once(ctx, e, handler)
	for isTemporary(err) && ctx.Err() == nil {
		// What is away is away for the next event, too, and no reason to give this one up.
		log.Warn("an event waits", zap.Error(err))
		pause(ctx, awayInterval)
		err = c.once(ctx, e, handler)
	}
	switch {
	case err == nil:
		log.Info("an event is handled")
		c.handled.WithLabelValues(e.EventType, "done").Inc()
		return Done
	case ctx.Err() != nil:
		return Left
	case attempt >= maxAttempts:
		log.Error("an event is given up", zap.Error(err))
		c.handled.WithLabelValues(e.EventType, "dead").Inc()
		return Dead
	}
	log.Warn("an event is not handled yet", zap.Error(err))
	c.handled.WithLabelValues(e.EventType, "later").Inc()
	return Later
}

// once runs the handler unless the event has had its effect. Two deliveries at the same
// time take turns: the second one waits for the first one's transaction.
func (c *Consumer) once(ctx context.Context, e Event, handler Handler) error {
	return c.db.Write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `INSERT INTO inbox (event_id) VALUES ($1) ON CONFLICT DO NOTHING`, e.EventID)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		return handler(ctx, tx, e)
	})
}

// isTemporary reports whether what the handler needs is away.
func isTemporary(err error) bool {
	var temporary interface{ Temporary() bool }
	return errors.As(err, &temporary) && temporary.Temporary()
}
