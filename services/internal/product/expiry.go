package product

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"
)

const (
	expireInterval = time.Second
	expireBatch    = 100
)

// expire tells of reservations whose time is over, until ctx ends.
func (s store) expire(log *zap.Logger) func(context.Context) {
	return func(ctx context.Context) {
		for ctx.Err() == nil {
			if err := s.tellExpired(ctx); err != nil && ctx.Err() == nil {
				log.Warn("expired reservations not told", zap.Error(err))
			}
			select {
			case <-time.After(expireInterval):
			case <-ctx.Done():
			}
		}
	}
}

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
