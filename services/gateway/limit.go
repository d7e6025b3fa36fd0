package main

import (
	"fmt"
	"net"
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"golang.org/x/net/netutil"
)

func init() {
	caddy.RegisterModule(maxConnections{})
}

// maxConnections is a listener wrapper that bounds the connections a server has at
// once; further ones wait in the kernel until one of them ends.
type maxConnections struct {
	Number int `json:"number"`
}

// CaddyModule implements caddy.Module.
func (maxConnections) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.listeners.max_connections", New: func() caddy.Module { return new(maxConnections) }}
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler.
func (m *maxConnections) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the wrapper's name
	var number string
	if !d.AllArgs(&number) {
		return d.ArgErr()
	}
	var err error
	m.Number, err = strconv.Atoi(number)
	if err != nil {
		return d.Errf("max_connections is %q, want a number", number)
	}
	return nil
}

// Validate implements caddy.Validator.
func (m *maxConnections) Validate() error {
	if m.Number < 1 {
		return fmt.Errorf("max_connections is %d, want at least 1", m.Number)
	}
	return nil
}

// WrapListener implements caddy.ListenerWrapper.
func (m *maxConnections) WrapListener(l net.Listener) net.Listener {
	return netutil.LimitListener(l, m.Number)
}

var (
	_ caddy.ListenerWrapper = (*maxConnections)(nil)
	_ caddy.Validator       = (*maxConnections)(nil)
	_ caddyfile.Unmarshaler = (*maxConnections)(nil)
)
