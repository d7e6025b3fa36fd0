package user

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/tendhq/tend/services/internal/auth"
	"github.com/tendhq/tend/services/internal/httpx"
	"github.com/tendhq/tend/services/internal/postgres"
)

const (
	// maxAddresses bounds the list of a user's addresses.
	maxAddresses   = 20
	maxAddressLine = 200 // characters
	maxPostalCode  = 16  // characters
)

var (
	errNoAddress = httpx.NewProblem(http.StatusNotFound, "you have no address with this id")
	country      = regexp.MustCompile(`^[A-Z]{2}$`)
)

// address is where a user has things sent.
type address struct {
	AddressID uuid.UUID `json:"addressId"`
	newAddress
	CreatedAt time.Time `json:"createdAt"`
}

type newAddress struct {
	Recipient  string `json:"recipient"`
	Street     string `json:"street"`
	PostalCode string `json:"postalCode"`
	City       string `json:"city"`
	Country    string `json:"country"` // ISO 3166-1 alpha-2
}

type addressList struct {
	Addresses []address `json:"addresses"`
}

func (a *newAddress) normalise() {
	for _, line := range []*string{&a.Recipient, &a.Street, &a.PostalCode, &a.City, &a.Country} {
		*line = strings.TrimSpace(*line)
	}
}

func (a newAddress) validate() error {
	var fields httpx.Fields
	for _, line := range []struct{ field, value string }{{"recipient", a.Recipient}, {"street", a.Street}, {"city", a.City}} {
		fields.Check(line.value != "" && utf8.RuneCountInString(line.value) <= maxAddressLine && httpx.Printable(line.value),
			line.field, fmt.Sprintf("must have 1 to %d printable characters", maxAddressLine))
	}
	fields.Check(utf8.RuneCountInString(a.PostalCode) <= maxPostalCode && httpx.Printable(a.PostalCode),
		"postalCode", fmt.Sprintf("must have at most %d printable characters", maxPostalCode))
	fields.Check(country.MatchString(a.Country), "country", "must be the two capital letters of a country, such as GB")
	return fields.Err()
}

// self returns the id of the path's user if that is who asks: addresses are nobody else's
// business, not even an administrator's.
func self(r *http.Request) (uuid.UUID, error) {
	userID := chi.URLParam(r, "userId")
	if auth.From(r.Context()).Subject != userID {
		return uuid.Nil, errNotFound
	}
	return httpx.ParseID(userID)
}

// own returns the ids of the path's user, if that is who asks, and of the path's address.
func own(r *http.Request) (userID, addressID uuid.UUID, err error) {
	if userID, err = self(r); err != nil {
		return uuid.Nil, uuid.Nil, err
	}
	addressID, err = httpx.ParseID(chi.URLParam(r, "addressId"))
	return userID, addressID, err
}

func decodeAddress(w http.ResponseWriter, r *http.Request) (newAddress, error) {
	var body newAddress
	if err := httpx.Decode(w, r, &body); err != nil {
		return newAddress{}, err
	}
	body.normalise()
	return body, body.validate()
}

func (h handlers) addAddress(w http.ResponseWriter, r *http.Request) error {
	userID, err := self(r)
	if err != nil {
		return err
	}
	key, err := httpx.IdempotencyKey(r)
	if err != nil {
		return err
	}
	body, err := decodeAddress(w, r)
	if err != nil {
		return err
	}
	fingerprint, err := httpx.Fingerprint(body)
	if err != nil {
		return err
	}
	added, earlier, err := h.store.addAddress(r.Context(), userID, body, key, fingerprint)
	if err != nil {
		return err
	}
	if earlier != nil {
		if err := httpx.CheckReplay(w, earlier, fingerprint); err != nil {
			return err
		}
	}
	w.Header().Set("Location", r.URL.Path+"/"+added.AddressID.String())
	return httpx.WriteJSON(w, r, http.StatusCreated, added)
}

func (h handlers) listAddresses(w http.ResponseWriter, r *http.Request) error {
	userID, err := self(r)
	if err != nil {
		return err
	}
	addresses, err := h.store.addresses(r.Context(), userID)
	if err != nil {
		return err
	}
	return httpx.WriteJSON(w, r, http.StatusOK, addressList{addresses})
}

func (h handlers) replaceAddress(w http.ResponseWriter, r *http.Request) error {
	userID, addressID, err := own(r)
	if err != nil {
		return err
	}
	body, err := decodeAddress(w, r)
	if err != nil {
		return err
	}
	replaced, err := h.store.replaceAddress(r.Context(), userID, addressID, body)
	if err != nil {
		return err
	}
	return httpx.WriteJSON(w, r, http.StatusOK, replaced)
}

func (h handlers) removeAddress(w http.ResponseWriter, r *http.Request) error {
	userID, addressID, err := own(r)
	if err != nil {
		return err
	}
	if err := h.store.removeAddress(r.Context(), userID, addressID); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

const addressColumns = `address_id, recipient, street, postal_code, city, country, created_at`

func (a *address) fields() []any {
	return []any{&a.AddressID, &a.Recipient, &a.Street, &a.PostalCode, &a.City, &a.Country, &a.CreatedAt}
}

// addAddress adds an address to those of a user, or returns the one that was added with the
// same key and the fingerprint of the request that did so.
func (s store) addAddress(ctx context.Context, userID uuid.UUID, n newAddress, key *string, fingerprint []byte) (added address, earlier []byte, err error) {
	id, err := uuid.NewV7()
	if err != nil {
		return address{}, nil, err
	}
	err = s.db.Write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		earlier = nil
		// The lock makes additions of one user take turns, so that none slips past the limit.
		err := tx.QueryRow(ctx, `SELECT user_id FROM users WHERE user_id = $1 FOR UPDATE`, userID).Scan(&userID)
		if errors.Is(err, pgx.ErrNoRows) {
			return errNotFound
		}
		if err != nil {
			return err
		}
		err = tx.QueryRow(ctx, `SELECT fingerprint, `+addressColumns+` FROM addresses WHERE user_id = $1 AND idempotency_key = $2`, userID, key).
			Scan(append([]any{&earlier}, added.fields()...)...)
		if !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		var count int
		if err := tx.QueryRow(ctx, `SELECT count(*) FROM addresses WHERE user_id = $1`, userID).Scan(&count); err != nil {
			return err
		}
		if count >= maxAddresses {
			return httpx.NewProblem(http.StatusConflict, fmt.Sprintf("you have %d addresses already; remove one first", maxAddresses))
		}
		return tx.QueryRow(ctx,
			`INSERT INTO addresses (address_id, user_id, recipient, street, postal_code, city, country, idempotency_key, fingerprint)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING `+addressColumns,
			id, userID, n.Recipient, n.Street, n.PostalCode, n.City, n.Country, key, fingerprint).Scan(added.fields()...)
	})
	if err != nil {
		return address{}, nil, fmt.Errorf("insert address: %w", err)
	}
	return added, earlier, nil
}

func (s store) addresses(ctx context.Context, userID uuid.UUID) (addresses []address, err error) {
	err = s.db.Read(ctx, func(ctx context.Context, q postgres.Querier) error {
		rows, err := q.Query(ctx, `SELECT `+addressColumns+` FROM addresses WHERE user_id = $1 ORDER BY address_id`, userID)
		if err != nil {
			return err
		}
		addresses, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (address, error) {
			var a address
			return a, row.Scan(a.fields()...)
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("select addresses: %w", err)
	}
	return addresses, nil
}

func (s store) replaceAddress(ctx context.Context, userID, id uuid.UUID, n newAddress) (address, error) {
	var replaced address
	err := s.db.Write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		err := tx.QueryRow(ctx,
			`UPDATE addresses SET recipient = $3, street = $4, postal_code = $5, city = $6, country = $7
			WHERE address_id = $1 AND user_id = $2 RETURNING `+addressColumns,
			id, userID, n.Recipient, n.Street, n.PostalCode, n.City, n.Country).Scan(replaced.fields()...)
		if errors.Is(err, pgx.ErrNoRows) {
			return errNoAddress
		}
		return err
	})
	if err != nil {
		return address{}, fmt.Errorf("update address: %w", err)
	}
	return replaced, nil
}

func (s store) removeAddress(ctx context.Context, userID, id uuid.UUID) error {
	err := s.db.Write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `DELETE FROM addresses WHERE address_id = $1 AND user_id = $2`, id, userID)
		if err == nil && tag.RowsAffected() == 0 {
			return errNoAddress
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("delete address: %w", err)
	}
	return nil
}
