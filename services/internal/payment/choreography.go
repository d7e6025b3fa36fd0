package payment

import (
	"context"
	"encoding/json"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/tendhq/tend/services/internal/events"
	"github.com/tendhq/tend/services/internal/httpx"
)

// refundRequestedEvent is what is read of payment.refund_requested: of a payment, or of
// whatever there is for an order.
type refundRequestedEvent struct {
	order
	PaymentID *uuid.UUID `json:"paymentId"`
}

func (s store) handlers() map[string]events.Handler {
	return map[string]events.Handler{"payment.requested": s.payRequested, "payment.refund_requested": s.refundRequested}
}

// payRequested pays for an order once, as if order-service had called. The outcome is told
// when it is known: for a payment that is held, after its review.
func (s store) payRequested(ctx context.Context, tx pgx.Tx, e events.Event) error {
	var body order
	if err := json.Unmarshal(e.Data, &body); err != nil {
		return err
	}
	p, err := newPayment(body)
	if err != nil {
		return err
	}
	fingerprint, err := httpx.Fingerprint(body)
	if err != nil {
		return err
	}
	_, _, err = s.insertIn(ctx, tx, p, origin{caller: "order-service", key: &body.OrderID, fingerprint: fingerprint})
	return err
}

// refundRequested returns what is left of a payment, and tells so also where nothing was:
// whoever asks must get on.
func (s store) refundRequested(ctx context.Context, tx pgx.Tx, e events.Event) error {
	var request refundRequestedEvent
	if err := json.Unmarshal(e.Data, &request); err != nil {
		return err
	}
	if request.PaymentID == nil {
		return s.void(ctx, tx, request.order)
	}
	return s.refundOrTell(ctx, tx, *request.PaymentID)
}

// refundOrTell returns what is left of a payment, or tells that nothing was.
func (s store) refundOrTell(ctx context.Context, tx pgx.Tx, id uuid.UUID) error {
	p, rest, err := s.refundRestIn(ctx, tx, id)
	if err != nil || rest > 0 {
		return err
	}
	return s.tellRefund(ctx, tx, p, rest)
}

// void sees to it that an order is not paid for: a payment is returned, one that is held is
// declined, and where there is none yet a declined one takes its place, so that the request
// for it, which may still come, changes nothing.
func (s store) void(ctx context.Context, tx pgx.Tx, body order) error {
	none, err := newPayment(body)
	if err != nil {
		return err
	}
	fingerprint, err := httpx.Fingerprint(body)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx,
		`INSERT INTO payments (payment_id, order_id, user_id, amount, status, reason, caller, idempotency_key, fingerprint)
		VALUES ($1, $2, $3, $4, 'declined', 'expired', 'order-service', $5, $6) ON CONFLICT (caller, idempotency_key) DO NOTHING`,
		none.PaymentID, none.OrderID, none.UserID, none.Amount, body.OrderID, fingerprint)
	if err != nil {
		return err
	}
	var p payment
	err = tx.QueryRow(ctx,
		`UPDATE payments SET status = CASE status WHEN 'review' THEN 'declined' ELSE status END, reason = CASE status WHEN 'review' THEN 'expired' ELSE reason END
		WHERE caller = 'order-service' AND idempotency_key = $1 RETURNING `+columns, body.OrderID).Scan(p.fields()...)
	if err != nil {
		return err
	}
	if p.Status == declined {
		return s.tell(ctx, tx, p)
	}
	return s.refundOrTell(ctx, tx, p.PaymentID)
}
