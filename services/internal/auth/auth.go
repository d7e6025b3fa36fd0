// Package auth issues and checks the JSON Web Tokens by which people and
// services prove who they are.
package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/tendhq/tend/services/internal/config"
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

const (
	issuer = "shop"
	// minSecret is the length of SHA-256's output: RFC 7518, section 3.2.
	minSecret = 32
	// ServiceTokenLifetime bounds the use of a service's token.
	ServiceTokenLifetime = time.Minute
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

type claims struct {
	Role Role `json:"role"`
	jwt.RegisteredClaims
}

// Tokens issues and verifies tokens signed with one secret.
type Tokens struct {
	secret []byte
	parser *jwt.Parser
}

// TokensFromEnv reads the secret from JWT_SECRET_FILE.
func TokensFromEnv(env *config.Env) *Tokens {
	secret := env.Secret("JWT_SECRET_FILE")
	if secret == "" {
		return nil
	}
	tokens, err := NewTokens([]byte(secret))
	if err != nil {
		env.Fail("JWT_SECRET_FILE: %w", err)
	}
	return tokens
}

// NewTokens returns Tokens for a secret of at least 32 bytes.
func NewTokens(secret []byte) (*Tokens, error) {
	if len(secret) < minSecret {
		return nil, fmt.Errorf("the secret has %d bytes, want at least %d", len(secret), minSecret)
	}
	return &Tokens{
		secret: secret,
		// The algorithm is pinned, so that a token cannot choose its own (RFC 8725, section 3.1).
		parser: jwt.NewParser(
			jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}),
			jwt.WithIssuer(issuer),
			jwt.WithExpirationRequired(),
			jwt.WithIssuedAt(),
			jwt.WithLeeway(5*time.Second),
		),
	}, nil
}

// Issue returns a token for id that expires after lifetime.
func (t *Tokens) Issue(id Identity, lifetime time.Duration) (string, error) {
	now := time.Now()
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims{
		Role: id.Role,
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer:    issuer,
			Subject:   id.Subject,
			IssuedAt:  jwt.NewNumericDate(now),
			ExpiresAt: jwt.NewNumericDate(now.Add(lifetime)),
		},
	}).SignedString(t.secret)
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	return token, nil
}

// Verify returns the identity that a valid token proves.
func (t *Tokens) Verify(token string) (Identity, error) {
	var c claims
	_, err := t.parser.ParseWithClaims(token, &c, func(*jwt.Token) (any, error) { return t.secret, nil })
	if err != nil {
		return Identity{}, err
	}
	if c.Subject == "" {
		return Identity{}, errors.New("token has no subject")
	}
	switch c.Role {
	case Customer, Admin, Service:
		return Identity{Subject: c.Subject, Role: c.Role}, nil
	}
	return Identity{}, fmt.Errorf("token has the unknown role %q", c.Role)
}

type contextKey struct{}

// Require lets only requests with a valid bearer token pass.
func (t *Tokens) Require(next http.Handler) http.Handler {
	return httpx.Handler(func(w http.ResponseWriter, r *http.Request) error {
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if !strings.EqualFold(scheme, "Bearer") || token == "" {
			w.Header().Set("WWW-Authenticate", `Bearer realm="shop"`)
			return httpx.NewProblem(http.StatusUnauthorized, "send the header Authorization: Bearer TOKEN; POST /api/users/login gives a token")
		}
		id, err := t.Verify(token)
		if err != nil {
			w.Header().Set("WWW-Authenticate", `Bearer realm="shop", error="invalid_token"`)
			return httpx.NewProblem(http.StatusUnauthorized, "the token is invalid or has expired; log in again")
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), contextKey{}, id)))
		return nil
	})
}

// RequirePrivileged lets only administrators and services pass. It comes after Require.
func RequirePrivileged(next http.Handler) http.Handler {
	return httpx.Handler(func(w http.ResponseWriter, r *http.Request) error {
		if !From(r.Context()).Privileged() {
			return httpx.NewProblem(http.StatusForbidden, "this takes the role admin")
		}
		next.ServeHTTP(w, r)
		return nil
	})
}

// From returns the identity that Require found; the zero Identity has no rights.
func From(ctx context.Context) Identity {
	id, _ := ctx.Value(contextKey{}).(Identity)
	return id
}
