package payment

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/tendhq/tend/services/internal/auth"
	"github.com/tendhq/tend/services/internal/events"
	"github.com/tendhq/tend/services/internal/httpx"
	"github.com/tendhq/tend/services/internal/money"
	"github.com/tendhq/tend/services/internal/postgres"
)

var errNotFound = httpx.NewProblem(http.StatusNotFound, "you have no payment with this id")

type store struct {
	db     *postgres.DB
	outbox *events.Outbox
	rules  rules
	// reviewTime is how long a payment may be held.
	reviewTime time.Duration
}

// origin is where a payment comes from. With a key it is made once for its caller.
type origin struct {
	caller      string
	key         *string
	fingerprint []byte
}

const columns = `payment_id, order_id, user_id, method_id, amount, refunded_amount, status, reason, created_at, refunded_at`

func (p *payment) fields() []any {
	return []any{&p.PaymentID, &p.OrderID, &p.UserID, &p.MethodID, &p.Amount, &p.RefundedAmount, &p.Status, &p.Reason, &p.CreatedAt, &p.RefundedAt}
}

// insert stores p as the rules judge it, or returns the payment made earlier with the same key and
// the fingerprint of the request that made it.
func (s store) insert(ctx context.Context, p payment, o origin) (stored payment, replayed []byte, err error) {
	err = s.db.Write(ctx, func(ctx context.Context, tx pgx.Tx) (err error) {
		stored, replayed, err = s.insertIn(ctx, tx, p, o)
		return err
	})
	if postgres.IsCode(err, postgres.UniqueViolation) {
		return payment{}, nil, httpx.NewProblem(http.StatusConflict, "this order is paid already")
	}
	if err != nil {
		return payment{}, nil, fmt.Errorf("insert payment: %w", err)
	}
	return stored, replayed, nil
}

// insertIn is insert in a transaction.
func (s store) insertIn(ctx context.Context, tx pgx.Tx, p payment, o origin) (stored payment, replayed []byte, err error) {
	if p.Status, p.Reason, err = s.rules.judge(ctx, tx, p); err != nil {
		return payment{}, nil, err
	}
	// A second request with the key waits here for the first one's transaction.
	err = tx.QueryRow(ctx,
		`INSERT INTO payments (payment_id, order_id, user_id, method_id, amount, status, reason, caller, idempotency_key, fingerprint)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
		ON CONFLICT (caller, idempotency_key) DO NOTHING
		RETURNING `+columns,
		p.PaymentID, p.OrderID, p.UserID, p.MethodID, p.Amount, p.Status, p.Reason, o.caller, o.key, o.fingerprint).Scan(stored.fields()...)
	if err == nil {
		return stored, nil, s.tell(ctx, tx, stored)
	}
	if !errors.Is(err, pgx.ErrNoRows) {
		return payment{}, nil, err
	}
	err = tx.QueryRow(ctx,
		`SELECT fingerprint, `+columns+` FROM payments WHERE caller = $1 AND idempotency_key = $2`, o.caller, o.key).
		Scan(append([]any{&replayed}, stored.fields()...)...)
	return stored, replayed, err
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

var errNotPaid = httpx.NewProblem(http.StatusNotFound, "there is no paid payment with this id")

// refundRest returns what is left of a paid payment's money. A refunded one stays as it is.
func (s store) refundRest(ctx context.Context, id uuid.UUID) (payment, error) {
	var p payment
	err := s.db.Write(ctx, func(ctx context.Context, tx pgx.Tx) (err error) {
		p, _, err = s.refundRestIn(ctx, tx, id)
		return err
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return payment{}, errNotPaid
	}
	if err != nil {
		return payment{}, fmt.Errorf("refund payment: %w", err)
	}
	return p, nil
}

// refundRestIn is refundRest in a transaction. It also returns how much was left.
func (s store) refundRestIn(ctx context.Context, tx pgx.Tx, id uuid.UUID) (p payment, rest money.Amount, err error) {
	err = tx.QueryRow(ctx, `SELECT `+columns+` FROM payments WHERE payment_id = $1 AND status IN ('paid', 'refunded') FOR UPDATE`, id).
		Scan(p.fields()...)
	if err != nil || p.Status == refunded {
		return p, 0, err
	}
	rest = p.Amount - p.RefundedAmount
	err = tx.QueryRow(ctx,
		`UPDATE payments SET status = 'refunded', refunded_at = now() WHERE payment_id = $1 RETURNING `+columns, id).Scan(p.fields()...)
	if err != nil {
		return payment{}, 0, err
	}
	return p, rest, s.tellRefund(ctx, tx, p, rest)
}

// refundPart returns a part of a payment's money once for its origin, and the fingerprint
// of the request that did it earlier.
func (s store) refundPart(ctx context.Context, id uuid.UUID, amount money.Amount, o origin) (p payment, replayed []byte, err error) {
	err = s.db.Write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		replayed = nil
		// The row's lock puts refunds of one payment, and so repetitions, in sequence.
		err := tx.QueryRow(ctx, `SELECT `+columns+` FROM payments WHERE payment_id = $1 AND status IN ('paid', 'refunded') FOR UPDATE`, id).
			Scan(p.fields()...)
		if err != nil {
			return err
		}
		err = tx.QueryRow(ctx, `SELECT fingerprint FROM refunds WHERE caller = $1 AND idempotency_key = $2`, o.caller, o.key).Scan(&replayed)
		if !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		if left := p.Amount - p.RefundedAmount; amount > left {
			return httpx.NewProblem(http.StatusConflict, "only "+left.String()+" of this payment is left to refund")
		}
		_, err = tx.Exec(ctx, `INSERT INTO refunds (caller, idempotency_key, fingerprint, payment_id) VALUES ($1, $2, $3, $4)`,
			o.caller, o.key, o.fingerprint, id)
		if err != nil {
			return err
		}
		err = tx.QueryRow(ctx,
			`UPDATE payments SET refunded_amount = refunded_amount + $2,
			status = CASE WHEN refunded_amount + $2 = amount THEN 'refunded' ELSE status END,
			refunded_at = CASE WHEN refunded_amount + $2 = amount THEN now() END
			WHERE payment_id = $1 RETURNING `+columns, id, amount).Scan(p.fields()...)
		if err != nil {
			return err
		}
		return s.tellRefund(ctx, tx, p, amount)
	})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return payment{}, nil, errNotPaid
	case postgres.IsCode(err, postgres.UniqueViolation):
		// Refunds of one payment take turns; so the key was used for another payment just now.
		return payment{}, nil, httpx.ErrKeyReused
	case err != nil:
		return payment{}, nil, fmt.Errorf("refund a part: %w", err)
	}
	return p, replayed, nil
}

// review gives a payment that is held its status. One that has it already stays as it is.
func (s store) review(ctx context.Context, id uuid.UUID, status string) (payment, error) {
	var p payment
	err := s.db.Write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `UPDATE payments SET status = $2, reason = CASE $2 WHEN 'declined' THEN 'review' END
			WHERE payment_id = $1 AND status = 'review'`, id, status)
		if err != nil {
			return err
		}
		err = tx.QueryRow(ctx, `SELECT `+columns+` FROM payments WHERE payment_id = $1`, id).Scan(p.fields()...)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		return s.tell(ctx, tx, p)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return payment{}, httpx.NewProblem(http.StatusNotFound, "there is no payment with this id")
	}
	if err != nil {
		return payment{}, fmt.Errorf("review payment: %w", err)
	}
	if p.Status != status {
		return payment{}, httpx.NewProblem(http.StatusConflict, "the payment is not held for a review; it is "+p.Status)
	}
	return p, nil
}

// transactions returns a page of what happened to the user's payments, newest first, and
// the count of all.
func (s store) transactions(ctx context.Context, userID uuid.UUID, page httpx.Page) (transactions []transaction, count int, err error) {
	err = s.db.Read(ctx, func(ctx context.Context, q postgres.Querier) error {
		if err := q.QueryRow(ctx, `SELECT count(*) FROM transactions WHERE user_id = $1`, userID).Scan(&count); err != nil {
			return err
		}
		rows, err := q.Query(ctx,
			`SELECT transaction_id, payment_id, kind, amount, created_at FROM transactions
			WHERE user_id = $1 ORDER BY transaction_id DESC LIMIT $2 OFFSET $3`, userID, page.Limit, page.Offset())
		if err != nil {
			return err
		}
		transactions, err = pgx.CollectRows(rows, pgx.RowToStructByPos[transaction])
		return err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("select transactions: %w", err)
	}
	return transactions, count, nil
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
