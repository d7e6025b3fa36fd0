// Package breaker keeps callers from waiting for a service that has been away for a
// while: its circuit breakers refuse at once a call that would most likely fail later.
package breaker

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sony/gobreaker/v2"
	"go.uber.org/zap"
)

// Settings say when a breaker opens, and for how long.
type Settings struct {
	// Failures is how many calls in a row must have failed, and Lasting from the
	// first of them to the last, for the breaker to open.
	Failures uint32
	Lasting  time.Duration
	// Open is how long it refuses every call. Then it lets one through: if that
	// succeeds it closes, else it stays open for as long again.
	Open time.Duration
}

var (
	// Service is for calls to another service. Such a call fails only after its
	// own attempts have, and a rolling update, a database's switch or a replica
	// that is replaced are all over within Lasting: they open no breaker, and so
	// lose no request that patience would have saved.
	Service = Settings{Failures: 5, Lasting: 10 * time.Second, Open: time.Second}
	// Optional is for servers that a service can do without: a cache, or a search engine that
	// the database can replace. Waiting for one a second time costs more than it can give.
	Optional = Settings{Failures: 1, Open: time.Second}
)

// Breaker is a circuit breaker. Its methods may be called concurrently.
type Breaker struct {
	breaker *gobreaker.CircuitBreaker[[]byte]
}

// OpenError reports that a call was not made, as the breaker is open.
type OpenError struct{ Target string }

func (e *OpenError) Error() string {
	return "not asked: " + e.Target + " has failed for a while (circuit breaker open)"
}

// CallerError is the error of a call that its caller broke off. It says nothing
// of the target, so a breaker does not count it.
type CallerError struct{ Err error }

func (e *CallerError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *CallerError) Unwrap() error { return e.Err }

// New returns the breaker of calls to target, of whose errors failed says which
// are the target's failures. The metric circuit_breaker_state shows its state.
func New(target string, settings Settings, failed func(error) bool, registerer prometheus.Registerer, log *zap.Logger) *Breaker {
	var failingSince time.Time // guarded by the breaker, which calls the functions below under its lock
	b := &Breaker{gobreaker.NewCircuitBreaker[[]byte](gobreaker.Settings{
		Name:    target,
		Timeout: settings.Open,
		IsExcluded: func(err error) bool {
			var callers *CallerError
			return errors.As(err, &callers)
		},
		IsSuccessful: func(err error) bool {
			if err == nil || !failed(err) {
				failingSince = time.Time{}
				return true
			}
			if failingSince.IsZero() {
				failingSince = time.Now()
			}
			return false
		},
		ReadyToTrip: func(counts gobreaker.Counts) bool {
			return counts.ConsecutiveFailures >= settings.Failures && time.Since(failingSince) >= settings.Lasting
		},
		OnStateChange: func(_ string, from, to gobreaker.State) {
			log.Warn("circuit breaker changed", zap.String("target", target), zap.Stringer("from", from), zap.Stringer("to", to))
		},
	})}
	registerer.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name:        "circuit_breaker_state",
		Help:        "State of the circuit breaker: 0 closed, 1 half-open, 2 open.",
		ConstLabels: prometheus.Labels{"target": target},
	}, func() float64 { return float64(b.breaker.State()) }))
	return b
}

// Do makes the call, unless the breaker is open: then it returns an *OpenError.
func (b *Breaker) Do(call func() ([]byte, error)) ([]byte, error) {
	result, err := b.breaker.Execute(call)
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		return nil, &OpenError{Target: b.breaker.Name()}
	}
	return result, err
}
