package caddytend

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() {
	caddy.RegisterModule(Repeatable{})
}

// clientFailedVar names the request variable by which [Transport] says that the
// client did not deliver the request's body.
const clientFailedVar = "tend.client_failed"

// Repeatable matches requests that may be sent again although a replica may
// have received them: those with a safe method (RFC 9110, 9.2.1) or an
// Idempotency-Key. PUT and DELETE are idempotent by the book, but not in every
// application. One whose body the client did not deliver is never sent again.
//
// It is meant for lb_retry_match, with request_buffers large enough that the
// body can be sent twice.
type Repeatable struct{}

// CaddyModule implements caddy.Module.
func (Repeatable) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.matchers.repeatable", New: func() caddy.Module { return new(Repeatable) }}
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler.
func (*Repeatable) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the matcher's name
	if d.NextArg() {
		return d.ArgErr()
	}
	return nil
}

// MatchWithError implements caddyhttp.RequestMatcherWithError.
func (Repeatable) MatchWithError(r *http.Request) (bool, error) {
	if failed, _ := caddyhttp.GetVar(r.Context(), clientFailedVar).(bool); failed {
		return false, nil
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true, nil
	}
	return r.Header.Get("Idempotency-Key") != "", nil
}

var (
	_ caddyfile.Unmarshaler             = (*Repeatable)(nil)
	_ caddyhttp.RequestMatcherWithError = Repeatable{}
)
