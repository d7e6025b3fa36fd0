package user

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"net/http"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/text/language"

	"github.com/tendhq/tend/services/contracts"
	"github.com/tendhq/tend/services/internal/auth"
	"github.com/tendhq/tend/services/internal/httpx"
	"github.com/tendhq/tend/services/internal/postgres"
	"github.com/tendhq/tend/services/internal/server"
)

// defaultLocale is the locale of users who have named none.
const defaultLocale = "en"

// maxLocale is what a language tag needs at most (RFC 5646, section 4.4.1), in bytes.
const maxLocale = 35

//go:embed migrations/0000[1-7]_*.sql
var migrations110 embed.FS

//go:embed migrations/*.sql
var migrations120 embed.FS

// Service110 returns version 1.1.0 of user-service, which keeps the locale of each user. Its
// migration expands the schema by a column that version 1.0.0 can leave empty: both run
// during a rollout, and after one that was taken back.
func Service110() server.Service {
	service := Service
	service.Contract, service.Migrations = contracts.Of("1.1.0/user-service"), migrations110
	service.New = func(rt *server.Runtime) (*server.App, error) { return newHandlersApp(rt, true) }
	return service
}

// Service120 returns version 1.2.0 of user-service. Its migration contracts the schema: the
// column has a value in each row from then on, so that version 1.0.0 cannot register users.
func Service120() server.Service {
	service := Service110()
	service.Migrations = migrations120
	return service
}

// accepted returns the language that an Accept-Language header prefers, or the default.
func accepted(header string) string {
	tags, _, err := language.ParseAcceptLanguage(header)
	if err != nil || len(tags) == 0 || !validLocale(tags[0]) {
		return defaultLocale
	}
	return tags[0].String()
}

// validLocale reports whether tag names one language: "*" is read as mul, many languages.
func validLocale(tag language.Tag) bool {
	return tag != language.Und && tag != language.Make("mul") && len(tag.String()) <= maxLocale
}

type localeDocument struct {
	Locale string `json:"locale"`
}

func (h handlers) locale(w http.ResponseWriter, r *http.Request) error {
	return h.answerLocale(w, r, func(ctx context.Context, id uuid.UUID) (string, error) {
		return h.store.locale(ctx, id, auth.From(ctx))
	})
}

func (h handlers) replaceLocale(w http.ResponseWriter, r *http.Request) error {
	var body localeDocument
	if err := httpx.Decode(w, r, &body); err != nil {
		return err
	}
	tag, err := language.Parse(body.Locale)
	var fields httpx.Fields
	fields.Check(err == nil && validLocale(tag), "locale", "must be a language tag such as en or de-AT")
	if err := fields.Err(); err != nil {
		return err
	}
	return h.answerLocale(w, r, func(ctx context.Context, id uuid.UUID) (string, error) {
		return h.store.replaceLocale(ctx, id, auth.From(ctx), tag.String())
	})
}

func (h handlers) answerLocale(w http.ResponseWriter, r *http.Request, of func(context.Context, uuid.UUID) (string, error)) error {
	id, err := httpx.ParseID(chi.URLParam(r, "userId"))
	if err != nil {
		return err
	}
	locale, err := of(r.Context(), id)
	if errors.Is(err, pgx.ErrNoRows) {
		return errNotFound
	}
	if err != nil {
		return err
	}
	return httpx.WriteJSON(w, r, http.StatusOK, localeDocument{Locale: locale})
}

// locale returns that of the user with id if identity is that user or privileged. A user
// whom version 1.0.0 has registered has the default.
func (s store) locale(ctx context.Context, id uuid.UUID, identity auth.Identity) (locale string, err error) {
	err = s.db.Read(ctx, func(ctx context.Context, q postgres.Querier) error {
		return q.QueryRow(ctx, `SELECT coalesce(locale, $4) FROM users WHERE user_id = $1 AND (user_id::text = $2 OR $3)`,
			id, identity.Subject, identity.Privileged(), defaultLocale).Scan(&locale)
	})
	if err != nil {
		return "", fmt.Errorf("select locale: %w", err)
	}
	return locale, nil
}

func (s store) replaceLocale(ctx context.Context, id uuid.UUID, identity auth.Identity, locale string) (replaced string, err error) {
	err = s.db.Write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		return tx.QueryRow(ctx, `UPDATE users SET locale = $4 WHERE user_id = $1 AND (user_id::text = $2 OR $3) RETURNING locale`,
			id, identity.Subject, identity.Privileged(), locale).Scan(&replaced)
	})
	if err != nil {
		return "", fmt.Errorf("update locale: %w", err)
	}
	return replaced, nil
}
