package caddytend

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"go.uber.org/zap"
)

func init() {
	caddy.RegisterModule(new(Upstreams))
}

// poolVar names the request variable by which [Upstreams] tells [Transport] the
// pool that the request's upstream is of.
const poolVar = "tend.pool"

// Upstreams is an upstream source: the endpoints of a workload of tend. While
// tend has not told of the workload, they are what Fallback resolves to.
type Upstreams struct {
	// Workload is the Compose service's name.
	Workload string `json:"workload"`
	// Network is the Compose network whose addresses are used. It may be left
	// out when the replicas are in one only.
	Network string `json:"network,omitempty"`
	// Port is the port of the replicas. It may be left out when they have one only.
	Port string `json:"port,omitempty"`
	// Fallback is the HOST:PORT used while tend has not told of the workload.
	// Without it, requests wait for tend.
	Fallback string `json:"fallback,omitempty"`

	logger   *zap.Logger
	follower *follower // nil without tend
	fallback *resolver // nil without Fallback
	pool     *pool
	traffic  traffic
}

// CaddyModule implements caddy.Module.
func (*Upstreams) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.reverse_proxy.upstreams.tend",
		New: func() caddy.Module { return new(Upstreams) },
	}
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler.
func (u *Upstreams) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the source's name
	if !d.Args(&u.Workload) {
		return d.ArgErr()
	}
	return parseBlock(d, map[string]*string{"network": &u.Network, "port": &u.Port, "fallback": &u.Fallback})
}

// Provision implements caddy.Provisioner.
func (u *Upstreams) Provision(ctx caddy.Context) error {
	u.logger = ctx.Logger().With(zap.String("workload", u.Workload))
	if u.Port != "" {
		if _, err := strconv.ParseUint(u.Port, 10, 16); err != nil {
			return fmt.Errorf("port of %s: %w", u.Workload, err)
		}
	}
	if u.Fallback != "" {
		host, port, err := net.SplitHostPort(u.Fallback)
		if err != nil {
			return fmt.Errorf("fallback of %s: %w", u.Workload, err)
		}
		u.fallback = &resolver{ctx: ctx, host: host, port: port}
	}
	app, err := ctx.App("tend")
	if err != nil {
		return err
	}
	u.follower = app.(*App).follower
	if u.follower == nil {
		if u.fallback == nil {
			return fmt.Errorf("%s has neither a tend to follow nor a fallback: set url in the global option tend, or fallback", u.Workload)
		}
		u.pool = new(pool)
		return nil
	}
	u.pool = &pool{drained: u.follower.drained}
	u.follower.add(u)
	return nil
}

// GetUpstreams implements reverseproxy.UpstreamSource. No upstreams makes the
// proxy hold the request for lb_try_duration.
func (u *Upstreams) GetUpstreams(r *http.Request) ([]*reverseproxy.Upstream, error) {
	u.traffic.begin(r.Context())
	addresses, told, failing := u.pool.available()
	if told && failing && u.fallback != nil && u.follower.outdated() {
		u.logger.Warn("tend is away and no endpoint it told of can be reached; using the fallback")
		u.pool.leaveToFallback()
		told = false
	}
	if !told && u.fallback != nil && (u.follower == nil || !u.follower.pending()) {
		u.lookUp()
		addresses, _, _ = u.pool.available()
	}
	// New ones each time: the proxy writes into them.
	upstreams := make([]*reverseproxy.Upstream, len(addresses))
	for i, address := range addresses {
		upstreams[i] = &reverseproxy.Upstream{Dial: address}
	}
	caddyhttp.SetVar(r.Context(), poolVar, u.pool)
	return upstreams, nil
}

// lookUp makes the pool what the fallback resolves to.
func (u *Upstreams) lookUp() {
	addresses, fresh, err := u.fallback.lookup()
	if err != nil {
		u.logger.Error("lookup of the fallback failed", zap.String("fallback", u.Fallback), zap.Error(err))
	}
	if !fresh {
		return
	}
	replicas := make([]replica, len(addresses))
	for i, address := range addresses {
		replicas[i] = replica{address: address}
	}
	if u.pool.publishFallback(replicas) {
		u.logger.Info("endpoints changed", zap.String("source", "DNS"), zap.Strings("addresses", addresses))
	}
}

// apply takes the workload's endpoints from tend's answer. A workload that tend
// does not name is left to the fallback.
func (u *Upstreams) apply(got answer) {
	answered, named := got.Workloads[u.Workload]
	if !named && u.fallback != nil {
		u.pool.leaveToFallback()
		return
	}
	replicas := make([]replica, 0, len(answered))
	for _, a := range answered {
		address, err := u.address(a)
		if err != nil {
			u.logger.Error("an endpoint cannot be used", zap.String("replica", a.Replica), zap.Error(err))
			continue
		}
		replicas = append(replicas, replica{address: address, name: a.Replica, revision: a.Revision})
	}
	if u.pool.publish(got.Index, replicas) {
		u.logger.Info("endpoints changed", zap.String("source", "tend"), zap.Uint64("index", got.Index), zap.Any("endpoints", answered))
	}
}

// address is where a replica is reached.
func (u *Upstreams) address(a answeredReplica) (string, error) {
	ip, port := a.Addresses[u.Network], u.Port
	if u.Network == "" {
		if len(a.Addresses) != 1 {
			return "", fmt.Errorf("it has addresses in %d networks; set network to one of %q",
				len(a.Addresses), slices.Sorted(maps.Keys(a.Addresses)))
		}
		for _, ip = range a.Addresses {
		}
	}
	if ip == "" {
		return "", fmt.Errorf("it has no address in network %q, only in %q", u.Network, slices.Sorted(maps.Keys(a.Addresses)))
	}
	if port == "" {
		if len(a.Ports) != 1 {
			return "", fmt.Errorf("it has the ports %v; set port to one of them", a.Ports)
		}
		port = strconv.Itoa(a.Ports[0])
	}
	if net.ParseIP(ip) == nil {
		return "", errors.New("its address is no IP address")
	}
	return net.JoinHostPort(ip, port), nil
}

var (
	_ caddy.Provisioner           = (*Upstreams)(nil)
	_ caddyfile.Unmarshaler       = (*Upstreams)(nil)
	_ reverseproxy.UpstreamSource = (*Upstreams)(nil)
)
