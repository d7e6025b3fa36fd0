package user

import (
	"context"
	"fmt"
	"runtime"

	"github.com/alexedwards/argon2id"
)

// params are OWASP's minimum for argon2id: 19 MiB, two passes, one lane.
var params = &argon2id.Params{Memory: 19 * 1024, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}

// passwords hashes and compares passwords, as many at a time as there are
// processors: more would only take memory.
type passwords struct {
	slots chan struct{}
	// decoy is compared with where there is no account.
	decoy string
}

func newPasswords() (*passwords, error) {
	decoy, err := argon2id.CreateHash("", params)
	if err != nil {
		return nil, fmt.Errorf("hash password: %w", err)
	}
	return &passwords{slots: make(chan struct{}, runtime.GOMAXPROCS(0)), decoy: decoy}, nil
}

// hash returns the password's hash in the PHC string format.
func (p *passwords) hash(ctx context.Context, password string) (string, error) {
	release, err := p.acquire(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	hash, err := argon2id.CreateHash(password, params)
	if err != nil {
		return "", fmt.Errorf("hash password: %w", err)
	}
	return hash, nil
}

// matches compares a password with a hash; with no hash it takes the time and
// reports false.
func (p *passwords) matches(ctx context.Context, password, hash string) (bool, error) {
	release, err := p.acquire(ctx)
	if err != nil {
		return false, err
	}
	defer release()
	known := hash != ""
	if !known {
		hash = p.decoy
	}
	match, err := argon2id.ComparePasswordAndHash(password, hash)
	if err != nil {
		return false, fmt.Errorf("compare password: %w", err)
	}
	return match && known, nil
}

func (p *passwords) acquire(ctx context.Context) (release func(), err error) {
	select {
	case p.slots <- struct{}{}:
		return func() { <-p.slots }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for a processor to hash a password: %w", ctx.Err())
	}
}
