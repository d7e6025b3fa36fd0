package events

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/tendhq/tend/services/contracts"
	"github.com/tendhq/tend/services/internal/logging"
	"github.com/tendhq/tend/services/internal/postgres"
	"github.com/tendhq/tend/services/internal/tracing"
)

const (
	// maxBatch is how many events are published at once at most.
	maxBatch = 100
	// publishTimeout is shorter than the database lets a transaction rest.
	publishTimeout = 2 * time.Second
	// lookInterval is how often a replica looks into the outbox; with several, an event
	// waits for the first of them.
	lookInterval = 200 * time.Millisecond
)

// Outbox writes the events of one service. Its methods may be called concurrently.
type Outbox struct {
	schemas map[string]*openapi3.Schema
	on      bool
}

// NewOutbox returns the outbox of the service with the contract. Where there is no bus,
// on is false and nothing is written: nobody would ever take it out.
func NewOutbox(contract *contracts.Contract, on bool) (*Outbox, error) {
	o := &Outbox{schemas: map[string]*openapi3.Schema{}, on: on}
	if contract == nil {
		return o, nil
	}
	for eventType, data := range contract.Events {
		schema, err := contracts.Schema(data)
		if err != nil {
			return nil, fmt.Errorf("contract of %s: event %s: %w", contract.Service, eventType, err)
		}
		o.schemas[eventType] = schema
	}
	return o, nil
}

// On reports whether there is a bus.
func (o *Outbox) On() bool { return o.on }

// Add writes an event that is published if tx is committed. Data that the contract does not
// promise is an error: no event leaves that its consumers could not read. The event keeps
// the trace, which its consumers go on with.
func (o *Outbox) Add(ctx context.Context, tx pgx.Tx, eventType, aggregateID string, data any) (err error) {
	if !o.on {
		return nil
	}
	ctx, span := tracing.Start(ctx, "send "+eventType, trace.SpanKindProducer, semconv.MessagingOperationTypeSend, semconv.MessagingDestinationName(exchange))
	defer func() { tracing.End(span, err) }()
	encoded, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("event %s: %w", eventType, err)
	}
	if err := o.check(eventType, encoded); err != nil {
		return fmt.Errorf("event %s: %w", eventType, err)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	event, err := json.Marshal(Event{
		EventID: id, EventType: eventType, AggregateID: aggregateID, Timestamp: time.Now().UTC(),
		CorrelationID: logging.IDsFrom(ctx).CorrelationID, Traceparent: tracing.Traceparent(ctx), Data: encoded,
	})
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `INSERT INTO outbox (event_type, event) VALUES ($1, $2)`, eventType, event); err != nil {
		return fmt.Errorf("insert event %s: %w", eventType, err)
	}
	return nil
}

func (o *Outbox) check(eventType string, data []byte) error {
	schema, ok := o.schemas[eventType]
	if !ok {
		return fmt.Errorf("the contract lists no such event")
	}
	var value any
	if err := json.NewDecoder(bytes.NewReader(data)).Decode(&value); err != nil {
		return err
	}
	return schema.VisitJSON(value)
}

// Relay hands what is in a database's outbox to the bus. Several replicas may do so at once.
type Relay struct {
	db        *postgres.DB
	bus       Bus
	log       *zap.Logger
	published *prometheus.CounterVec
	// batch is how many events are published at once: half as many as were too many for a
	// slow bus in its time.
	batch int
}

// NewRelay returns a relay from db to bus.
func NewRelay(db *postgres.DB, bus Bus, registerer prometheus.Registerer, log *zap.Logger) *Relay {
	r := &Relay{db: db, bus: bus, log: log.Named("relay"), batch: maxBatch, published: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "business_events_total", Help: "Events of the business, as order.created, that the bus has taken.",
	}, []string{"event_type"})}
	registerer.MustRegister(r.published)
	return r
}

// Run relays until ctx ends.
func (r *Relay) Run(ctx context.Context) {
	for ctx.Err() == nil {
		more, err := r.relay(ctx)
		if err != nil && ctx.Err() == nil {
			r.log.Warn("events wait in the outbox", zap.Error(err))
		}
		if err != nil || !more {
			pause(ctx, lookInterval)
		}
	}
}

// relay publishes the oldest events and takes them out of the outbox, and reports whether
// there may be more. A crash between the two publishes them again.
func (r *Relay) relay(ctx context.Context) (more bool, err error) {
	type row struct {
		Sequence int64
		Message
	}
	var rows []row
	// Most looks find nothing, and need no transaction.
	err = r.db.Read(ctx, func(ctx context.Context, q postgres.Querier) error {
		return q.QueryRow(ctx, `SELECT EXISTS (SELECT FROM outbox)`).Scan(&more)
	})
	if err != nil || !more {
		return false, err
	}
	err = r.db.Write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		found, err := tx.Query(ctx,
			`DELETE FROM outbox WHERE sequence IN (SELECT sequence FROM outbox ORDER BY sequence LIMIT $1 FOR UPDATE SKIP LOCKED)
			RETURNING sequence, event_type, event`, r.batch)
		if err != nil {
			return err
		}
		rows, err = pgx.CollectRows(found, func(found pgx.CollectableRow) (row, error) {
			var r row
			return r, found.Scan(&r.Sequence, &r.Type, &r.Body)
		})
		if err != nil || len(rows) == 0 {
			return err
		}
		slices.SortFunc(rows, func(a, b row) int { return int(a.Sequence - b.Sequence) })
		messages := make([]Message, len(rows))
		for i, row := range rows {
			messages[i] = row.Message
		}
		ctx, cancel := context.WithTimeout(ctx, publishTimeout)
		defer cancel()
		if err := r.bus.Publish(ctx, messages); err != nil {
			return &busError{err}
		}
		return nil
	})
	if err != nil {
		r.batch = max(r.batch/2, 1)
		return false, err
	}
	more = len(rows) == r.batch
	r.batch = min(2*r.batch, maxBatch)
	for _, row := range rows {
		r.published.WithLabelValues(row.Type).Inc()
	}
	return more, nil
}

// busError hides its cause, which the database would take for its own being away.
type busError struct{ err error }

func (e *busError) Error() string { return "publish: " + e.err.Error() }
