// Package auth issues and checks the JSON Web Tokens by which people and
// services prove who they are.
//
// user-service issues those of people, and each service that calls others its own.
// An issuer signs with keys that nobody else has (Signer); who checks a token asks
// the issuer that it names for its public keys (Verifier), and takes from an issuer
// only what that one may say.
package auth

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/tendhq/tend/services/internal/httpx"
)

// Role is what a token allows.
type Role string

// The roles. Services act for themselves when they complete an order, as the
// customer's token may have expired by then.
const (
	Customer Role = "customer"
	Admin    Role = "admin"
	Service  Role = "service"
)

// Identity is who a request comes from.
type Identity struct {
	Subject string
	Role    Role
}

// Privileged reports whether the identity may act on other people's data.
func (i Identity) Privileged() bool {
	return i.Role == Admin || i.Role == Service
}

type contextKey struct{}

// Authenticate returns the identity that the value of an Authorization header proves. It
// fails with a problem (401), or with an *UnavailableError.
func (v *Verifier) Authenticate(ctx context.Context, authorization string) (Identity, error) {
	scheme, token, _ := strings.Cut(authorization, " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return Identity{}, errNoToken
	}
	id, err := v.Verify(ctx, token)
	var unavailable *UnavailableError
	if errors.As(err, &unavailable) {
		return Identity{}, unavailable
	}
	if err != nil {
		return Identity{}, errBadToken
	}
	return id, nil
}

var (
	errNoToken  = httpx.NewProblem(http.StatusUnauthorized, "send the header Authorization: Bearer TOKEN; POST /api/users/login gives a token")
	errBadToken = httpx.NewProblem(http.StatusUnauthorized, "the token is invalid or has expired; log in again")
)

// Require lets only requests with a valid bearer token pass.
func (v *Verifier) Require(next http.Handler) http.Handler {
	return httpx.Handler(func(w http.ResponseWriter, r *http.Request) error {
		id, err := v.Authenticate(r.Context(), r.Header.Get("Authorization"))
		switch {
		case errors.Is(err, errNoToken):
			w.Header().Set("WWW-Authenticate", `Bearer realm="shop"`)
		case errors.Is(err, errBadToken):
			w.Header().Set("WWW-Authenticate", `Bearer realm="shop", error="invalid_token"`)
		}
		if err != nil {
			return err
		}
		next.ServeHTTP(w, r.WithContext(NewContext(r.Context(), id)))
		return nil
	})
}

// NewContext returns a context in which From finds id.
func NewContext(ctx context.Context, id Identity) context.Context {
	return context.WithValue(ctx, contextKey{}, id)
}

// RequireService lets only services pass. It comes after Require.
func RequireService(next http.Handler) http.Handler {
	return httpx.Handler(func(w http.ResponseWriter, r *http.Request) error {
		if From(r.Context()).Role != Service {
			return httpx.NewProblem(http.StatusForbidden, "only services may do this")
		}
		next.ServeHTTP(w, r)
		return nil
	})
}

// RequirePrivileged lets only administrators and services pass. It comes after Require.
func RequirePrivileged(next http.Handler) http.Handler {
	return httpx.Handler(func(w http.ResponseWriter, r *http.Request) error {
		if !From(r.Context()).Privileged() {
			return ErrNotPrivileged
		}
		next.ServeHTTP(w, r)
		return nil
	})
}

// ErrNotPrivileged refuses those who are neither administrators nor services.
var ErrNotPrivileged = httpx.NewProblem(http.StatusForbidden, "this takes the role admin")

// From returns the identity that Require found; the zero Identity has no rights.
func From(ctx context.Context) Identity {
	id, _ := ctx.Value(contextKey{}).(Identity)
	return id
}
