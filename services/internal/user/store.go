package user

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/tendhq/tend/services/internal/auth"
	"github.com/tendhq/tend/services/internal/httpx"
	"github.com/tendhq/tend/services/internal/postgres"
)

type account struct {
	id                  uuid.UUID
	email, hash         string
	firstName, lastName string
	role                auth.Role
	createdAt           time.Time
	key                 *string // the Idempotency-Key of its registration
}

type store struct{ db *postgres.DB }

var errNotFound = httpx.NewProblem(http.StatusNotFound, "you have no user with this id")

// errTaken reports that the email has an account.
var errTaken = httpx.NewProblem(http.StatusConflict, "there is an account with this email; log in instead")

func (s store) insert(ctx context.Context, a account) error {
	err := s.db.Write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx,
			`INSERT INTO users (user_id, email, password_hash, first_name, last_name, role, idempotency_key) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			a.id, a.email, a.hash, a.firstName, a.lastName, a.role, a.key)
		return err
	})
	if postgres.IsCode(err, postgres.UniqueViolation) {
		return errTaken
	}
	if err != nil {
		return fmt.Errorf("insert user: %w", err)
	}
	return nil
}

func (s store) byEmail(ctx context.Context, email string) (account, bool, error) {
	return s.one(ctx, `email = $1`, email)
}

// byID finds the user with id if identity is that user or privileged.
func (s store) byID(ctx context.Context, id uuid.UUID, identity auth.Identity) (account, bool, error) {
	return s.one(ctx, `user_id = $1 AND (user_id::text = $2 OR $3)`, id, identity.Subject, identity.Privileged())
}

func (s store) one(ctx context.Context, where string, args ...any) (account, bool, error) {
	var a account
	err := s.db.Read(ctx, func(ctx context.Context, q postgres.Querier) error {
		return q.QueryRow(ctx,
			`SELECT user_id, email, password_hash, first_name, last_name, role, created_at, idempotency_key FROM users WHERE `+where, args...).
			Scan(&a.id, &a.email, &a.hash, &a.firstName, &a.lastName, &a.role, &a.createdAt, &a.key)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return account{}, false, nil
	}
	if err != nil {
		return account{}, false, fmt.Errorf("select user: %w", err)
	}
	return a, true, nil
}
