package proxy

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/tendhq/tend/ingress"
)

const (
	// holdLimit is how long a connection or a request waits for an endpoint.
	holdLimit = 30 * time.Second
	// maxHeld is how many wait at the same time.
	maxHeld = 4096
	// firstPause is how long an endpoint that failed is passed over; each further
	// failure doubles it, up to lastPause.
	firstPause = 50 * time.Millisecond
	lastPause  = time.Second
)

var (
	errHeldTooLong = errors.New("no replica was ready in time")
	errTooManyHeld = errors.New("too many wait for a replica already")
)

// endpoint is a replica with what is under way to it. The pool's mutex guards what is
// not a counter.
type endpoint struct {
	ingress.Endpoint
	counters

	address netip.AddrPort

	open     int
	removed  bool // no longer in the configuration
	failures int  // in a row
	// passedOver is until when others come first: it failed, or it is being tried for
	// the first time after it failed.
	passedOver time.Time

	upstream *upstream
}

// pool is the configuration in force and what is under way to its endpoints.
type pool struct {
	holdLimit time.Duration
	// drained is told, without waiting, when an endpoint that is given nothing new has
	// nothing left.
	drained chan struct{}

	mu        sync.Mutex
	config    ingress.Config
	endpoints map[string]*endpoint // those of the configuration and removed ones with something open
	ready     []*endpoint
	turn      int           // where the next choice among equals begins
	changed   chan struct{} // closed when what is held may look again
	held      int
	rest      counters         // what belongs to no endpoint
	gone      ingress.Counters // of endpoints that are no more
}

func newPool(holdLimit time.Duration) *pool {
	return &pool{
		holdLimit: holdLimit,
		drained:   make(chan struct{}, 1),
		endpoints: map[string]*endpoint{},
		changed:   make(chan struct{}),
	}
}

// apply puts a configuration in force. When it has returned, no choice falls on what
// the configuration withdrew.
func (p *pool) apply(config ingress.Config) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.config = config
	p.ready = nil
	for _, e := range p.endpoints {
		e.removed = true
	}
	for _, wanted := range config.Endpoints {
		e := p.endpoints[wanted.ID]
		if e == nil {
			e = &endpoint{}
			e.upstream = newUpstream(&e.counters)
			p.endpoints[wanted.ID] = e
		}
		if wanted.State == ingress.Ready {
			if e.State != ingress.Ready || e.Address != wanted.Address {
				e.failures, e.passedOver = 0, time.Time{}
			}
			p.ready = append(p.ready, e)
		}
		e.Endpoint, e.removed = wanted, false
		e.address, _ = wanted.AddrPort() // the holder has validated it
	}
	for _, e := range p.endpoints {
		if !e.chosen() {
			p.settle(e)
		}
	}
	p.wake()
}

// chosen reports whether e may be given something new.
func (e *endpoint) chosen() bool { return !e.removed && e.State == ingress.Ready }

// settle notes that e, which is given nothing new, may have nothing left.
func (p *pool) settle(e *endpoint) {
	e.upstream.closeIdle()
	if e.open > 0 {
		return
	}
	if e.removed {
		p.gone = p.gone.Plus(e.read())
		delete(p.endpoints, e.ID)
	}
	select {
	case p.drained <- struct{}{}:
	default:
	}
}

func (p *pool) wake() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// take chooses the endpoint of a new connection or request that came in at a port,
// counts it as open, and returns it with its address. While there is none it waits, at
// most until deadline.
func (p *pool) take(ctx context.Context, port uint16, deadline time.Time) (*endpoint, netip.AddrPort, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e, again := p.choose(time.Now())
	if e == nil {
		var err error
		if e, err = p.hold(ctx, again, deadline); err != nil {
			return nil, netip.AddrPort{}, err
		}
	}
	if e.address.Port() == 0 {
		return e, netip.AddrPortFrom(e.address.Addr(), port), nil
	}
	return e, e.address, nil
}

// hold waits until there is an endpoint to choose.
func (p *pool) hold(ctx context.Context, again, deadline time.Time) (e *endpoint, err error) {
	if p.held >= maxHeld {
		return nil, errTooManyHeld
	}
	p.held++
	defer func() { p.held-- }()
	for e == nil {
		if !time.Now().Before(deadline) {
			return nil, errHeldTooLong
		}
		if again.IsZero() || again.After(deadline) {
			again = deadline
		}
		if err := p.wait(ctx, again); err != nil {
			return nil, err
		}
		e, again = p.choose(time.Now())
	}
	return e, nil
}

// wait gives up the mutex until something has changed or t has come.
func (p *pool) wait(ctx context.Context, t time.Time) error {
	changed := p.changed
	p.mu.Unlock()
	defer p.mu.Lock()
	timer := time.NewTimer(time.Until(t))
	defer timer.Stop()
	select {
	case <-changed:
	case <-timer.C:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// choose returns the endpoint with the fewest open, or when it is worth to look again
// though nothing has changed.
func (p *pool) choose(now time.Time) (best *endpoint, again time.Time) {
	p.turn++
	for i := range p.ready {
		e := p.ready[(p.turn+i)%len(p.ready)]
		if e.passedOver.After(now) {
			if again.IsZero() || e.passedOver.Before(again) {
				again = e.passedOver
			}
			continue
		}
		if best == nil || e.open < best.open {
			best = e
		}
	}
	if best == nil {
		return nil, again
	}
	if best.failures > 0 { // one at a time finds out whether it works again
		best.passedOver = now.Add(dialTimeout)
	}
	best.open++
	return best, time.Time{}
}

// worked notes that e took a connection or answered.
func (p *pool) worked(e *endpoint) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.failures > 0 {
		e.failures, e.passedOver = 0, time.Time{}
		p.wake()
	}
}

// failed notes that e did not, and ends what was to be there.
func (p *pool) failed(e *endpoint) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e.passedOver = time.Now().Add(min(firstPause<<min(e.failures, 10), lastPause))
	e.failures++
	p.wake()
	p.end(e)
}

// release ends one connection or request to e.
func (p *pool) release(e *endpoint) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end(e)
}

func (p *pool) end(e *endpoint) {
	e.open--
	if !e.chosen() && e.open == 0 {
		p.settle(e)
	}
}

// protocol is what a new connection is taken to carry.
func (p *pool) protocol() ingress.Protocol {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.config.Protocol
}

func (p *pool) proxyProtocol() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.config.ProxyProtocol
}

// status tells what is under way.
func (p *pool) status() ingress.Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := ingress.Status{
		Generation: p.config.Generation,
		Held:       p.held,
		Total:      p.gone.Plus(p.rest.read()),
	}
	for _, e := range p.endpoints {
		total := e.read()
		s.Total = s.Total.Plus(total)
		s.Endpoints = append(s.Endpoints, ingress.EndpointStatus{ID: e.ID, Open: e.open, Total: total})
	}
	slices.SortFunc(s.Endpoints, func(a, b ingress.EndpointStatus) int { return cmp.Compare(a.ID, b.ID) })
	return s
}
