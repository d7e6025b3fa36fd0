package order

import (
	"context"
	"fmt"
	"net/http"

	"github.com/google/uuid"
)

// saga moves an order through the other services.
//
// Each step is idempotent by a key made of the order's id, and its outcome,
// refusals included, is kept by the service that took it. So whoever finds an
// unfinished order, a client repeating its request or the resolver after a
// crash, takes the same steps from the start and gets the same answers; two at
// once do no harm.
//
// Forward: reserve each item in turn, then pay, then confirm. A refusal is
// final: it is written down together with how many items were reserved, then
// undone backwards: refund, then give the items back from the last to the
// first. No answer is no refusal: the order stays as it is and is tried again.
//
// What this does not solve: while a service does not answer, a pending order
// keeps its items reserved and may be paid late, as nothing but that service
// knows whether its step was taken. Prices are those of the moment of ordering.
type saga struct {
	store store
	peers *peers
}

// advance advances o until it is settled or an error occurs. Then o is as it is stored.
func (s saga) advance(ctx context.Context, o order) (order, error) {
	var err error
	if o.Status == pending {
		if o, err = s.forward(ctx, o); err != nil {
			return o, err
		}
	}
	if o.Status == cancelling {
		return s.undo(ctx, o)
	}
	return o, nil
}

func (s saga) forward(ctx context.Context, o order) (order, error) {
	for i, item := range o.Items {
		err := s.peers.changeInventory(ctx, stepKey(o.OrderID, "reserve", i), item.ProductID, inventoryChange{Quantity: item.Quantity, Operation: "subtract"})
		if refused(err, http.StatusConflict, http.StatusNotFound) {
			return s.store.fail(ctx, o, outOfStock, i)
		}
		if err != nil {
			return o, fmt.Errorf("reserve %s: %w", item.ProductID, err)
		}
	}
	paid, err := s.peers.pay(ctx, o.OrderID.String(), newPayment{OrderID: o.OrderID, UserID: o.UserID, Amount: o.Total, MethodID: o.MethodID})
	if refused(err, http.StatusPaymentRequired, http.StatusConflict) {
		return s.store.fail(ctx, o, paymentDeclined, len(o.Items))
	}
	if err != nil {
		return o, fmt.Errorf("pay: %w", err)
	}
	return s.store.confirm(ctx, o, paid.PaymentID)
}

func (s saga) undo(ctx context.Context, o order) (order, error) {
	if o.PaymentID != nil {
		if err := s.peers.refund(ctx, *o.PaymentID); err != nil {
			return o, fmt.Errorf("refund: %w", err)
		}
	}
	for i := o.reservedItems - 1; i >= 0; i-- {
		item := o.Items[i]
		err := s.peers.changeInventory(ctx, stepKey(o.OrderID, "release", i), item.ProductID, inventoryChange{Quantity: item.Quantity, Operation: "add"})
		// A product that is gone has nowhere to give its items back to.
		if err != nil && !refused(err, http.StatusNotFound) {
			return o, fmt.Errorf("release %s: %w", item.ProductID, err)
		}
	}
	return s.store.finishCancel(ctx, o)
}

func stepKey(id uuid.UUID, step string, position int) string {
	return fmt.Sprintf("%s/%s/%d", id, step, position)
}
