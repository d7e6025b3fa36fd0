package payment

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	expireInterval = time.Second
	expireBatch    = 100
)

// declineExpired declines payments that nobody has reviewed in time: the items of their
// orders are sold to nobody else meanwhile.
func (s store) declineExpired(ctx context.Context) error {
	err := s.db.Write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx,
			`UPDATE payments SET status = 'declined', reason = 'expired' WHERE payment_id IN (
				SELECT payment_id FROM payments WHERE status = 'review' AND created_at < now() - $1::interval
				ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED)
			RETURNING `+columns, s.reviewTime, expireBatch)
		if err != nil {
			return err
		}
		expired, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p payment, err error) {
			return p, row.Scan(p.fields()...)
		})
		if err != nil {
			return err
		}
		for _, p := range expired {
			if err := s.tell(ctx, tx, p); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("decline payments whose review has expired: %w", err)
	}
	return nil
}
