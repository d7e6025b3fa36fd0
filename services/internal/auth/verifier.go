package auth

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Users is the service that issues people's tokens.
const Users = "user-service"

// Shop is the audience of people's tokens: every service. A service's token is for
// the one that it calls, which so cannot use it to call another.
const Shop = "shop"

type claims struct {
	Role Role `json:"role"`
	jwt.RegisteredClaims
}

// Verifier checks the tokens that one service gets.
type Verifier struct {
	service string
	users   *keySet
	callers map[string]*keySet
	parser  *jwt.Parser
}

// FetchKeys returns an issuer's public keys by their ids.
type FetchKeys func(context.Context) (map[string]ed25519.PublicKey, error)

// NewVerifier returns a Verifier for service, which takes the tokens of people that
// user-service issued, and those of its callers, by their names.
func NewVerifier(service string, users FetchKeys, callers map[string]FetchKeys) *Verifier {
	v := &Verifier{
		service: service,
		users:   newKeySet(Users, users),
		callers: map[string]*keySet{},
		// The algorithm is pinned, so that a token cannot choose its own (RFC 8725, section 3.1).
		parser: jwt.NewParser(
			jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}),
			jwt.WithExpirationRequired(),
			jwt.WithIssuedAt(),
			jwt.WithLeeway(leeway),
		),
	}
	for name, fetch := range callers {
		v.callers[name] = newKeySet(name, fetch)
	}
	return v
}

// leeway is how much the clocks of two machines may differ.
const leeway = 5 * time.Second

// Verify returns the identity that a valid token proves. That the issuer's keys
// could not be asked for is an *UnavailableError.
func (v *Verifier) Verify(ctx context.Context, token string) (Identity, error) {
	var c claims
	_, err := v.parser.ParseWithClaims(token, &c, func(t *jwt.Token) (any, error) {
		keys, err := v.issuer(c)
		if err != nil {
			return nil, err
		}
		id, _ := t.Header["kid"].(string)
		return keys.get(ctx, id)
	})
	if err != nil {
		return Identity{}, err
	}
	if c.Subject == "" {
		return Identity{}, errors.New("token has no subject")
	}
	audience := v.service
	if c.Role != Service {
		audience = Shop
	}
	if err := jwt.NewValidator(jwt.WithAudience(audience)).Validate(c); err != nil {
		return Identity{}, err
	}
	return Identity{Subject: c.Subject, Role: c.Role}, nil
}

// issuer returns the keys of the one who may issue a token with c: user-service for
// people, and each caller for itself.
func (v *Verifier) issuer(c claims) (*keySet, error) {
	switch c.Role {
	case Customer, Admin:
		if c.Issuer == Users {
			return v.users, nil
		}
	case Service:
		if keys, ok := v.callers[c.Issuer]; ok && c.Subject == c.Issuer {
			return keys, nil
		}
	}
	return nil, fmt.Errorf("%q may issue no token with the role %q for %q", c.Issuer, c.Role, c.Subject)
}

// Run keeps the issuers' keys at hand until ctx ends.
func (v *Verifier) Run(ctx context.Context) {
	for {
		wait := refreshPeriod
		for _, keys := range append(slices.Collect(maps.Values(v.callers)), v.users) {
			if keys.refresh(ctx) != nil {
				wait = retryPeriod
			}
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}
