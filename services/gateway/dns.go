package main

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"go.uber.org/zap"
)

const (
	// dnsRefresh is how long an answer, good or bad, is used. Docker's own
	// records live for 10 minutes, far too long to follow scaling.
	dnsRefresh = time.Second
	// dnsTimeout bounds a lookup. Docker answers at once for a running service,
	// but asks the host's resolvers for the name of one without replicas.
	dnsTimeout = 2 * time.Second
)

func init() {
	caddy.RegisterModule(&dnsUpstreams{})
}

// dnsUpstreams is an upstream source: every IPv4 address that a service's name
// resolves to. In the Caddyfile:
//
//	dynamic dns HOST:PORT
//
// Caddy's own source (dynamic a) looks names up under one lock and without a
// time limit, so that a service without replicas stalls the others for as long
// as the host's resolvers take; here each service has its own lock and limit.
type dnsUpstreams struct {
	// Address is the service's HOST:PORT.
	Address string `json:"address"`

	host, port string
	ctx        context.Context
	logger     *zap.Logger

	mu        sync.Mutex
	expires   time.Time
	addresses []netip.Addr // sorted, so that taking turns is even
}

// CaddyModule implements caddy.Module.
func (*dnsUpstreams) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.reverse_proxy.upstreams.dns",
		New: func() caddy.Module { return new(dnsUpstreams) },
	}
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler.
func (u *dnsUpstreams) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the source's name
	if !d.AllArgs(&u.Address) {
		return d.ArgErr()
	}
	return nil
}

// Provision implements caddy.Provisioner.
func (u *dnsUpstreams) Provision(ctx caddy.Context) (err error) {
	u.ctx, u.logger = ctx, ctx.Logger()
	u.host, u.port, err = net.SplitHostPort(u.Address)
	return err
}

// GetUpstreams implements reverseproxy.UpstreamSource. A failed lookup means no
// upstreams: the proxy then holds the request for lb_try_duration.
func (u *dnsUpstreams) GetUpstreams(*http.Request) ([]*reverseproxy.Upstream, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if time.Now().After(u.expires) {
		u.refresh()
	}
	upstreams := make([]*reverseproxy.Upstream, len(u.addresses))
	for i, address := range u.addresses {
		upstreams[i] = &reverseproxy.Upstream{Dial: net.JoinHostPort(address.String(), u.port)}
	}
	return upstreams, nil
}

// refresh looks the service up; u.mu is held, so that its requests share the answer.
func (u *dnsUpstreams) refresh() {
	ctx, cancel := context.WithTimeout(u.ctx, dnsTimeout)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip4", u.host)
	u.expires = time.Now().Add(dnsRefresh)
	if err != nil {
		u.logger.Error("service lookup failed", zap.String("service", u.Address), zap.Error(err))
	}
	slices.SortFunc(addresses, netip.Addr.Compare)
	if !slices.Equal(addresses, u.addresses) {
		u.addresses = addresses
		u.logger.Info("service addresses changed", zap.String("service", u.Address), zap.Stringers("addresses", addresses))
	}
}

var (
	_ caddy.Provisioner           = (*dnsUpstreams)(nil)
	_ caddyfile.Unmarshaler       = (*dnsUpstreams)(nil)
	_ reverseproxy.UpstreamSource = (*dnsUpstreams)(nil)
)
