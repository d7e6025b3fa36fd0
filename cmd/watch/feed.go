package watch

import (
	"context"
	"encoding/json"
	"io"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/tidwall/gjson"
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
	p := pending{batch: changesMsg{first: true, session: session}, some: make(chan struct{}, 1)}
	streams, ctx := errgroup.WithContext(ctx)
	streams.Go(func() error {
		for e, err := range c.Watch(ctx, "") {
			if err == nil {
				err = p.add(e)
			}
			if err != nil {
				return err
			}
		}
		return ctx.Err()
	})
	streams.Go(func() error {
		for {
			select {
			case <-p.some:
				send(p.take())
				rest(ctx, pace)
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
	return streams.Wait()
}

// pending are the changes that were read and are still to be sent.
type pending struct {
	mu    sync.Mutex
	batch changesMsg
	some  chan struct{} // tells that there are some, once everything is there
}

func (p *pending) add(e api.WatchEvent) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	err := p.batch.add(e)
	if !p.batch.first || e.Type == api.Bookmark {
		select {
		case p.some <- struct{}{}:
		default:
		}
	}
	return err
}

func (p *pending) take() changesMsg {
	p.mu.Lock()
	defer p.mu.Unlock()
	batch := p.batch
	p.batch = changesMsg{}
	return batch
}

// add adds what a message of a watch tells.
func (c *changesMsg) add(e api.WatchEvent) error {
	gone := e.Type == api.Deleted
	switch gjson.GetBytes(e.Object, "kind").Str {
	case api.ProjectKind:
		c.project = &api.Project{}
		return json.Unmarshal(e.Object, c.project)
	case api.ReplicaKind:
		change := replicaChange{Replica: &api.Replica{}, gone: gone}
		err := json.Unmarshal(e.Object, change.Replica)
		c.replicas = append(c.replicas, change)
		return err
	case api.EventKind:
		var event api.Event
		err := json.Unmarshal(e.Object, &event)
		c.events = append(c.events, event)
		return err
	default:
		change := workloadChange{Workload: &api.Workload{}, gone: gone}
		err := json.Unmarshal(e.Object, change.Workload)
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
	body, err := c.Metrics(ctx, families...)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return parse(io.LimitReader(body, maxMetrics))
}

// maxMetrics bounds how much of /metrics is read.
const maxMetrics = 16 << 20
