package user

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tendhq/tend/services/internal/httpx"
)

// limit allows most failed attempts at once, and another one after each period.
type limit struct {
	most  int
	every time.Duration
}

// The limits of failed attempts to log in. Many people may share an address.
var (
	byAddress = limit{most: 100, every: 9 * time.Second}
	byAccount = limit{most: 10, every: 90 * time.Second}
)

// attempt is an attempt to log in, and what it counts for.
type attempt []counted

type counted struct {
	subject string
	limit   limit
}

func newAttempt(r *http.Request, email string) attempt {
	return attempt{{"address " + httpx.ClientNetwork(r), byAddress}, {"account " + email, byAccount}}
}

// tooMany returns the answer to who has to wait before the next attempt.
func tooMany(w http.ResponseWriter, wait time.Duration) error {
	seconds := max(1, int(math.Ceil(wait.Seconds())))
	w.Header().Set("Retry-After", strconv.Itoa(seconds))
	return httpx.NewProblem(http.StatusTooManyRequests, fmt.Sprintf("too many attempts to log in; try again in %d seconds", seconds))
}

// begin counts a, before the password is looked at, so that attempts at the same
// time do not slip past. It returns how long to wait where there were too many.
//
// This is the generic cell rate algorithm. The row's lock makes the replicas take
// turns, and the time is the database's once the row is locked: that of the
// transaction's start may be from before the last attempt.
func (s store) begin(ctx context.Context, a attempt) (wait time.Duration, err error) {
	err = s.db.Write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		for _, c := range a {
			whole := c.limit.every * time.Duration(c.limit.most)
			var counted bool
			err := tx.QueryRow(ctx,
				`INSERT INTO login_attempts AS a (subject, until) VALUES ($1, clock_timestamp() + $2::interval)
				ON CONFLICT (subject) DO UPDATE SET until = greatest(a.until, clock_timestamp()) + $2::interval
				WHERE greatest(a.until, clock_timestamp()) + $2::interval <= clock_timestamp() + $3::interval
				RETURNING true`, c.subject, c.limit.every, whole).Scan(&counted)
			if errors.Is(err, pgx.ErrNoRows) {
				err = tx.QueryRow(ctx, `SELECT until + $2::interval - $3::interval - clock_timestamp() FROM login_attempts WHERE subject = $1`,
					c.subject, c.limit.every, whole).Scan(&wait)
				return err
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("count login attempt: %w", err)
	}
	return wait, nil
}

// succeed takes a back: it was no failed one.
func (s store) succeed(ctx context.Context, a attempt) error {
	err := s.db.Write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		for _, c := range a {
			if _, err := tx.Exec(ctx, `UPDATE login_attempts SET until = until - $2::interval WHERE subject = $1`, c.subject, c.limit.every); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("take back login attempt: %w", err)
	}
	return nil
}

// forget removes attempts that no longer count.
func (s store) forget(ctx context.Context) error {
	err := s.db.Write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM login_attempts WHERE until < now()`)
		return err
	})
	if err != nil {
		return fmt.Errorf("forget login attempts: %w", err)
	}
	return nil
}
