package payment

import (
	"context"
	"encoding/json"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/tendhq/tend/services/internal/events"
	"github.com/tendhq/tend/services/internal/httpx"
)

// refundRequestedEvent is what is read of payment.refund_requested.
type refundRequestedEvent struct {
	PaymentID uuid.UUID `json:"paymentId"`
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
	p, rest, err := s.refundRestIn(ctx, tx, request.PaymentID)
	if err != nil || rest > 0 {
		return err
	}
	return s.tellRefund(ctx, tx, p, rest)
}
