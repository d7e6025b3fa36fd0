// Package ingress is the language that tend and an ingress speak: one JSON value per
// line. Whoever speaks says everything each time, so that a lost line, a restart of
// either side and a second connection need no rule of their own.
package ingress

import (
	"errors"
	"fmt"
	"net/netip"
)

// Request is one line from tend. It carries either field.
type Request struct {
	// Config is all that the ingress is to do from now on.
	Config *Config `json:"config,omitempty"`
	// Upgrade is the path of an executable in the ingress's container that takes the
	// place of the running one, with its listeners.
	Upgrade string `json:"upgrade,omitempty"`
}

// Protocol is what clients and replicas speak.
type Protocol string

// The protocols.
const (
	TCP  Protocol = "tcp"
	HTTP Protocol = "http" // HTTP/1.1, and HTTP/2 without TLS
)

// State is what an endpoint is for.
type State string

// The states of an endpoint.
const (
	Ready    State = "ready"    // it is given new connections and requests
	Draining State = "draining" // it keeps those it has
)

// Config is what an ingress does.
type Config struct {
	// Generation is tend's number for this configuration, a new one each time. The
	// ingress reports it back and does not compare it: the configuration that comes
	// last holds.
	Generation int64    `json:"generation"`
	Protocol   Protocol `json:"protocol"`
	// ProxyProtocol has each connection to a replica begin with a header of the PROXY
	// protocol, version 2, that tells the client's address. It is for TCP alone.
	ProxyProtocol bool       `json:"proxyProtocol,omitempty"`
	Endpoints     []Endpoint `json:"endpoints"`
}

// Endpoint is one replica as the ingress reaches it.
type Endpoint struct {
	// ID tells this replica from any other that ever has the same address.
	ID string `json:"id"`
	// Address is IP:PORT, or an IP address alone: then the port is the one that the
	// client's connection came in at, as in a range of ports.
	Address string `json:"address"`
	State   State  `json:"state"`
}

// AddrPort returns the address. Its port is 0 where it is the one that a client's
// connection came in at.
func (e Endpoint) AddrPort() (netip.AddrPort, error) {
	if ip, err := netip.ParseAddr(e.Address); err == nil {
		return netip.AddrPortFrom(ip, 0), nil
	}
	return netip.ParseAddrPort(e.Address)
}

// Validate reports what an ingress could not do.
func (c Config) Validate() error {
	switch c.Protocol {
	case TCP:
	case HTTP:
		if c.ProxyProtocol {
			return errors.New("proxyProtocol is for the protocol tcp; http has X-Forwarded-For")
		}
	default:
		return fmt.Errorf("protocol %q is neither tcp nor http", c.Protocol)
	}
	seen := map[string]bool{}
	for _, e := range c.Endpoints {
		if e.ID == "" || seen[e.ID] {
			return fmt.Errorf("endpoint %q at %s: the id must be there and be its own", e.ID, e.Address)
		}
		seen[e.ID] = true
		if _, err := e.AddrPort(); err != nil {
			return fmt.Errorf("endpoint %s: %w", e.ID, err)
		}
		if e.State != Ready && e.State != Draining {
			return fmt.Errorf("endpoint %s: state %q is neither ready nor draining", e.ID, e.State)
		}
	}
	return nil
}
