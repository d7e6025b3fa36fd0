package payment

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/tendhq/tend/services/internal/money"
)

// processedEvent is the data of payment.processed.
type processedEvent struct {
	PaymentID uuid.UUID    `json:"paymentId"`
	OrderID   uuid.UUID    `json:"orderId"`
	UserID    uuid.UUID    `json:"userId"`
	Amount    money.Amount `json:"amount"`
}

// failedEvent is the data of payment.failed.
type failedEvent struct {
	PaymentID uuid.UUID `json:"paymentId"`
	OrderID   uuid.UUID `json:"orderId"`
	UserID    uuid.UUID `json:"userId"`
	Reason    reason    `json:"reason"`
}

// refundedEvent is the data of payment.refunded.
type refundedEvent struct {
	PaymentID uuid.UUID    `json:"paymentId"`
	OrderID   uuid.UUID    `json:"orderId"`
	UserID    uuid.UUID    `json:"userId"`
	Amount    money.Amount `json:"amount"`         // of this refund
	Refunded  money.Amount `json:"refundedAmount"` // in all
}

// tell publishes what was decided about a payment. One that is held tells nothing yet.
func (s store) tell(ctx context.Context, tx pgx.Tx, p payment) error {
	switch p.Status {
	case paid:
		return s.outbox.Add(ctx, tx, "payment.processed", p.PaymentID.String(),
			processedEvent{PaymentID: p.PaymentID, OrderID: p.OrderID, UserID: p.UserID, Amount: p.Amount})
	case declined:
		return s.outbox.Add(ctx, tx, "payment.failed", p.PaymentID.String(),
			failedEvent{PaymentID: p.PaymentID, OrderID: p.OrderID, UserID: p.UserID, Reason: *p.Reason})
	}
	return nil
}

func (s store) tellRefund(ctx context.Context, tx pgx.Tx, p payment, amount money.Amount) error {
	return s.outbox.Add(ctx, tx, "payment.refunded", p.PaymentID.String(),
		refundedEvent{PaymentID: p.PaymentID, OrderID: p.OrderID, UserID: p.UserID, Amount: amount, Refunded: p.RefundedAmount})
}
