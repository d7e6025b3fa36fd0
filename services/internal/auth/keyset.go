package auth

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/MicahParks/jwkset"
)

// KeysPath is where an issuer publishes its keys, as a JSON Web Key Set.
const KeysPath = "/.well-known/jwks.json"

const (
	// refreshPeriod is how soon a new key is known, and a removed one refused.
	refreshPeriod = time.Minute
	retryPeriod   = time.Second
	fetchTimeout  = 3 * time.Second
)

// UnavailableError reports that an issuer's keys are not known and could not be
// asked for.
type UnavailableError struct {
	Issuer string
	Err    error
}

func (e *UnavailableError) Error() string {
	return "keys of " + e.Issuer + " unavailable: " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *UnavailableError) Unwrap() error { return e.Err }

// Temporary tells callers that trying again later is worthwhile.
func (e *UnavailableError) Temporary() bool { return true }

// keySet holds an issuer's public keys.
type keySet struct {
	issuer string
	fetch  FetchKeys
	known  atomic.Pointer[fetched]
	// fetching has room for the one who fetches, and holds up nobody who needs a known key.
	fetching chan struct{}
}

// fetched is what came of the last attempt, and the keys that are known since.
type fetched struct {
	asked time.Time
	keys  map[string]ed25519.PublicKey
	err   error
}

func newKeySet(issuer string, fetch FetchKeys) *keySet {
	s := &keySet{issuer: issuer, fetch: fetch, fetching: make(chan struct{}, 1)}
	s.known.Store(&fetched{})
	return s
}

// get returns the key with id. Where it is unknown, the issuer is asked: once in a
// second for all who wait, as anybody may write any id into a token.
func (s *keySet) get(ctx context.Context, id string) (ed25519.PublicKey, error) {
	for arrived := time.Now(); ; {
		known := s.known.Load()
		if key, ok := known.keys[id]; ok {
			return key, nil
		}
		if known.asked.After(arrived) {
			if known.err != nil {
				return nil, &UnavailableError{Issuer: s.issuer, Err: known.err}
			}
			return nil, fmt.Errorf("%s has no key %q", s.issuer, id)
		}
		select {
		case <-time.After(time.Until(known.asked.Add(retryPeriod))):
		case <-ctx.Done():
			return nil, &UnavailableError{Issuer: s.issuer, Err: ctx.Err()}
		}
		// Others wait for the outcome too, so that one who leaves does not end it.
		_ = s.refresh(context.WithoutCancel(ctx)) // known has the error
	}
}

// refresh asks the issuer for its keys, unless somebody just did. Those known remain
// where it does not answer.
func (s *keySet) refresh(ctx context.Context) error {
	s.fetching <- struct{}{}
	defer func() { <-s.fetching }()
	before := s.known.Load()
	if time.Since(before.asked) < retryPeriod {
		return before.err
	}
	asked := time.Now()
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	keys, err := s.fetch(ctx)
	if err != nil {
		keys = before.keys
	}
	s.known.Store(&fetched{asked: asked, keys: keys, err: err})
	return err
}

// ParseKeys returns the Ed25519 keys of a JSON Web Key Set (RFC 7517).
func ParseKeys(document []byte) (map[string]ed25519.PublicKey, error) {
	var set jwkset.JWKSMarshal
	if err := json.Unmarshal(document, &set); err != nil {
		return nil, fmt.Errorf("read key set: %w", err)
	}
	parsed, err := set.JWKSlice()
	if err != nil {
		return nil, fmt.Errorf("read key set: %w", err)
	}
	keys := map[string]ed25519.PublicKey{}
	for _, jwk := range parsed {
		if key, ok := jwk.Key().(ed25519.PublicKey); ok {
			keys[jwk.Marshal().KID] = key
		}
	}
	return keys, nil
}

// KeySet returns keys as a JSON Web Key Set.
func KeySet(keys map[string]ed25519.PublicKey) (jwkset.JWKSMarshal, error) {
	set := jwkset.JWKSMarshal{Keys: []jwkset.JWKMarshal{}}
	for id, key := range keys {
		jwk, err := jwkset.NewJWKFromKey(key, jwkset.JWKOptions{
			Metadata: jwkset.JWKMetadataOptions{ALG: jwkset.AlgEdDSA, KID: id, USE: jwkset.UseSig},
		})
		if err != nil {
			return jwkset.JWKSMarshal{}, fmt.Errorf("key set: %w", err)
		}
		set.Keys = append(set.Keys, jwk.Marshal())
	}
	return set, nil
}
