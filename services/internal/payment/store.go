package payment

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/tendhq/tend/services/internal/auth"
	"github.com/tendhq/tend/services/internal/httpx"
	"github.com/tendhq/tend/services/internal/postgres"
)

var errNotFound = httpx.NewProblem(http.StatusNotFound, "you have no payment with this id")

type store struct{ db *postgres.DB }

// origin is where a payment comes from. With a key it is made once for its caller.
type origin struct {
	caller      string
	key         *string
	fingerprint []byte
}

const columns = `payment_id, order_id, user_id, amount, status, created_at, refunded_at`

func (p *payment) fields() []any {
	return []any{&p.PaymentID, &p.OrderID, &p.UserID, &p.Amount, &p.Status, &p.CreatedAt, &p.RefundedAt}
}

// insert stores p, or returns the payment made earlier with the same key and
// the fingerprint of the request that made it.
func (s store) insert(ctx context.Context, p payment, o origin) (stored payment, replayed []byte, err error) {
	err = s.db.Write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		// A second request with the key waits here for the first one's transaction.
		err := tx.QueryRow(ctx,
			`INSERT INTO payments (payment_id, order_id, user_id, amount, status, caller, idempotency_key, fingerprint)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
			ON CONFLICT (caller, idempotency_key) DO NOTHING
			RETURNING `+columns,
			p.PaymentID, p.OrderID, p.UserID, p.Amount, p.Status, o.caller, o.key, o.fingerprint).Scan(stored.fields()...)
		if !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		return tx.QueryRow(ctx,
			`SELECT fingerprint, `+columns+` FROM payments WHERE caller = $1 AND idempotency_key = $2`, o.caller, o.key).
			Scan(append([]any{&replayed}, stored.fields()...)...)
	})
	if postgres.IsCode(err, postgres.UniqueViolation) {
		return payment{}, nil, httpx.NewProblem(http.StatusConflict, "this order is paid already")
	}
	if err != nil {
		return payment{}, nil, fmt.Errorf("insert payment: %w", err)
	}
	return stored, replayed, nil
}

// byID finds a payment that identity made or may see.
func (s store) byID(ctx context.Context, id uuid.UUID, identity auth.Identity) (payment, error) {
	var p payment
	err := s.db.Read(ctx, func(ctx context.Context, q postgres.Querier) error {
		return q.QueryRow(ctx, `SELECT `+columns+` FROM payments WHERE payment_id = $1 AND (user_id::text = $2 OR $3)`,
			id, identity.Subject, identity.Privileged()).Scan(p.fields()...)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return payment{}, errNotFound
	}
	if err != nil {
		return payment{}, fmt.Errorf("select payment: %w", err)
	}
	return p, nil
}

// refund returns a paid payment's money. A refunded one stays as it is.
func (s store) refund(ctx context.Context, id uuid.UUID) (payment, error) {
	var p payment
	err := s.db.Write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		return tx.QueryRow(ctx,
			`UPDATE payments SET status = 'refunded', refunded_at = coalesce(refunded_at, now())
			WHERE payment_id = $1 AND status IN ('paid', 'refunded') RETURNING `+columns, id).Scan(p.fields()...)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return payment{}, httpx.NewProblem(http.StatusNotFound, "there is no paid payment with this id")
	}
	if err != nil {
		return payment{}, fmt.Errorf("refund payment: %w", err)
	}
	return p, nil
}

// byUser returns a page of the user's payments, newest first, and the count of all.
func (s store) byUser(ctx context.Context, userID uuid.UUID, page httpx.Page) (payments []payment, count int, err error) {
	err = s.db.Read(ctx, func(ctx context.Context, q postgres.Querier) error {
		if err := q.QueryRow(ctx, `SELECT count(*) FROM payments WHERE user_id = $1`, userID).Scan(&count); err != nil {
			return err
		}
		rows, err := q.Query(ctx,
			`SELECT `+columns+` FROM payments WHERE user_id = $1 ORDER BY payment_id DESC LIMIT $2 OFFSET $3`,
			userID, page.Limit, page.Offset())
		if err != nil {
			return err
		}
		payments, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (payment, error) {
			var p payment
			return p, row.Scan(p.fields()...)
		})
		return err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("select payments: %w", err)
	}
	return payments, count, nil
}
