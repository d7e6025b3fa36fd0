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
	"github.com/tendhq/tend/services/internal/events"
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
	locale              *string // to insert; nil where the version has none
}

type store struct {
	db     *postgres.DB
	outbox *events.Outbox
}

// updatedEvent is the data of user.updated.
type updatedEvent struct {
	UserID  uuid.UUID `json:"userId"`
	Changes changes   `json:"changes"`
}

// registeredEvent is the data of user.registered.
type registeredEvent struct {
	UserID uuid.UUID `json:"userId"`
	Email  string    `json:"email"`
}

var errNotFound = httpx.NewProblem(http.StatusNotFound, "you have no user with this id")

// errTaken reports that the email has an account.
var errTaken = httpx.NewProblem(http.StatusConflict, "there is an account with this email; log in instead")

const (
	insertUser = `INSERT INTO users (user_id, email, password_hash, first_name, last_name, role, idempotency_key)
		VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING `
	insertLocalized = `INSERT INTO users (user_id, email, password_hash, first_name, last_name, role, idempotency_key, locale)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING `
)

func (s store) insert(ctx context.Context, a account) (account, error) {
	made := a
	err := s.db.Write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		insert, values := insertUser, []any{a.id, a.email, a.hash, a.firstName, a.lastName, a.role, a.key}
		if a.locale != nil {
			insert, values = insertLocalized, append(values, *a.locale)
		}
		if err := tx.QueryRow(ctx, insert+columns, values...).Scan(made.fields()...); err != nil {
			return err
		}
		return s.outbox.Add(ctx, tx, "user.registered", a.id.String(), registeredEvent{UserID: a.id, Email: a.email})
	})
	if postgres.IsCode(err, postgres.UniqueViolation) {
		return account{}, errTaken
	}
	if err != nil {
		return account{}, fmt.Errorf("insert user: %w", err)
	}
	return made, nil
}

func (s store) byEmail(ctx context.Context, email string) (account, bool, error) {
	return s.one(ctx, `email = $1`, email)
}

// byID finds the user with id if identity is that user or privileged.
func (s store) byID(ctx context.Context, id uuid.UUID, identity auth.Identity) (account, bool, error) {
	return s.one(ctx, `user_id = $1 AND (user_id::text = $2 OR $3)`, id, identity.Subject, identity.Privileged())
}

// update changes the user with id if identity is that user or privileged, and tells what
// has changed.
func (s store) update(ctx context.Context, id uuid.UUID, identity auth.Identity, c changes) (account, bool, error) {
	var after account
	err := s.db.Write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		var before account
		err := tx.QueryRow(ctx, `SELECT `+columns+` FROM users WHERE user_id = $1 AND (user_id::text = $2 OR $3) FOR UPDATE`,
			id, identity.Subject, identity.Privileged()).Scan(before.fields()...)
		if err != nil {
			return err
		}
		after = before
		changed := c.apply(&after)
		if changed == (changes{}) {
			return nil
		}
		if _, err := tx.Exec(ctx, `UPDATE users SET first_name = $2, last_name = $3, email = $4 WHERE user_id = $1`,
			id, after.firstName, after.lastName, after.email); err != nil {
			return err
		}
		return s.outbox.Add(ctx, tx, "user.updated", id.String(), updatedEvent{UserID: id, Changes: changed})
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return account{}, false, nil
	}
	if postgres.IsCode(err, postgres.UniqueViolation) {
		return account{}, false, errTaken
	}
	if err != nil {
		return account{}, false, fmt.Errorf("update user: %w", err)
	}
	return after, true, nil
}

// remove removes the user with id, or returns errNotFound.
func (s store) remove(ctx context.Context, id uuid.UUID) error {
	err := s.db.Write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `DELETE FROM users WHERE user_id = $1`, id)
		if err == nil && tag.RowsAffected() == 0 {
			return errNotFound
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("delete user: %w", err)
	}
	return nil
}

// list returns a page of all users. Their ids are in the order of their registration.
func (s store) list(ctx context.Context, page httpx.Page) (users []account, err error) {
	err = s.db.Read(ctx, func(ctx context.Context, q postgres.Querier) error {
		rows, err := q.Query(ctx, `SELECT `+columns+` FROM users ORDER BY user_id LIMIT $1 OFFSET $2`, page.Limit, page.Offset())
		if err != nil {
			return err
		}
		users, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (account, error) {
			var a account
			return a, row.Scan(a.fields()...)
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("select users: %w", err)
	}
	return users, nil
}

const columns = `user_id, email, password_hash, first_name, last_name, role, created_at, idempotency_key`

func (a *account) fields() []any {
	return []any{&a.id, &a.email, &a.hash, &a.firstName, &a.lastName, &a.role, &a.createdAt, &a.key}
}

func (s store) one(ctx context.Context, where string, args ...any) (account, bool, error) {
	var a account
	err := s.db.Read(ctx, func(ctx context.Context, q postgres.Querier) error {
		return q.QueryRow(ctx, `SELECT `+columns+` FROM users WHERE `+where, args...).Scan(a.fields()...)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return account{}, false, nil
	}
	if err != nil {
		return account{}, false, fmt.Errorf("select user: %w", err)
	}
	return a, true, nil
}
