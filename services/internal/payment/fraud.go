package payment

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/tendhq/tend/services/internal/config"
	"github.com/tendhq/tend/services/internal/money"
)

const (
	// limit is the largest single payment; a larger one is declined.
	limit money.Amount = 10_000_00
	// reviewFrom is the smallest payment that a person looks at first.
	reviewFrom money.Amount = 5_000_00
)

// reason is the rule by which a payment was declined or held.
type reason string

const (
	tooLarge reason = "amount"
	tooMany  reason = "velocity"
	mismatch reason = "mismatch"
	reviewed reason = "review"
	expired  reason = "expired" // of an order that is not to be paid for any more
)

// detail is what the payer is told.
func (r reason) detail() string {
	switch r {
	case tooLarge:
		return "at most " + limit.String() + " can be paid at once"
	case tooMany:
		return "too many payments in a short time"
	case mismatch:
		return "the payment method is not this user's, or has expired"
	case reviewed:
		return "a review has declined it"
	case expired:
		return "the order has expired"
	}
	return "for no reason that is known"
}

// rules find fraud.
type rules struct {
	// perMinute is how many payments a user may ask for in a minute.
	perMinute int
}

func rulesFromEnv(env *config.Env) rules {
	return rules{perMinute: env.Number("FRAUD_PAYMENTS_PER_MINUTE", 30)}
}

// judge returns the status that a new payment gets, and why where it is not paid. The
// user's payments take turns, so that several at once are not each the first.
func (r rules) judge(ctx context.Context, tx pgx.Tx, p payment) (string, *reason, error) {
	decline := func(why reason) (string, *reason, error) { return declined, &why, nil }
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`, p.UserID.String()); err != nil {
		return "", nil, fmt.Errorf("wait for the user's turn: %w", err)
	}
	if p.Amount > limit {
		return decline(tooLarge)
	}
	if p.MethodID != nil {
		var valid bool
		err := tx.QueryRow(ctx,
			`SELECT make_date(expiry_year, expiry_month, 1) + interval '1 month' > now() FROM payment_methods
			WHERE method_id = $1 AND user_id = $2`, p.MethodID, p.UserID).Scan(&valid)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return "", nil, fmt.Errorf("select payment method: %w", err)
		}
		if !valid {
			return decline(mismatch)
		}
	}
	var recent int
	err := tx.QueryRow(ctx, `SELECT count(*) FROM payments WHERE user_id = $1 AND created_at > now() - interval '1 minute'`, p.UserID).Scan(&recent)
	if err != nil {
		return "", nil, fmt.Errorf("count payments: %w", err)
	}
	if recent >= r.perMinute {
		return decline(tooMany)
	}
	if p.Amount >= reviewFrom {
		why := tooLarge
		return held, &why, nil
	}
	return paid, nil, nil
}
