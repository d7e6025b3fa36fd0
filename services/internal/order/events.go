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
	return createdEvent{OrderID: o.OrderID, UserID: o.UserID, Items: o.ordered(), Total: o.Total, Saga: o.saga}
}

// ordered returns the order's items as they were asked for.
func (o order) ordered() (items []newItem) {
	for _, item := range o.Items {
		items = append(items, newItem{ProductID: item.ProductID, Quantity: item.Quantity})
	}
	return items
}

// completedEvent is the data of order.completed.
type completedEvent struct {
	OrderID   uuid.UUID    `json:"orderId"`
	UserID    uuid.UUID    `json:"userId"`
	PaymentID uuid.UUID    `json:"paymentId"`
	Items     []newItem    `json:"items"`
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
		whole := []order{o}
		if err := fillItems(ctx, tx, whole); err != nil {
			return err
		}
		return s.outbox.Add(ctx, tx, "order.completed", o.OrderID.String(),
			completedEvent{OrderID: o.OrderID, UserID: o.UserID, PaymentID: *o.PaymentID, Items: whole[0].ordered(), Total: o.Total})
	case cancelled, failed:
		return s.outbox.Add(ctx, tx, "order.cancelled", o.OrderID.String(),
			cancelledEvent{OrderID: o.OrderID, UserID: o.UserID, Failure: o.Failure})
	}
	return nil
}
