package order

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/tendhq/tend/services/internal/events"
	"github.com/tendhq/tend/services/internal/httpx"
	"github.com/tendhq/tend/services/internal/postgres"
)

type store struct {
	db     *postgres.DB
	outbox *events.Outbox
}

const columns = `order_id, user_id, status, failure, total, reserved_items, payment_id, method_id, saga, created_at`

func (o *order) fields() []any {
	return []any{&o.OrderID, &o.UserID, &o.Status, &o.Failure, &o.Total, &o.reservedItems, &o.PaymentID, &o.MethodID, &o.saga, &o.CreatedAt}
}

// insert stores o, claimed, or returns the order made earlier with the same key
// and the fingerprint of the request that made it.
func (s store) insert(ctx context.Context, o order, key *string, fingerprint []byte) (stored order, earlier []byte, err error) {
	err = s.db.Write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		stored = o
		// A second request with the key waits here for the first one's transaction.
		err := tx.QueryRow(ctx,
			`INSERT INTO orders (order_id, user_id, status, total, claimed_until, idempotency_key, fingerprint, method_id, saga)
			VALUES ($1, $2, $3, $4, CASE WHEN $9 = 'choreographed' THEN 'infinity' ELSE now() + $5 END, $6, $7, $8, $9)
			ON CONFLICT (user_id, idempotency_key) DO NOTHING
			RETURNING `+columns,
			o.OrderID, o.UserID, o.Status, o.Total, lease, key, fingerprint, o.MethodID, o.saga).Scan(stored.fields()...)
		if errors.Is(err, pgx.ErrNoRows) {
			stored, earlier, err = findByKey(ctx, tx, o.UserID, key)
			return err
		}
		if err != nil {
			return err
		}
		rows := make([][]any, len(o.Items))
		for i, item := range o.Items {
			rows[i] = []any{o.OrderID, i, item.ProductID, item.Name, item.Quantity, item.Price}
		}
		_, err = tx.CopyFrom(ctx, pgx.Identifier{"order_items"},
			[]string{"order_id", "position", "product_id", "name", "quantity", "price"}, pgx.CopyFromRows(rows))
		if err != nil {
			return err
		}
		return s.outbox.Add(ctx, tx, "order.created", o.OrderID.String(), newCreatedEvent(o))
	})
	if err != nil {
		return order{}, nil, fmt.Errorf("insert order: %w", err)
	}
	return stored, earlier, nil
}

// byKey returns the order made with key and its request's fingerprint, nil
// where there is none.
func (s store) byKey(ctx context.Context, userID uuid.UUID, key *string) (o order, fingerprint []byte, err error) {
	if key == nil {
		return order{}, nil, nil
	}
	err = s.db.Read(ctx, func(ctx context.Context, q postgres.Querier) error {
		o, fingerprint, err = findByKey(ctx, q, userID, key)
		return err
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return order{}, nil, nil
	}
	if err != nil {
		return order{}, nil, fmt.Errorf("select order by key: %w", err)
	}
	return o, fingerprint, nil
}

func findByKey(ctx context.Context, q postgres.Querier, userID uuid.UUID, key *string) (o order, fingerprint []byte, err error) {
	err = q.QueryRow(ctx, `SELECT fingerprint, `+columns+` FROM orders WHERE user_id = $1 AND idempotency_key = $2`, userID, key).
		Scan(append([]any{&fingerprint}, o.fields()...)...)
	if err != nil {
		return order{}, nil, err
	}
	orders := []order{o}
	err = fillItems(ctx, q, orders)
	return orders[0], fingerprint, err
}

func (s store) byID(ctx context.Context, id, userID uuid.UUID) (order, error) {
	orders := make([]order, 1)
	err := s.db.Read(ctx, func(ctx context.Context, q postgres.Querier) error {
		err := q.QueryRow(ctx, `SELECT `+columns+` FROM orders WHERE order_id = $1 AND user_id = $2`, id, userID).
			Scan(orders[0].fields()...)
		if err != nil {
			return err
		}
		return fillItems(ctx, q, orders)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return order{}, errNotFound
	}
	if err != nil {
		return order{}, fmt.Errorf("select order: %w", err)
	}
	return orders[0], nil
}

// byUser returns a page of the user's orders, newest first, and the count of all.
func (s store) byUser(ctx context.Context, userID uuid.UUID, page httpx.Page) (orders []order, count int, err error) {
	err = s.db.Read(ctx, func(ctx context.Context, q postgres.Querier) error {
		if err := q.QueryRow(ctx, `SELECT count(*) FROM orders WHERE user_id = $1`, userID).Scan(&count); err != nil {
			return err
		}
		rows, err := q.Query(ctx, `SELECT `+columns+` FROM orders WHERE user_id = $1 ORDER BY order_id DESC LIMIT $2 OFFSET $3`,
			userID, page.Limit, page.Offset())
		if err != nil {
			return err
		}
		orders, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (order, error) {
			var o order
			return o, row.Scan(o.fields()...)
		})
		if err != nil {
			return err
		}
		return fillItems(ctx, q, orders)
	})
	if err != nil {
		return nil, 0, fmt.Errorf("select orders: %w", err)
	}
	return orders, count, nil
}

// fillItems reads the items of all orders with one statement.
func fillItems(ctx context.Context, q postgres.Querier, orders []order) error {
	ids := make([]uuid.UUID, len(orders))
	index := make(map[uuid.UUID]*order, len(orders))
	for i := range orders {
		orders[i].Items = nil
		ids[i] = orders[i].OrderID
		index[ids[i]] = &orders[i]
	}
	rows, err := q.Query(ctx,
		`SELECT order_id, product_id, name, quantity, price FROM order_items WHERE order_id = ANY($1) ORDER BY order_id, position`, ids)
	if err != nil {
		return err
	}
	var id uuid.UUID
	var it item
	_, err = pgx.ForEachRow(rows, []any{&id, &it.ProductID, &it.Name, &it.Quantity, &it.Price}, func() error {
		index[id].Items = append(index[id].Items, it)
		return nil
	})
	return err
}

// confirm ends a pending order well.
func (s store) confirm(ctx context.Context, o order, paymentID uuid.UUID) (order, error) {
	return s.move(ctx, o, `UPDATE orders SET status = 'confirmed', payment_id = $2 WHERE order_id = $1 AND status = 'pending'`, paymentID)
}

// fail begins to undo a pending order whose first reserved items are reserved.
func (s store) fail(ctx context.Context, o order, reason failure, reserved int) (order, error) {
	return s.move(ctx, o,
		`UPDATE orders SET status = 'cancelling', failure = $2, reserved_items = $3, claimed_until = now() + $4
		WHERE order_id = $1 AND status = 'pending'`, reason, reserved, lease)
}

// finishCancel ends an order that was undone.
func (s store) finishCancel(ctx context.Context, o order) (order, error) {
	return s.move(ctx, o, finish)
}

const finish = `UPDATE orders SET status = CASE WHEN failure IS NULL THEN 'cancelled' ELSE 'failed' END
	WHERE order_id = $1 AND status = 'cancelling'`

// move runs update, which does nothing if another process has moved the order
// already, and returns the order as it then is.
func (s store) move(ctx context.Context, o order, update string, args ...any) (order, error) {
	moved := o
	err := s.db.Write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if err := s.set(ctx, tx, o, update, args...); err != nil {
			return err
		}
		return tx.QueryRow(ctx, `SELECT `+columns+` FROM orders WHERE order_id = $1`, o.OrderID).Scan(moved.fields()...)
	})
	if err != nil {
		return o, fmt.Errorf("update order: %w", err)
	}
	return moved, nil
}

// set runs update, and tells what came of it where it did something.
func (s store) set(ctx context.Context, tx pgx.Tx, o order, update string, args ...any) error {
	err := tx.QueryRow(ctx, update+` RETURNING `+columns, append([]any{o.OrderID}, args...)...).Scan(o.fields()...)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.tell(ctx, tx, o)
}

// beginCancel begins to undo the user's order if it is confirmed, and returns it as it then is.
func (s store) beginCancel(ctx context.Context, id, userID uuid.UUID) (order, error) {
	err := s.db.Write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		var o order
		err := tx.QueryRow(ctx,
			`UPDATE orders SET status = 'cancelling', claimed_until = CASE saga WHEN 'choreographed' THEN 'infinity' ELSE now() + $3 END,
			reserved_items = (SELECT count(*) FROM order_items WHERE order_items.order_id = orders.order_id)
			WHERE order_id = $1 AND user_id = $2 AND status = 'confirmed' RETURNING `+columns, id, userID, lease).Scan(o.fields()...)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil || o.saga == orchestrated {
			return err
		}
		return s.outbox.Add(ctx, tx, "payment.refund_requested", id.String(), refundRequestedEvent{OrderID: id, PaymentID: o.PaymentID})
	})
	if err != nil {
		return order{}, fmt.Errorf("cancel order: %w", err)
	}
	return s.byID(ctx, id, userID)
}

// claim takes an unfinished order that nobody works on, the one left longest.
func (s store) claim(ctx context.Context) (o order, found bool, err error) {
	orders := make([]order, 1)
	err = s.db.Write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		err := tx.QueryRow(ctx,
			`UPDATE orders SET claimed_until = now() + $1
			WHERE order_id = (
				SELECT order_id FROM orders
				WHERE status IN ('pending', 'cancelling') AND claimed_until < now()
				ORDER BY claimed_until LIMIT 1 FOR UPDATE SKIP LOCKED)
			RETURNING `+columns, lease).Scan(orders[0].fields()...)
		if err != nil {
			return err
		}
		return fillItems(ctx, tx, orders)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return order{}, false, nil
	}
	if err != nil {
		return order{}, false, fmt.Errorf("claim order: %w", err)
	}
	return orders[0], true, nil
}
