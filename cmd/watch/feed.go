package watch

import (
	"context"
	"encoding/json"
	"io"
	"time"

	tea "charm.land/bubbletea/v2"
	"golang.org/x/sync/errgroup"

	"github.com/tendhq/tend/api"
	"github.com/tendhq/tend/api/client"
)

const (
	// pace is the least time between two batches of changes: what a frame takes is the most of
	// what the view takes.
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
		send(awayMsg{err})
		select {
		case <-ctx.Done():
			return
		case <-time.After(dialEvery):
		}
	}
}

// follow sends what a controller says until it ends.
func follow(ctx context.Context, c *client.Client, send func(tea.Msg)) error {
	streams, ctx := errgroup.WithContext(ctx)
	streams.Go(func() error { return followChanges(ctx, c, send) })
	streams.Go(func() error { return followTraffic(ctx, c, send) })
	return streams.Wait()
}

// followChanges sends everything there is, and then what changes, in batches.
func followChanges(ctx context.Context, c *client.Client, send func(tea.Msg)) error {
	session, err := c.Session(ctx)
	if err != nil {
		return err
	}
	batch := changesMsg{first: true, session: session}
	each := make(chan api.WatchEvent)
	reading, ctx := errgroup.WithContext(ctx)
	reading.Go(func() error {
		defer close(each)
		for e, err := range c.Watch(ctx, "") {
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
	var full <-chan time.Time // nil while there is nothing to send, and until everything is there
	var sent time.Time
	for {
		select {
		case e, ok := <-each:
			if !ok {
				return reading.Wait()
			}
			if err := batch.add(e); err != nil {
				return err
			}
			if full == nil && (!batch.first || e.Type == api.Bookmark) {
				full = time.After(time.Until(sent.Add(pace)))
			}
		case <-full:
			send(batch)
			batch, full, sent = changesMsg{}, nil, time.Now()
		}
	}
}

// add adds what a message of a watch tells.
func (c *changesMsg) add(e api.WatchEvent) error {
	var kind api.TypeMeta
	if err := json.Unmarshal(e.Object, &kind); err != nil {
		return err
	}
	gone := e.Type == api.Deleted
	switch kind.Kind {
	case api.ProjectKind:
		c.project = &api.Project{}
		return json.Unmarshal(e.Object, c.project)
	case api.ReplicaKind:
		change := replicaChange{gone: gone}
		err := json.Unmarshal(e.Object, &change.Replica)
		c.replicas = append(c.replicas, change)
		return err
	case api.EventKind:
		var event api.Event
		err := json.Unmarshal(e.Object, &event)
		c.events = append(c.events, event)
		return err
	default:
		change := workloadChange{gone: gone}
		err := json.Unmarshal(e.Object, &change.Workload)
		c.workloads = append(c.workloads, change)
		return err
	}
}

// rest waits, unless ctx ends.
func rest(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
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
