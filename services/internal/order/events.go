package order

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/tendhq/tend/services/internal/money"
)

// createdEvent is the data of order.created.
type createdEvent struct {
	OrderID uuid.UUID    `json:"orderId"`
	UserID  uuid.UUID    `json:"userId"`
	Items   []newItem    `json:"items"`
	Total   money.Amount `json:"total"`
	Saga    sagaKind     `json:"saga"`
}

func newCreatedEvent(o order) createdEvent {
	e := createdEvent{OrderID: o.OrderID, UserID: o.UserID, Total: o.Total, Saga: o.saga}
	for _, item := range o.Items {
		e.Items = append(e.Items, newItem{ProductID: item.ProductID, Quantity: item.Quantity})
	}
	return e
}

// completedEvent is the data of order.completed.
type completedEvent struct {
	OrderID   uuid.UUID    `json:"orderId"`
	UserID    uuid.UUID    `json:"userId"`
	PaymentID uuid.UUID    `json:"paymentId"`
	Total     money.Amount `json:"total"`
}

// cancelledEvent is the data of order.cancelled. An order without a failure was cancelled
// by its customer.
type cancelledEvent struct {
	OrderID uuid.UUID `json:"orderId"`
	UserID  uuid.UUID `json:"userId"`
	Failure *failure  `json:"failure,omitempty"`
}

// tell publishes that the order has got its status, where that concerns others.
func (s store) tell(ctx context.Context, tx pgx.Tx, o order) error {
	switch o.Status {
	case confirmed:
		return s.outbox.Add(ctx, tx, "order.completed", o.OrderID.String(),
			completedEvent{OrderID: o.OrderID, UserID: o.UserID, PaymentID: *o.PaymentID, Total: o.Total})
	case cancelled, failed:
		return s.outbox.Add(ctx, tx, "order.cancelled", o.OrderID.String(),
			cancelledEvent{OrderID: o.OrderID, UserID: o.UserID, Failure: o.Failure})
	}
	return nil
}
