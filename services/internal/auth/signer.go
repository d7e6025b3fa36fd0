package auth

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"github.com/tendhq/tend/services/internal/httpx"
	"github.com/tendhq/tend/services/internal/postgres"
)

const (
	// UserTokenLifetime bounds the use of a person's token.
	UserTokenLifetime = time.Hour
	// ServiceTokenLifetime bounds the use of a service's token.
	ServiceTokenLifetime = time.Minute

	// keyPeriod is how long after one key the next is made.
	keyPeriod = 30 * 24 * time.Hour
	// announced is how long a new key is published before it signs, so that everybody
	// has heard of it.
	announced = 5 * refreshPeriod
	// outlives is how long after its successor a key is there: until the successor
	// signs, the last token of the old one has ended, and some more.
	outlives = announced + UserTokenLifetime + 5*refreshPeriod
)

// Signer issues a service's tokens, with keys that it keeps in the service's own
// database (the table signing_keys): all replicas share them, and no other service
// can read them. It makes the first key and each next one by itself.
type Signer struct {
	issuer string
	db     *postgres.DB
	key    atomic.Pointer[signingKey]
}

type signingKey struct {
	id  string
	key ed25519.PrivateKey
}

// NewSigner returns a Signer for the service issuer.
func NewSigner(issuer string, db *postgres.DB) *Signer {
	return &Signer{issuer: issuer, db: db}
}

// IssueUser returns a token for a person.
func (s *Signer) IssueUser(ctx context.Context, id Identity) (string, error) {
	return s.issue(ctx, id, Shop, UserTokenLifetime)
}

// IssueService returns a token by which the service itself calls another.
func (s *Signer) IssueService(ctx context.Context, target string) (string, error) {
	return s.issue(ctx, Identity{Subject: s.issuer, Role: Service}, target, ServiceTokenLifetime)
}

func (s *Signer) issue(ctx context.Context, id Identity, audience string, lifetime time.Duration) (string, error) {
	if s.key.Load() == nil {
		if err := s.rotate(ctx); err != nil {
			return "", err
		}
	}
	key := s.key.Load()
	return Sign(key.id, key.key, s.issuer, id, lifetime, audience)
}

// Sign returns a token that issuer signs with the key of an id.
func Sign(keyID string, key ed25519.PrivateKey, issuer string, id Identity, lifetime time.Duration, audience ...string) (string, error) {
	now := time.Now()
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims{
		Role: id.Role,
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer:    issuer,
			Subject:   id.Subject,
			Audience:  audience,
			IssuedAt:  jwt.NewNumericDate(now),
			ExpiresAt: jwt.NewNumericDate(now.Add(lifetime)),
		},
	})
	token.Header["kid"] = keyID
	signed, err := token.SignedString(key)
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	return signed, nil
}

// Run makes new keys in time and removes old ones, until ctx ends.
func (s *Signer) Run(ctx context.Context, log *zap.Logger) {
	for {
		wait := refreshPeriod
		if err := s.rotate(ctx); err != nil && ctx.Err() == nil {
			log.Warn("signing keys not looked after", zap.Error(err))
			wait = retryPeriod
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

// rotate makes a key where the newest is too old or there is none, removes those
// whose tokens have ended, and takes up the newest that was announced. The lock
// makes the replicas take turns, and the time is the database's.
func (s *Signer) rotate(ctx context.Context) error {
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	seed := make([]byte, ed25519.SeedSize)
	_, _ = rand.Read(seed) // never fails
	err = s.db.Write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		for _, step := range []struct {
			statement string
			args      []any
		}{
			{`LOCK TABLE signing_keys IN EXCLUSIVE MODE`, nil}, // which lets others read
			{`INSERT INTO signing_keys (key_id, seed)
				SELECT $1, $2 WHERE NOT EXISTS (SELECT FROM signing_keys WHERE created_at > now() - $3::interval)`,
				[]any{id, seed, keyPeriod}},
			{`DELETE FROM signing_keys AS old USING signing_keys AS next
				WHERE next.created_at > old.created_at AND next.created_at <= now() - $1::interval`,
				[]any{outlives}},
		} {
			if _, err := tx.Exec(ctx, step.statement, step.args...); err != nil {
				return err
			}
		}
		// The newest of those announced, else the oldest: the first key signs at once.
		return tx.QueryRow(ctx,
			`SELECT key_id, seed FROM signing_keys
			ORDER BY greatest(created_at, now() - $1::interval), created_at DESC LIMIT 1`, announced).Scan(&id, &seed)
	})
	if err != nil {
		return fmt.Errorf("rotate signing keys: %w", err)
	}
	s.key.Store(&signingKey{id: id.String(), key: ed25519.NewKeyFromSeed(seed)})
	return nil
}

// Public returns the public keys of all tokens that may still be valid.
func (s *Signer) Public(ctx context.Context) (map[string]ed25519.PublicKey, error) {
	keys := map[string]ed25519.PublicKey{}
	err := s.db.Read(ctx, func(ctx context.Context, q postgres.Querier) error {
		rows, err := q.Query(ctx, `SELECT key_id, seed FROM signing_keys`)
		if err != nil {
			return err
		}
		var id uuid.UUID
		var seed []byte
		_, err = pgx.ForEachRow(rows, []any{&id, &seed}, func() error {
			keys[id.String()] = ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
			return nil
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("select signing keys: %w", err)
	}
	return keys, nil
}

// ServeKeys answers with the public keys, as a JSON Web Key Set.
func (s *Signer) ServeKeys(w http.ResponseWriter, r *http.Request) error {
	keys, err := s.Public(r.Context())
	if err != nil {
		return err
	}
	set, err := KeySet(keys)
	if err != nil {
		return err
	}
	return httpx.WriteJSON(w, r, http.StatusOK, set)
}
