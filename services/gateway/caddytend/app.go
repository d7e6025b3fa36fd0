// Package caddytend makes Caddy's reverse proxy follow tend: requests go to the
// replicas that tend has published as ready, and a replica is told to stop only
// after the last request to it has ended.
//
// It adds four modules. In a Caddyfile:
//
//	{
//		tend {
//			url        http://tend:7071  # tend's read-only listener; empty: only fallbacks
//			token_file FILE              # with tend's read token; empty: tend wants none
//			subscriber NAME              # unique for each Caddy; default: the host's name
//		}
//	}
//
//	reverse_proxy {
//		dynamic tend WORKLOAD {
//			network  NAME       # as in compose.yaml; needed when replicas have several
//			port     PORT       # needed when replicas have several
//			fallback HOST:PORT  # a name to look up while tend has not told of WORKLOAD
//		}
//		transport tend {
//			# the options of transport http
//		}
//		request_buffers 1MiB
//		lb_policy       least_conn
//		lb_try_duration 20s  # how long a request waits for a replica
//		lb_retry_match {
//			repeatable
//		}
//	}
//
// With lb_try_duration, requests wait while a workload has no endpoint, and one
// that reached no replica goes to another, whatever its method. [Repeatable]
// says which requests may be sent again after they were sent.
//
// Replicas that failed a moment ago, or answered 503 with Retry-After, are passed
// over while others are left; Caddy's own passive health checks (fail_duration) should stay off:
// they count a client's broken upload as the replica's failure, and answer 503
// when every replica has failed once.
package caddytend

import (
	"context"
	"fmt"
	"net/url"
	"os"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
)

func init() {
	caddy.RegisterModule(new(App))
	httpcaddyfile.RegisterGlobalOption("tend", parseGlobalOption)
}

// App follows one tend for all upstream sources of a configuration. What it
// knows lives in memory: after a reload it asks tend again.
type App struct {
	// URL is tend's read-only listener. Empty means that there is no tend:
	// upstream sources then use their fallbacks.
	URL string `json:"url,omitempty"`
	// TokenFile holds tend's read token. It is read for each query, so that a
	// rotated token is used at once.
	TokenFile string `json:"token_file,omitempty"`
	// Subscriber is the name under which tend waits for this Caddy. It must be
	// unique among those that follow the same tend. Default: the host's name,
	// which in a container is unique and survives its restart.
	Subscriber string `json:"subscriber,omitempty"`

	follower *follower // nil without URL
	stop     context.CancelFunc
	stopped  chan struct{}
}

// CaddyModule implements caddy.Module.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "tend", New: func() caddy.Module { return new(App) }}
}

func parseGlobalOption(d *caddyfile.Dispenser, _ any) (any, error) {
	app := new(App)
	if err := app.UnmarshalCaddyfile(d); err != nil {
		return nil, err
	}
	return httpcaddyfile.App{Name: "tend", Value: caddyconfig.JSON(app, nil)}, nil
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler.
func (a *App) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the option's name
	return parseBlock(d, map[string]*string{"url": &a.URL, "token_file": &a.TokenFile, "subscriber": &a.Subscriber})
}

// Provision implements caddy.Provisioner.
func (a *App) Provision(ctx caddy.Context) error {
	if a.URL == "" {
		return nil
	}
	base, err := url.Parse(a.URL)
	if err != nil {
		return fmt.Errorf("url of tend: %w", err)
	}
	if base.Scheme != "http" && base.Scheme != "https" || base.Host == "" {
		return fmt.Errorf("url of tend: %q is not like http://tend:7071", a.URL)
	}
	if a.Subscriber == "" {
		if a.Subscriber, err = os.Hostname(); err != nil {
			return fmt.Errorf("name of this subscriber: %w", err)
		}
	}
	a.follower = newFollower(base, a.TokenFile, a.Subscriber, ctx.Logger())
	return nil
}

// Start implements caddy.App.
func (a *App) Start() error {
	if a.follower == nil {
		return nil
	}
	ctx, stop := context.WithCancel(context.Background())
	a.stop, a.stopped = stop, make(chan struct{})
	go func() {
		defer close(a.stopped)
		a.follower.run(ctx)
	}()
	return nil
}

// Stop implements caddy.App. Requests in flight go on with what is known.
func (a *App) Stop() error {
	if a.stop != nil {
		a.stop()
		<-a.stopped
	}
	return nil
}

// parseBlock reads a block of options that have one value each.
func parseBlock(d *caddyfile.Dispenser, options map[string]*string) error {
	if d.NextArg() {
		return d.ArgErr()
	}
	for d.NextBlock(0) {
		value, ok := options[d.Val()]
		if !ok {
			return d.Errf("unrecognized option %q", d.Val())
		}
		if !d.AllArgs(value) {
			return d.ArgErr()
		}
	}
	return nil
}

var (
	_ caddy.App             = (*App)(nil)
	_ caddy.Provisioner     = (*App)(nil)
	_ caddyfile.Unmarshaler = (*App)(nil)
)
