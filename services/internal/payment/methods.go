package payment

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/tendhq/tend/services/internal/auth"
	"github.com/tendhq/tend/services/internal/httpx"
	"github.com/tendhq/tend/services/internal/postgres"
)

// maxMethods bounds the list of a user's payment methods.
const maxMethods = 20

var (
	errNoMethod = httpx.NewProblem(http.StatusNotFound, "you have no payment method with this id")
	token       = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{7,127}$`)
	digits      = regexp.MustCompile(`[0-9](?:[_-]?[0-9]){11,18}`)
	last4       = regexp.MustCompile(`^[0-9]{4}$`)
)

// method is a way to pay. Its token stays here: whoever reads the answer has no use for it.
type method struct {
	MethodID    uuid.UUID `json:"paymentMethodId"`
	Brand       string    `json:"brand"`
	Last4       string    `json:"last4"`
	ExpiryMonth int       `json:"expiryMonth"`
	ExpiryYear  int       `json:"expiryYear"`
	CreatedAt   time.Time `json:"createdAt"`
}

type newMethod struct {
	Token       string `json:"token"`
	Brand       string `json:"brand"`
	Last4       string `json:"last4"`
	ExpiryMonth int    `json:"expiryMonth"`
	ExpiryYear  int    `json:"expiryYear"`
}

func (m newMethod) fieldErrors(now time.Time) httpx.Fields {
	var fields httpx.Fields
	fields.Check(token.MatchString(m.Token) && !hasCardNumber(m.Token), "token",
		"must be the token that a card processor gave for the card: 8 to 128 letters, digits, _ and -, and never a card's number")
	fields.Check(m.Brand != "" && len(m.Brand) <= 30 && httpx.Printable(m.Brand) && !hasCardNumber(m.Brand), "brand", "must have 1 to 30 printable characters")
	fields.Check(last4.MatchString(m.Last4), "last4", "must be the last 4 digits")
	fields.Check(m.ExpiryMonth >= 1 && m.ExpiryMonth <= 12, "expiryMonth", "must be 1 to 12")
	year := now.Year()
	fields.Check(m.ExpiryYear >= year && m.ExpiryYear <= year+30, "expiryYear", fmt.Sprintf("must be %d to %d", year, year+30))
	return fields
}

// hasCardNumber reports whether s holds 12 to 19 digits whose last one is the check digit
// of the others (ISO/IEC 7812-1), as a card's number does.
func hasCardNumber(s string) bool {
	for _, found := range digits.FindAllString(s, -1) {
		if luhn(strings.NewReplacer("-", "", "_", "").Replace(found)) {
			return true
		}
	}
	return false
}

func luhn(number string) bool {
	sum := 0
	for i := range len(number) {
		digit := int(number[len(number)-1-i] - '0')
		if i%2 == 1 {
			digit *= 2
		}
		sum += digit/10 + digit%10
	}
	return sum%10 == 0
}

// payer returns the user who asks.
func payer(r *http.Request) (uuid.UUID, error) {
	id, err := httpx.ParseID(auth.From(r.Context()).Subject)
	if err != nil {
		return uuid.Nil, httpx.NewProblem(http.StatusForbidden, "only users have payment methods")
	}
	return id, nil
}

// addMethod stores a token of the caller's. The same token again changes what is known of it.
func (h handlers) addMethod(w http.ResponseWriter, r *http.Request) error {
	userID, err := payer(r)
	if err != nil {
		return err
	}
	var body newMethod
	if err := httpx.Decode(w, r, &body); err != nil {
		return err
	}
	if err := body.fieldErrors(time.Now()).Err(); err != nil {
		return err
	}
	m, err := h.store.addMethod(r.Context(), userID, body)
	if err != nil {
		return err
	}
	return httpx.WriteJSON(w, r, http.StatusCreated, m)
}

type methodList struct {
	Methods []method `json:"paymentMethods"`
}

func (h handlers) listMethods(w http.ResponseWriter, r *http.Request) error {
	userID, err := payer(r)
	if err != nil {
		return err
	}
	methods, err := h.store.methods(r.Context(), userID)
	if err != nil {
		return err
	}
	return httpx.WriteJSON(w, r, http.StatusOK, methodList{methods})
}

func (h handlers) removeMethod(w http.ResponseWriter, r *http.Request) error {
	userID, err := payer(r)
	if err != nil {
		return err
	}
	id, err := httpx.ParseID(chi.URLParam(r, "methodId"))
	if err != nil {
		return err
	}
	if err := h.store.removeMethod(r.Context(), id, userID); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

const methodColumns = `method_id, brand, last4, expiry_month, expiry_year, created_at`

func (s store) addMethod(ctx context.Context, userID uuid.UUID, m newMethod) (method, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return method{}, err
	}
	var stored method
	err = s.db.Write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx,
			`INSERT INTO payment_methods (method_id, user_id, token, brand, last4, expiry_month, expiry_year) VALUES ($1, $2, $3, $4, $5, $6, $7)
			ON CONFLICT (user_id, token) DO UPDATE SET brand = $4, last4 = $5, expiry_month = $6, expiry_year = $7
			RETURNING `+methodColumns, id, userID, m.Token, m.Brand, m.Last4, m.ExpiryMonth, m.ExpiryYear)
		if err != nil {
			return err
		}
		if stored, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[method]); err != nil {
			return err
		}
		var count int
		if err := tx.QueryRow(ctx, `SELECT count(*) FROM payment_methods WHERE user_id = $1`, userID).Scan(&count); err != nil {
			return err
		}
		if count > maxMethods {
			return httpx.NewProblem(http.StatusConflict, fmt.Sprintf("you have %d payment methods already; remove one first", maxMethods))
		}
		return nil
	})
	if err != nil {
		return method{}, fmt.Errorf("insert payment method: %w", err)
	}
	return stored, nil
}

func (s store) methods(ctx context.Context, userID uuid.UUID) (methods []method, err error) {
	err = s.db.Read(ctx, func(ctx context.Context, q postgres.Querier) error {
		rows, err := q.Query(ctx, `SELECT `+methodColumns+` FROM payment_methods WHERE user_id = $1 ORDER BY method_id`, userID)
		if err != nil {
			return err
		}
		methods, err = pgx.CollectRows(rows, pgx.RowToStructByPos[method])
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("select payment methods: %w", err)
	}
	return methods, nil
}

func (s store) removeMethod(ctx context.Context, id, userID uuid.UUID) error {
	err := s.db.Write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `DELETE FROM payment_methods WHERE method_id = $1 AND user_id = $2`, id, userID)
		if err == nil && tag.RowsAffected() == 0 {
			return errNoMethod
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("delete payment method: %w", err)
	}
	return nil
}
