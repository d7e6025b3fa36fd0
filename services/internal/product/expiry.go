package product

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

const (
	expireInterval = time.Second
	expireBatch    = 100
)

// tellExpired tells once of each reservation whose time is over. It gives nothing back: only
// order-service knows whether the order is paid for, and asks for it where it is not.
func (s store) tellExpired(ctx context.Context) error {
	err := s.db.Write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx,
			`UPDATE reservations SET expires_at = NULL WHERE order_id IN (
				SELECT order_id FROM reservations WHERE status = 'reserved' AND expires_at < now()
				ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED)
			RETURNING order_id`, expireBatch)
		if err != nil {
			return err
		}
		expired, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
		if err != nil {
			return err
		}
		for _, id := range expired {
			if err := s.outbox.Add(ctx, tx, "inventory.expired", id.String(), orderEvent{id}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("tell expired reservations: %w", err)
	}
	return nil
}
