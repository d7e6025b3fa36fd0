package watch

import (
	"context"
	"io"
	"time"

	tea "charm.land/bubbletea/v2"
	"golang.org/x/sync/errgroup"

	"github.com/tendhq/tend/api"
	"github.com/tendhq/tend/api/client"
)

const (
	// pace is how long a stream rests after a message: a screen shows ten frames a second.
	pace = 100 * time.Millisecond
	// readEvery is how often the ingresses' counters are read.
	readEvery = time.Second
	// dialEvery is how often a controller that is away is asked for.
	dialEvery = 500 * time.Millisecond
)

// feed sends what the controller says, and goes on when it was away, until ctx ends.
func feed(ctx context.Context, dial func() (*client.Client, error), send func(tea.Msg)) {
	for {
		c, err := dial()
		if err == nil {
			err = follow(ctx, c, send)
		}
		if ctx.Err() != nil {
			return
		}
		send(linkMsg{err: err})
		select {
		case <-ctx.Done():
			return
		case <-time.After(dialEvery):
		}
	}
}

// follow sends what a controller says until it ends.
func follow(ctx context.Context, c *client.Client, send func(tea.Msg)) error {
	health, err := c.Health(ctx)
	if err != nil {
		return err
	}
	send(linkMsg{health: health})
	streams, ctx := errgroup.WithContext(ctx)
	streams.Go(func() error {
		for list, err := range c.WatchWorkloads(ctx) {
			if err != nil {
				return err
			}
			send(workloadsMsg(list.Items))
			rest(ctx, pace)
		}
		return ctx.Err()
	})
	streams.Go(func() error {
		for list, err := range c.WatchReplicas(ctx, "") {
			if err != nil {
				return err
			}
			send(replicasMsg(list.Items))
			rest(ctx, pace)
		}
		return ctx.Err()
	})
	streams.Go(func() error { return followEvents(ctx, c, send) })
	streams.Go(func() error { return followTraffic(ctx, c, send) })
	return streams.Wait()
}

// rest waits, unless ctx ends.
func rest(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// followEvents sends the last events and then each new one, in batches.
func followEvents(ctx context.Context, c *client.Client, send func(tea.Msg)) error {
	each := make(chan api.Event)
	reading, ctx := errgroup.WithContext(ctx)
	reading.Go(func() error {
		defer close(each)
		for e, err := range c.WatchEvents(ctx, client.EventOptions{Limit: mostEvents}) {
			if err != nil {
				return err
			}
			select {
			case each <- e:
			case <-ctx.Done():
			}
		}
		return ctx.Err()
	})
	first := true
	for e := range each {
		batch := []api.Event{e}
		for full := time.After(pace); full != nil; {
			select {
			case e, ok := <-each:
				if !ok {
					full = nil
					break
				}
				batch = append(batch, e)
			case <-full:
				full = nil
			}
		}
		send(eventsMsg{batch, first})
		first = false
	}
	return reading.Wait()
}

// followTraffic sends what the ingresses carry, whenever the controller tells it.
func followTraffic(ctx context.Context, c *client.Client, send func(tea.Msg)) error {
	var before map[string]counters
	var at time.Time
	for ctx.Err() == nil {
		now := time.Now()
		after, err := readCounters(ctx, c)
		if err != nil { // others read the metrics; the streams tell when the controller is away
			rest(ctx, readEvery)
			continue
		}
		if before != nil || len(after) > 0 {
			send(trafficMsg(ratesOf(before, after, now.Sub(at))))
		}
		before, at = after, now
		rest(ctx, readEvery)
	}
	return ctx.Err()
}

func readCounters(ctx context.Context, c *client.Client) (map[string]counters, error) {
	body, err := c.Metrics(ctx)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return parse(io.LimitReader(body, maxMetrics))
}

// maxMetrics bounds how much of /metrics is read.
const maxMetrics = 16 << 20
