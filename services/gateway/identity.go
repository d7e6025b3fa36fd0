package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/zap"
	"golang.org/x/time/rate"
)

func init() {
	caddy.RegisterModule(new(identity))
	httpcaddyfile.RegisterHandlerDirective("identity", directive(func() handlerModule { return new(identity) }))
	httpcaddyfile.RegisterDirectiveOrder("identity", httpcaddyfile.Before, "encode")
}

// The headers that say who a request comes from. No client's word counts for them.
const (
	userIDHeader   = "X-User-ID"
	userRoleHeader = "X-User-Role"
)

// handlerModule is a handler that a directive of the Caddyfile makes.
type handlerModule interface {
	caddyhttp.MiddlewareHandler
	caddyfile.Unmarshaler
}

// directive returns the parser of a directive whose handler reads itself.
func directive(make func() handlerModule) httpcaddyfile.UnmarshalHandlerFunc {
	return func(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		handler := make()
		return handler, handler.UnmarshalCaddyfile(h.Dispenser)
	}
}

// identity refuses requests with a token that is wrong, and tells the services who a
// request with a right one comes from. What it cannot judge, as the issuer has not told
// its keys yet, it leaves to the services, which check tokens themselves.
type identity struct {
	// Keys is the URL of the issuer's key set.
	Keys string `json:"keys"`

	keys   atomic.Pointer[keyfunc.Keyfunc] // nil until the issuer was asked
	parser *jwt.Parser
	log    *zap.Logger
}

// CaddyModule implements caddy.Module.
func (*identity) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.identity", New: func() caddy.Module { return new(identity) }}
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler.
func (i *identity) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive
	if !d.AllArgs(&i.Keys) {
		return d.ArgErr()
	}
	return nil
}

const (
	keysRefresh = time.Minute
	keysTimeout = 3 * time.Second
	clockLeeway = 5 * time.Second
)

// Provision implements caddy.Provisioner.
func (i *identity) Provision(ctx caddy.Context) error {
	i.log = ctx.Logger()
	// A start waits for no user-service.
	go i.follow(ctx)
	i.parser = jwt.NewParser(
		// The algorithm is pinned, so that a token cannot choose its own (RFC 8725, section 3.1).
		jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}),
		jwt.WithIssuer("user-service"), jwt.WithAudience("shop"),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(clockLeeway),
	)
	return nil
}

// follow keeps the issuer's keys at hand until ctx ends.
func (i *identity) follow(ctx context.Context) {
	later := true
	keys, err := keyfunc.NewDefaultOverrideCtx(ctx, []string{i.Keys}, keyfunc.Override{
		NoErrorReturnFirstHTTPReq: &later,
		HTTPTimeout:               keysTimeout,
		RefreshInterval:           keysRefresh,
		// Anybody may write any key's id into a token.
		RefreshUnknownKID: rate.NewLimiter(rate.Every(time.Second), 1),
		RateLimitWaitMax:  time.Millisecond,
	})
	if err != nil {
		i.log.Error("no token is checked here", zap.String("keys", i.Keys), zap.Error(err))
		return
	}
	i.keys.Store(&keys)
}

type claims struct {
	Role string `json:"role"`
	jwt.RegisteredClaims
}

// errNotJudged reports that the key of a token is not known.
var errNotJudged = errors.New("the key is not known")

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (i *identity) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	r.Header.Del(userIDHeader)
	r.Header.Del(userRoleHeader)
	scheme, token, found := strings.Cut(r.Header.Get("Authorization"), " ")
	if !found || !strings.EqualFold(scheme, "Bearer") {
		return next.ServeHTTP(w, r)
	}
	var c claims
	_, err := i.parser.ParseWithClaims(token, &c, func(t *jwt.Token) (any, error) {
		if c.Role != "customer" && c.Role != "admin" {
			return nil, fmt.Errorf("no token of the role %q comes from outside", c.Role)
		}
		keys := i.keys.Load()
		if keys == nil {
			return nil, errNotJudged
		}
		key, err := (*keys).KeyfuncCtx(r.Context())(t)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errNotJudged, err)
		}
		return key, nil
	})
	switch {
	case errors.Is(err, errNotJudged):
		i.log.Debug("token left to the services", zap.Error(err))
	case err != nil || c.Subject == "":
		w.Header().Set("WWW-Authenticate", `Bearer realm="shop", error="invalid_token"`)
		return caddyhttp.Error(http.StatusUnauthorized, err)
	default:
		r.Header.Set(userIDHeader, c.Subject)
		r.Header.Set(userRoleHeader, c.Role)
	}
	return next.ServeHTTP(w, r)
}

var (
	_ caddy.Provisioner = (*identity)(nil)
	_ handlerModule     = (*identity)(nil)
)
