package product

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/tendhq/tend/services/internal/events"
)

// createdEvent is what is read of order.created.
type createdEvent struct {
	OrderID uuid.UUID `json:"orderId"`
	Saga    string    `json:"saga"`
	Items   []item    `json:"items"`
}

type item struct {
	ProductID string `json:"productId"`
	Quantity  int64  `json:"quantity"`
}

// orderEvent is the data of inventory.reserved, .expired and .released, and what is read of
// inventory.release_requested.
type orderEvent struct {
	OrderID uuid.UUID `json:"orderId"`
}

// rejectedEvent is the data of inventory.rejected.
type rejectedEvent struct {
	OrderID   uuid.UUID `json:"orderId"`
	ProductID string    `json:"productId"` // the first that there is too little of
}

func (s store) handlers() map[string]events.Handler {
	return map[string]events.Handler{
		"order.created": s.reserve, "order.completed": s.completed, "inventory.release_requested": s.release,
		"product.created": s.changed, "product.updated": s.changed, "product.deleted": s.changed,
	}
}

// reserve takes all items of an order that goes by events, or none.
func (s store) reserve(ctx context.Context, tx pgx.Tx, e events.Event) error {
	var order createdEvent
	if err := json.Unmarshal(e.Data, &order); err != nil {
		return err
	}
	if order.Saga != "choreographed" {
		return nil
	}
	for _, item := range order.Items {
		if item.Quantity < 1 {
			return fmt.Errorf("order %s asks for %d of %s", order.OrderID, item.Quantity, item.ProductID)
		}
	}
	items, err := json.Marshal(order.Items)
	if err != nil {
		return err
	}
	tag, err := tx.Exec(ctx, `INSERT INTO reservations (order_id, status, items, expires_at) VALUES ($1, 'reserved', $2, now() + $3)
		ON CONFLICT DO NOTHING`, order.OrderID, items, s.reserved)
	if err != nil || tag.RowsAffected() == 0 {
		return err
	}
	inventory, err := lockInventory(ctx, tx, order.Items)
	if err != nil {
		return err
	}
	for _, item := range order.Items {
		if inventory[item.ProductID] < item.Quantity {
			if _, err := tx.Exec(ctx, `UPDATE reservations SET status = 'rejected' WHERE order_id = $1`, order.OrderID); err != nil {
				return err
			}
			return s.outbox.Add(ctx, tx, "inventory.rejected", order.OrderID.String(), rejectedEvent{OrderID: order.OrderID, ProductID: item.ProductID})
		}
	}
	for _, item := range order.Items {
		before := inventory[item.ProductID]
		if err := s.setInventory(ctx, tx, item.ProductID, before, before-item.Quantity); err != nil {
			return err
		}
	}
	return s.outbox.Add(ctx, tx, "inventory.reserved", order.OrderID.String(), orderEvent{order.OrderID})
}

// release gives back what an order has reserved, once. It answers each request: whoever
// asks must get on.
func (s store) release(ctx context.Context, tx pgx.Tx, e events.Event) error {
	var order orderEvent
	if err := json.Unmarshal(e.Data, &order); err != nil {
		return err
	}
	var items []item
	err := tx.QueryRow(ctx, `SELECT items FROM reservations WHERE order_id = $1 AND status = 'reserved' FOR UPDATE`, order.OrderID).Scan(&items)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	inventory, err := lockInventory(ctx, tx, items)
	if err != nil {
		return err
	}
	for _, item := range items {
		before := inventory[item.ProductID]
		if err := s.setInventory(ctx, tx, item.ProductID, before, before+item.Quantity); err != nil {
			return err
		}
	}
	// An order of which nothing is known yet may not reserve any more.
	_, err = tx.Exec(ctx,
		`INSERT INTO reservations (order_id, status, items) VALUES ($1, 'released', '[]')
		ON CONFLICT (order_id) DO UPDATE SET status = 'released'`, order.OrderID)
	if err != nil {
		return err
	}
	return s.outbox.Add(ctx, tx, "inventory.released", order.OrderID.String(), orderEvent{order.OrderID})
}

// lockInventory returns the inventory of the items' products, which no other transaction
// changes before this one ends. They are locked in one order, so that two orders of the
// same products do not wait for each other.
func lockInventory(ctx context.Context, tx pgx.Tx, items []item) (map[string]int64, error) {
	ids := make([]string, len(items))
	for i, item := range items {
		ids[i] = item.ProductID
	}
	rows, err := tx.Query(ctx, `SELECT product_id, inventory FROM products WHERE product_id = ANY($1) ORDER BY product_id FOR UPDATE`, ids)
	if err != nil {
		return nil, err
	}
	inventory := map[string]int64{}
	var id string
	var count int64
	_, err = pgx.ForEachRow(rows, []any{&id, &count}, func() error {
		inventory[id] = count
		return nil
	})
	return inventory, err
}
