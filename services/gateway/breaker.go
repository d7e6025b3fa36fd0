package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/sony/gobreaker/v2"
	"go.uber.org/zap"
)

func init() {
	caddy.RegisterModule(new(breaker))
	httpcaddyfile.RegisterHandlerDirective("circuit_breaker", directive(func() handlerModule { return new(breaker) }))
	httpcaddyfile.RegisterDirectiveOrder("circuit_breaker", httpcaddyfile.Before, "reverse_proxy")
}

// A request fails only after it has waited for a replica or an answer. What is replaced or
// restarted is back by then, opens no breaker, and so loses no request that patience saves.
const (
	// breakerFailures is how many requests in a row must have failed, and breakerLasting from
	// the first of them to the last, for a breaker to open.
	breakerFailures = 5
	breakerLasting  = 10 * time.Second
	// breakerOpen is how long it refuses every request before it lets one try.
	breakerOpen = time.Second
)

// breaker answers at once for a service that has not answered for a while, and has one
// request at a time try whether it does again. Without it each request waits as long as the
// gateway holds one, and those to other services find no connection any more.
type breaker struct {
	// Service is the name of what is called. All handlers of a service are one breaker.
	Service string `json:"service"`

	circuit *circuit
}

// CaddyModule implements caddy.Module.
func (*breaker) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.circuit_breaker", New: func() caddy.Module { return new(breaker) }}
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler.
func (b *breaker) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive
	if !d.AllArgs(&b.Service) {
		return d.ArgErr()
	}
	return nil
}

// circuits are the breakers in use, by service.
var circuits = caddy.NewUsagePool()

// circuit is what the handlers of a service share.
type circuit struct {
	*gobreaker.TwoStepCircuitBreaker[any]
}

// Destruct implements caddy.Destructor.
func (circuit) Destruct() error { return nil }

// Provision implements caddy.Provisioner.
func (b *breaker) Provision(ctx caddy.Context) error {
	shared, _, err := circuits.LoadOrNew(b.Service, func() (caddy.Destructor, error) { return newCircuit(b.Service, ctx.Logger()), nil })
	if err != nil {
		return err
	}
	b.circuit = shared.(*circuit)
	err = ctx.GetMetricsRegistry().Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name:        "circuit_breaker_state",
		Help:        "State of the circuit breaker: 0 closed, 1 half-open, 2 open.",
		ConstLabels: prometheus.Labels{"target": b.Service},
	}, func() float64 { return float64(b.circuit.State()) }))
	if errors.As(err, new(prometheus.AlreadyRegisteredError)) {
		return nil // by the same service's handler of another port
	}
	return err
}

// Cleanup implements caddy.CleanerUpper.
func (b *breaker) Cleanup() error {
	_, err := circuits.Delete(b.Service)
	return err
}

func newCircuit(service string, log *zap.Logger) *circuit {
	var failingSince time.Time // guarded by the breaker, which calls the functions below under its lock
	return &circuit{gobreaker.NewTwoStepCircuitBreaker[any](gobreaker.Settings{
		Name:       service,
		Timeout:    breakerOpen,
		IsExcluded: func(err error) bool { return errors.Is(err, context.Canceled) },
		IsSuccessful: func(err error) bool {
			if err == nil {
				failingSince = time.Time{}
				return true
			}
			if failingSince.IsZero() {
				failingSince = time.Now()
			}
			return false
		},
		ReadyToTrip: func(counts gobreaker.Counts) bool {
			return counts.ConsecutiveFailures >= breakerFailures && time.Since(failingSince) >= breakerLasting
		},
		OnStateChange: func(_ string, from, to gobreaker.State) {
			log.Warn("circuit breaker changed", zap.String("target", service), zap.Stringer("from", from), zap.Stringer("to", to))
		},
	})}
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (b *breaker) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) (err error) {
	done, err := b.circuit.Allow()
	if err != nil {
		w.Header().Set("Retry-After", "1")
		return caddyhttp.Error(http.StatusServiceUnavailable, fmt.Errorf("%s has not answered for a while: %w", b.Service, err))
	}
	var once sync.Once
	ended := func(err error) { once.Do(func() { done(err) }) }
	defer func() {
		if r.Context().Err() != nil {
			ended(context.Canceled) // the client has left, which says nothing of the service
		}
		ended(err)
	}()
	return next.ServeHTTP(&answering{&caddyhttp.ResponseWriterWrapper{ResponseWriter: w}, ended}, r)
}

// answering tells of an answer when it begins: a stream may last for minutes.
type answering struct {
	*caddyhttp.ResponseWriterWrapper
	ended func(error)
}

// WriteHeader implements http.ResponseWriter.
func (a *answering) WriteHeader(status int) {
	if status >= http.StatusOK {
		a.ended(nil)
	}
	a.ResponseWriterWrapper.WriteHeader(status)
}

var (
	_ caddy.Provisioner           = (*breaker)(nil)
	_ caddy.CleanerUpper          = (*breaker)(nil)
	_ caddyhttp.MiddlewareHandler = (*breaker)(nil)
)
