package caddytend

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// avoidance is how long an endpoint that failed is passed over while the
	// workload has others. It bridges the time until tend has noticed.
	avoidance = 5 * time.Second
	// drainLimit is how long requests to a withdrawn endpoint hold back the
	// acknowledgement, so that an endless download does not do so for ever.
	// tend's own drainSeconds is usually shorter.
	drainLimit = 30 * time.Second
)

// replica is what makes an endpoint the same one in the next answer: another
// container that is given the same address is another endpoint.
type replica struct {
	address        string // HOST:PORT
	name, revision string // empty for an address from DNS
}

// endpoint is an address that requests may be sent to. The pool's mutex guards it.
type endpoint struct {
	replica
	requests   int       // in flight
	avoidUntil time.Time // it failed: the others come first until then
	withdrawn  bool
	index      uint64    // of the answer that withdrew it
	since      time.Time // withdrawn since

	// gone ends once the endpoint is withdrawn and its last request has ended.
	gone context.Context
	end  context.CancelFunc
}

// pool holds the endpoints of one workload and counts the requests to each, so
// that it is known when the last request to a withdrawn endpoint has ended.
type pool struct {
	// drained is told, without waiting, when a withdrawn endpoint has no request left.
	drained chan<- struct{}

	mu        sync.Mutex
	told      bool        // the endpoints come from tend, not from DNS
	endpoints []*endpoint // by address
	draining  []*endpoint // withdrawn, with requests in flight
}

// publish makes replicas the endpoints of tend's answer with that index, and reports
// whether anything changed. When it returns, no new request can begin at another
// endpoint.
func (p *pool) publish(index uint64, replicas []replica) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.told = true
	return p.replace(index, replicas)
}

// publishFallback does the same for addresses from DNS, unless tend has told meanwhile.
func (p *pool) publishFallback(replicas []replica) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.told && p.replace(0, replicas)
}

// leaveToFallback makes the pool follow DNS from here on. Its endpoints stay
// until they are replaced.
func (p *pool) leaveToFallback() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.told = false
}

func (p *pool) replace(index uint64, replicas []replica) (changed bool) {
	next := make([]*endpoint, 0, len(replicas))
	for _, r := range replicas {
		if i := slices.IndexFunc(p.endpoints, func(e *endpoint) bool { return e.replica == r }); i >= 0 {
			next = append(next, p.endpoints[i])
			continue
		}
		e := &endpoint{replica: r}
		e.gone, e.end = context.WithCancel(context.Background())
		next = append(next, e)
		changed = true
	}
	for _, e := range p.endpoints {
		if slices.Contains(next, e) {
			continue
		}
		changed = true
		e.withdrawn, e.index, e.since = true, index, time.Now()
		if e.requests == 0 {
			e.end()
			continue
		}
		p.draining = append(p.draining, e)
	}
	// Sorted, so that taking turns is even.
	slices.SortFunc(next, func(a, b *endpoint) int { return cmp.Compare(a.address, b.address) })
	p.endpoints = next
	return changed
}

// available lists the addresses for a new request. Those that failed a moment
// ago are among them only when all did: trying beats refusing.
func (p *pool) available() (addresses []string, told, failing bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for _, e := range p.endpoints {
		if now.After(e.avoidUntil) {
			addresses = append(addresses, e.address)
		}
	}
	if addresses != nil {
		return addresses, p.told, false
	}
	for _, e := range p.endpoints {
		addresses = append(addresses, e.address)
	}
	return addresses, p.told, true
}

// acquire begins a request to address. It returns nil when the endpoint has
// been withdrawn since the address was chosen.
func (p *pool) acquire(address string) *endpoint {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.endpoints {
		if e.address == address {
			e.requests++
			return e
		}
	}
	return nil
}

// release ends a request to e.
func (p *pool) release(e *endpoint) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e.requests--
	if !e.withdrawn || e.requests > 0 {
		return
	}
	e.end()
	p.draining = slices.DeleteFunc(p.draining, func(d *endpoint) bool { return d == e })
	select {
	case p.drained <- struct{}{}:
	default:
	}
}

// avoid notes that e has failed a request.
func (p *pool) avoid(e *endpoint) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e.avoidUntil = time.Now().Add(avoidance)
}

// inForce is the newest index, at most index, whose answer holds for every
// request: none is in flight to an endpoint that it or an older one withdrew.
func (p *pool) inForce(index uint64) uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.draining {
		if time.Since(e.since) < drainLimit {
			index = min(index, max(e.index, 1)-1)
		}
	}
	return index
}

// restartIndex makes what is draining count as withdrawn by index, from which
// tend counts anew.
func (p *pool) restartIndex(index uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.draining {
		e.index = index
	}
}
