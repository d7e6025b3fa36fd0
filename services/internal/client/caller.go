package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/cenkalti/backoff/v5"
	"go.uber.org/zap"

	"github.com/tendhq/tend/services/internal/breaker"
	"github.com/tendhq/tend/services/internal/logging"
	"github.com/tendhq/tend/services/internal/metrics"
)

// caller makes calls of one service, whatever their protocol: it limits how many are under
// way, tries several times, with growing and random pauses, each time at another replica,
// and gives up at once while the breaker is open. The breaker counts calls that all
// attempts could not save.
type caller struct {
	target   string
	issue    Issue
	metrics  *metrics.Metrics
	replicas replicas
	breaker  *breaker.Breaker
	turns    chan struct{} // has one for each call in flight
	budget   budget
	reads    waits
}

// newCaller returns the caller of a service at host and port. name is the one of its
// breaker, of which each has its own.
func newCaller(target, name, host, port string, issue Issue, m *metrics.Metrics, log *zap.Logger) caller {
	return caller{
		target: target, issue: issue, metrics: m,
		replicas: replicas{host: host, port: port, lookup: net.DefaultResolver.LookupHost},
		breaker:  breaker.New(name, breaker.Service, unanswered, m.Registerer, log),
		turns:    make(chan struct{}, inFlight),
		budget:   budget{left: maxBudget},
	}
}

// unanswered reports whether a call failed for want of an answer.
func unanswered(err error) bool {
	var unavailable *UnavailableError
	return errors.As(err, &unavailable)
}

// attempt is one attempt of a call, at a replica. It returns the answer and its HTTP status,
// which is 0 where no whole answer came; a refusal comes with why.
type attempt func(ctx context.Context, at *replica) (answer []byte, status int, err error)

// call makes the call: attempt is called until one is answered, of a read also twice at the
// same time. method is for the metrics.
func (c *caller) call(ctx context.Context, method string, read bool, attempt attempt) ([]byte, error) {
	leave, err := c.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	once := c.once
	if read {
		once = c.hedged
	}
	answer, err := c.breaker.Do(func() ([]byte, error) {
		return c.try(ctx, func() ([]byte, error) { return once(ctx, method, attempt) })
	})
	var open *breaker.OpenError
	if errors.As(err, &open) {
		c.metrics.ObserveRefusal(c.target, "breaker")
		return nil, &UnavailableError{Service: c.target, Err: err}
	}
	return answer, err
}

// enter waits for the call's turn, and returns what ends it.
func (c *caller) enter(ctx context.Context) (leave func(), err error) {
	timer := time.NewTimer(queueing)
	defer timer.Stop()
	select {
	case c.turns <- struct{}{}:
		return func() { <-c.turns }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("call %s: %w", c.target, ctx.Err())
	case <-timer.C:
		c.metrics.ObserveRefusal(c.target, "bulkhead")
		return nil, &UnavailableError{Service: c.target, Err: fmt.Errorf("%d calls are under way already", inFlight)}
	}
}

// try makes attempts until one is answered. That the caller has left, or gave no
// attempt the time it takes to fail, is a *breaker.CallerError.
func (c *caller) try(ctx context.Context, once func() ([]byte, error)) ([]byte, error) {
	c.budget.earn()
	var failure *UnavailableError // of the last attempt that failed on its own
	answer, err := backoff.Retry(ctx, func() ([]byte, error) {
		answer, err := once()
		if ctx.Err() == nil {
			errors.As(err, &failure)
		}
		var permanent *backoff.PermanentError
		if err != nil && !errors.As(err, &permanent) && !c.budget.spend() {
			c.metrics.ObserveRefusal(c.target, "budget")
			err = backoff.Permanent(err)
		}
		return answer, err
	}, backoff.WithBackOff(newPauses()), backoff.WithMaxTries(attempts), backoff.WithMaxElapsedTime(patience))
	switch {
	case err == nil || ctx.Err() == nil:
		return answer, err
	case failure != nil && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return nil, failure
	}
	return nil, &breaker.CallerError{Err: fmt.Errorf("call %s: %w", c.target, err)}
}

// once makes one attempt.
func (c *caller) once(ctx context.Context, method string, attempt attempt) ([]byte, error) {
	at, err := c.replicas.acquire(ctx)
	if err != nil {
		return nil, &UnavailableError{Service: c.target, Err: err}
	}
	return c.settle(ctx, method, c.attempt(ctx, at, attempt))
}

// outcome is what came of an attempt at a replica.
type outcome struct {
	at     *replica
	took   time.Duration
	answer []byte
	status int // 0 where no whole answer came
	err    error
}

func (c *caller) attempt(ctx context.Context, at *replica, attempt attempt) outcome {
	start := time.Now()
	answer, status, err := attempt(ctx, at)
	return outcome{at: at, took: time.Since(start), answer: answer, status: status, err: err}
}

// failed reports whether the replica gave no answer that counts.
func (o outcome) failed() bool { return o.status == 0 || o.status >= 500 }

// settle ends an attempt, and returns what it has come to.
func (c *caller) settle(ctx context.Context, method string, o outcome) ([]byte, error) {
	c.metrics.ObserveCall(c.target, method, o.status, o.took)
	c.replicas.release(o.at, ctx.Err() == nil && o.failed())
	switch {
	case o.err == nil:
		return o.answer, nil
	case o.failed() || o.status == http.StatusTooManyRequests:
		return nil, &UnavailableError{Service: c.target, Err: o.err}
	}
	return nil, backoff.Permanent(o.err)
}

// credentials returns what each call carries: the ids of the request that it is made for,
// and the token of the calling service, "" where it has none.
func (c *caller) credentials(ctx context.Context) (ids logging.IDs, authorization string, err error) {
	if c.issue == nil {
		return logging.IDsFrom(ctx), "", nil
	}
	token, err := c.issue(ctx, c.target)
	return logging.IDsFrom(ctx), "Bearer " + token, err
}
