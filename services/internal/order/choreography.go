package order

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/tendhq/tend/services/internal/config"
	"github.com/tendhq/tend/services/internal/events"
	"github.com/tendhq/tend/services/internal/money"
)

// sagaKind is how an order is seen through: by order-service, which calls the others
// (type saga), or by events.
//
// By events, each service acts upon what another one tells, in its own database:
//
//	order.created ──► inventory.reserved ──► payment.requested ──► payment.processed ──► order.completed
//	      └─► inventory.rejected ──► order.cancelled       └─► payment.failed ──► inventory.release_requested
//	                                                              inventory.released ──► order.cancelled
//
// Items that are reserved for too long are inventory.expired: an order that is still pending
// then asks for its payment back, whether there is one or not, with payment.refund_requested
// that names no payment. payment.refunded, or payment.failed of one that is held or was never
// made, goes on as after a payment that failed. Of an order that is paid for it says nothing.
//
// A customer's cancellation is payment.refund_requested, payment.refunded, and from there
// on as after a payment that failed. Nobody watches over it: an event is handled once at
// some time, or is a dead letter. A handler acts upon an order only in the state that its
// event belongs to, so that one which comes late, or again under another id, does nothing.
type sagaKind string

const (
	orchestrated  sagaKind = "orchestrated"
	choreographed sagaKind = "choreographed"
)

// sagaFromEnv reads SAGA, which new orders get. Others stay as they began.
func sagaFromEnv(env *config.Env, bus bool) sagaKind {
	kind := sagaKind(env.String("SAGA", string(orchestrated)))
	switch {
	case kind != orchestrated && kind != choreographed:
		env.Fail("SAGA is %q, want orchestrated or choreographed", kind)
	case kind == choreographed && !bus:
		env.Fail("SAGA is choreographed, which takes an EVENT_BUS")
	}
	return kind
}

const (
	// awaitTime is how long a client waits for its order that goes by events; a payment
	// that is held takes longer in any case.
	awaitTime     = 5 * time.Second
	awaitInterval = 50 * time.Millisecond
)

// await returns the order once it is settled, or as it is when the time is over.
func (s store) await(ctx context.Context, o order) (order, error) {
	ctx, cancel := context.WithTimeout(ctx, awaitTime)
	defer cancel()
	for o.Status == pending || o.Status == cancelling {
		select {
		case <-ctx.Done():
			return o, nil
		case <-time.After(awaitInterval):
		}
		now, err := s.byID(ctx, o.OrderID, o.UserID)
		if err != nil {
			return o, err
		}
		o = now
	}
	return o, nil
}

// paymentRequestedEvent is the data of payment.requested.
type paymentRequestedEvent newPayment

// refundRequestedEvent is the data of payment.refund_requested: of a payment, or of whatever
// an order has come to, by whom it is and over what.
type refundRequestedEvent struct {
	OrderID   uuid.UUID    `json:"orderId"`
	PaymentID *uuid.UUID   `json:"paymentId,omitempty"`
	UserID    *uuid.UUID   `json:"userId,omitempty"`
	Amount    money.Amount `json:"amount,omitempty"`
}

// releaseRequestedEvent is the data of inventory.release_requested.
type releaseRequestedEvent struct {
	OrderID uuid.UUID `json:"orderId"`
}

// inventoryEvent is what is read of inventory.reserved, .rejected, .expired and .released.
type inventoryEvent struct {
	OrderID uuid.UUID `json:"orderId"`
}

// paymentEvent is what is read of payment.processed and payment.failed.
type paymentEvent struct {
	OrderID   uuid.UUID `json:"orderId"`
	PaymentID uuid.UUID `json:"paymentId"`
}

// refundedEvent is what is read of payment.refunded.
type refundedEvent struct {
	OrderID   uuid.UUID    `json:"orderId"`
	PaymentID uuid.UUID    `json:"paymentId"`
	Refunded  money.Amount `json:"refundedAmount"`
}

func (s store) handlers() map[string]events.Handler {
	return map[string]events.Handler{
		"inventory.reserved": handle(s, pending, func(ctx context.Context, tx pgx.Tx, o order, _ inventoryEvent) error {
			return s.outbox.Add(ctx, tx, "payment.requested", o.OrderID.String(),
				paymentRequestedEvent{OrderID: o.OrderID, UserID: o.UserID, Amount: o.Total, MethodID: o.MethodID})
		}),
		"inventory.rejected": handle(s, pending, func(ctx context.Context, tx pgx.Tx, o order, _ inventoryEvent) error {
			return s.set(ctx, tx, o, `UPDATE orders SET status = 'failed', failure = 'out_of_stock' WHERE order_id = $1`)
		}),
		"payment.processed": handle(s, pending, func(ctx context.Context, tx pgx.Tx, o order, e paymentEvent) error {
			return s.set(ctx, tx, o, `UPDATE orders SET status = 'confirmed', payment_id = $2 WHERE order_id = $1`, e.PaymentID)
		}),
		"inventory.expired": handle(s, pending, func(ctx context.Context, tx pgx.Tx, o order, _ inventoryEvent) error {
			if err := s.set(ctx, tx, o, `UPDATE orders SET status = 'cancelling', failure = 'reservation_expired' WHERE order_id = $1`); err != nil {
				return err
			}
			return s.outbox.Add(ctx, tx, "payment.refund_requested", o.OrderID.String(),
				refundRequestedEvent{OrderID: o.OrderID, UserID: &o.UserID, Amount: o.Total})
		}),
		"payment.failed": oneOf(
			handle(s, cancelling, func(ctx context.Context, tx pgx.Tx, o order, _ paymentEvent) error {
				if o.Failure == nil || *o.Failure != reservationExpired {
					return nil // nothing is known of the payment that is being returned
				}
				return s.requestRelease(ctx, tx, o)
			}),
			handle(s, pending, func(ctx context.Context, tx pgx.Tx, o order, _ paymentEvent) error {
				if err := s.set(ctx, tx, o, `UPDATE orders SET status = 'cancelling', failure = 'payment_declined' WHERE order_id = $1`); err != nil {
					return err
				}
				return s.requestRelease(ctx, tx, o)
			}),
		),
		"payment.refunded": handle(s, cancelling, func(ctx context.Context, tx pgx.Tx, o order, e refundedEvent) error {
			if e.Refunded < o.Total {
				return nil // a part, which has nothing to do with the cancellation
			}
			return s.requestRelease(ctx, tx, o)
		}),
		"inventory.released": handle(s, cancelling, func(ctx context.Context, tx pgx.Tx, o order, _ inventoryEvent) error {
			return s.set(ctx, tx, o, finish)
		}),
	}
}

func (s store) requestRelease(ctx context.Context, tx pgx.Tx, o order) error {
	return s.outbox.Add(ctx, tx, "inventory.release_requested", o.OrderID.String(), releaseRequestedEvent{o.OrderID})
}

func (e inventoryEvent) order() uuid.UUID { return e.OrderID }
func (e paymentEvent) order() uuid.UUID   { return e.OrderID }
func (e refundedEvent) order() uuid.UUID  { return e.OrderID }

// oneOf has each handler look at an event; none may put an order into a state that one after it belongs to.
func oneOf(handlers ...events.Handler) events.Handler {
	return func(ctx context.Context, tx pgx.Tx, e events.Event) error {
		for _, handler := range handlers {
			if err := handler(ctx, tx, e); err != nil {
				return err
			}
		}
		return nil
	}
}

// handle returns a handler of events about orders that go by events and are in the status.
// Others are left alone.
func handle[E interface{ order() uuid.UUID }](s store, in status, act func(context.Context, pgx.Tx, order, E) error) events.Handler {
	return func(ctx context.Context, tx pgx.Tx, e events.Event) error {
		var data E
		if err := json.Unmarshal(e.Data, &data); err != nil {
			return err
		}
		var o order
		err := tx.QueryRow(ctx, `SELECT `+columns+` FROM orders WHERE order_id = $1 AND saga = 'choreographed' AND status = $2 FOR UPDATE`, data.order(), in).
			Scan(o.fields()...)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		return act(ctx, tx, o, data)
	}
}
