// Package load puts the shop under load through its gateway and keeps an honest
// account of it: every response counts, nothing is tried twice, and at the end
// every write is looked up in the shop.
//
// It stands in tend's own module, with the standard library alone, because the
// end-to-end tests import it; the command around it is bench/load.
package load

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// Config says what to send where.
type Config struct {
	// URL is the gateway's; its host must be a loopback address.
	URL string
	// Requests and Duration end the load, whichever comes first; zero is no
	// limit. The end of the context ends it, too.
	Requests int
	Duration time.Duration
	// Rate is how many requests begin in a second; zero is as many as
	// Concurrency allows. With a rate, a request's latency counts from when it
	// was due, so that a stall is not hidden by the requests it kept from being
	// sent.
	Rate float64
	// Concurrency is how many requests are in flight at most, each by a user of
	// its own. Default: 16.
	Concurrency int
	// Writes is the share of requests that write, from 0 to 1.
	Writes float64
	// Shopping has users search as well, and register others.
	Shopping bool
	// Fresh is the share of requests on a connection of their own, from 0 to 1.
	Fresh float64
	// Timeout is how long a request may take. The default, a minute, is longer
	// than the gateway's own limits, so that its answer is seen.
	Timeout time.Duration
	// Ended is called as each request has ended, with how long it took and whether it
	// failed, by many at a time. It may be nil.
	Ended func(took time.Duration, failed bool)
}

// maxDuration is less than the hour that a user's token is good for.
const maxDuration = 50 * time.Minute

// verifyTimeout bounds the look at the shop after the load.
const verifyTimeout = 5 * time.Minute

func (c Config) withDefaults() (Config, error) {
	if c.Concurrency == 0 {
		c.Concurrency = 16
	}
	if c.Timeout == 0 {
		c.Timeout = time.Minute
	}
	if c.Ended == nil {
		c.Ended = func(time.Duration, bool) {}
	}
	target, err := url.Parse(c.URL)
	if err != nil {
		return c, err
	}
	if ip := net.ParseIP(target.Hostname()); ip == nil || !ip.IsLoopback() {
		return c, fmt.Errorf("%q: load goes to a loopback address only, such as http://127.0.0.1:8080", c.URL)
	}
	switch {
	case c.Requests < 0 || c.Duration < 0 || c.Rate < 0 || c.Concurrency < 0 || c.Timeout < 0:
		return c, errors.New("a limit of the load is negative")
	case c.Duration > maxDuration:
		return c, fmt.Errorf("duration %s: at most %s, as tokens expire", c.Duration, maxDuration)
	case c.Writes < 0 || c.Writes > 1 || c.Fresh < 0 || c.Fresh > 1:
		return c, errors.New("a share is not between 0 and 1")
	}
	return c, nil
}

// Run registers users, sends the load, and then looks up what the users wrote.
// The error says that this could not be done; whether requests failed or writes
// were lost stands in the report ([Report.Err]).
func Run(ctx context.Context, config Config) (Report, error) {
	config, err := config.withDefaults()
	if err != nil {
		return Report{}, fmt.Errorf("load: %w", err)
	}
	client := newClient(config)
	defer client.close()
	users, err := register(ctx, client, config)
	if err != nil {
		return Report{}, fmt.Errorf("load: %w", err)
	}

	started := time.Now()
	if config.Duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, started.Add(config.Duration))
		defer cancel()
	}
	turns := &turns{started: started, limit: int64(config.Requests), rate: config.Rate}
	var group sync.WaitGroup
	for _, u := range users {
		group.Go(func() {
			for {
				due, ok := turns.next(ctx)
				if !ok {
					return
				}
				// What has begun runs to its end.
				u.act(context.WithoutCancel(ctx), due)
			}
		})
	}
	group.Wait()
	report := newReport(users, time.Since(started))

	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), verifyTimeout)
	defer cancel()
	for _, u := range users {
		if err := u.verify(ctx, &report.Ledger); err != nil {
			return report, fmt.Errorf("load: look up what was written: %w", err)
		}
	}
	return report, nil
}

// register makes the users and finds out what they can buy.
func register(ctx context.Context, client *client, config Config) ([]*user, error) {
	products, err := client.products(ctx)
	if err != nil {
		return nil, fmt.Errorf("list products: %w", err)
	}
	users := make([]*user, config.Concurrency)
	for i := range users {
		n, err := client.register(ctx)
		if err != nil {
			return nil, err
		}
		users[i] = &user{client: client, config: config, account: n.account, products: products, outcomes: outcomes{}}
	}
	return users, nil
}

// turns hands out the requests of a load.
type turns struct {
	started time.Time
	limit   int64
	rate    float64
	taken   atomic.Int64
}

// next waits for the next turn and says when it was due. It is false when the
// load is over.
func (t *turns) next(ctx context.Context) (due time.Time, ok bool) {
	n := t.taken.Add(1)
	if ctx.Err() != nil || t.limit > 0 && n > t.limit {
		return time.Time{}, false
	}
	if t.rate == 0 {
		return time.Now(), true
	}
	due = t.started.Add(time.Duration(float64(n-1) / t.rate * float64(time.Second)))
	if end, ok := ctx.Deadline(); ok && !due.Before(end) {
		return time.Time{}, false
	}
	timer := time.NewTimer(time.Until(due))
	defer timer.Stop()
	select {
	case <-timer.C:
		return due, true
	case <-ctx.Done():
		return time.Time{}, false
	}
}
