package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
)

const (
	// lookupInterval is how long an answer of the name server is used.
	lookupInterval = time.Second
	lookupTimeout  = 2 * time.Second
	// avoidance is how long a replica that failed comes after the others.
	avoidance = 5 * time.Second
)

// replicas are the addresses behind a service's name. The name server lists a
// replica as long as it has a container: also one that does not serve yet, or
// hangs. So the one that failed last is chosen last: the next attempt of a call
// goes to another, and the calls after it pay nothing.
type replicas struct {
	host, port string
	lookup     func(ctx context.Context, host string) ([]string, error)

	mu      sync.Mutex
	expires time.Time
	known   []*replica
}

type replica struct {
	address  string // HOST:PORT
	requests int    // in flight
	failedAt time.Time
	conn     *grpc.ClientConn // of gRPC, once a call needed it
	gone     bool             // the name server lists it no more
}

// leave closes the connection of a replica that is gone once nothing is in flight.
func (r *replica) leave() {
	if r.gone && r.requests == 0 && r.conn != nil {
		_ = r.conn.Close() // which fails only where it was closed before
	}
}

// failed is when the replica failed last, zero where that is long ago.
func (r *replica) failed() time.Time {
	if time.Since(r.failedAt) < avoidance {
		return r.failedAt
	}
	return time.Time{}
}

// acquire chooses where the next attempt goes. Its release must follow.
func (r *replicas) acquire(ctx context.Context) (*replica, error) {
	// Held also during the lookup, so that concurrent calls wait for one answer.
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.refresh(ctx); err != nil && len(r.known) == 0 {
		return nil, err
	}
	return choose(r.known), nil
}

// acquireOther chooses another replica than one at which an attempt is under way, nil where
// there is no other. Its release must follow.
func (r *replicas) acquireOther(than *replica) *replica {
	r.mu.Lock()
	defer r.mu.Unlock()
	others := slices.DeleteFunc(slices.Clone(r.known), func(known *replica) bool { return known == than })
	if len(others) == 0 {
		return nil
	}
	return choose(others)
}

// choose returns the best replica, and counts a request to it. There must be at least one.
func choose(known []*replica) *replica {
	worse := func(a, b *replica) bool {
		if order := a.failed().Compare(b.failed()); order != 0 {
			return order > 0
		}
		// One that hangs gathers requests, and so is given no more.
		return a.requests > b.requests
	}
	// From a random one on, so that equals take turns.
	first := rand.IntN(len(known))
	chosen := known[first]
	for i := range known {
		if other := known[(first+i)%len(known)]; worse(chosen, other) {
			chosen = other
		}
	}
	chosen.requests++
	return chosen
}

// abandon ends an attempt at a replica that was neither answered nor refused.
func (r *replicas) abandon(chosen *replica) {
	r.mu.Lock()
	defer r.mu.Unlock()
	chosen.requests--
	chosen.leave()
}

// release ends the attempt at chosen.
func (r *replicas) release(chosen *replica, failed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	chosen.requests--
	chosen.failedAt = time.Time{}
	if failed {
		chosen.failedAt = time.Now()
	}
	chosen.leave()
}

// connect returns the connection to a replica, made by dial at the first call.
func (r *replicas) connect(at *replica, dial func(address string) (*grpc.ClientConn, error)) (*grpc.ClientConn, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if at.conn == nil {
		conn, err := dial(at.address)
		if err != nil {
			return nil, err
		}
		at.conn = conn
	}
	return at.conn, nil
}

// close closes the connections to all replicas. No call may be in flight.
func (r *replicas) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.replace(nil)
}

// replace makes known the replicas that are known.
func (r *replicas) replace(known []*replica) {
	for _, old := range r.known {
		if !slices.Contains(known, old) {
			old.gone = true
			old.leave()
		}
	}
	r.known = known
}

// refresh looks the name up again when the last answer has expired. That the
// name is unknown is an answer; when none comes, what was known stays.
func (r *replicas) refresh(ctx context.Context) error {
	if time.Now().Before(r.expires) && len(r.known) > 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	hosts, err := r.lookup(ctx, r.host)
	r.expires = time.Now().Add(lookupInterval)
	var unknown *net.DNSError
	if err != nil && !(errors.As(err, &unknown) && unknown.IsNotFound) {
		return fmt.Errorf("look up the replicas: %w", err)
	}
	known := make([]*replica, 0, len(hosts))
	for _, host := range hosts {
		known = append(known, r.at(net.JoinHostPort(host, r.port)))
	}
	r.replace(known)
	if len(known) == 0 {
		return fmt.Errorf("no replica has the name %s", r.host)
	}
	return nil
}

// at returns the replica known at address, or a new one.
func (r *replicas) at(address string) *replica {
	for _, known := range r.known {
		if known.address == address {
			return known
		}
	}
	return &replica{address: address}
}
