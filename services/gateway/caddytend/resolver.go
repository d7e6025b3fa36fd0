package caddytend

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	// lookupInterval is how long an answer, good or bad, is used. Docker's own
	// records live for 10 minutes, far too long to follow scaling.
	lookupInterval = time.Second
	// lookupTimeout bounds a lookup. Docker answers at once for a running service,
	// but asks the host's resolvers for the name of one without replicas.
	lookupTimeout = 2 * time.Second
)

// resolver looks up the IPv4 addresses of a name, at most once an interval.
//
// Caddy's own source (dynamic a) looks names up under one lock and without a
// time limit, so that a service without replicas stalls the others for as long
// as the host's resolvers take; here each service has its own lock and limit.
type resolver struct {
	ctx        context.Context
	host, port string

	mu      sync.Mutex
	expires time.Time
	trouble string // what the last lookup met
}

// lookup returns the addresses as HOST:PORT, if fresh: the last answer has
// expired, and there is one. That the name does not exist is an answer, silence
// is none: the addresses known before may still be good. An error is returned
// once, until there is another one or none: requests look up all the time.
func (r *resolver) lookup() (addresses []string, fresh bool, err error) {
	// Held meanwhile, so that concurrent requests wait for one answer.
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Now().Before(r.expires) {
		return nil, false, nil
	}
	ctx, cancel := context.WithTimeout(r.ctx, lookupTimeout)
	defer cancel()
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip4", r.host)
	r.expires = time.Now().Add(lookupInterval)
	var unknown *net.DNSError
	fresh = err == nil || errors.As(err, &unknown) && unknown.IsNotFound
	before := r.trouble
	if r.trouble = ""; err != nil {
		r.trouble = err.Error()
	}
	if r.trouble == before {
		err = nil
	}
	if !fresh {
		return nil, false, err
	}
	slices.SortFunc(found, netip.Addr.Compare)
	for _, address := range found {
		addresses = append(addresses, net.JoinHostPort(address.String(), r.port))
	}
	return addresses, true, err
}
