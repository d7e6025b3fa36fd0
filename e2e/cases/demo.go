package cases

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/tendhq/tend/api"
	"github.com/tendhq/tend/api/client"
	"github.com/tendhq/tend/e2e/kit"
	"github.com/tendhq/tend/e2e/load"
)

// Step is one thing that is shown of a shop under load.
type Step struct {
	Title string
	do    func(ctx context.Context, s *Shop) error
}

// Steps are what is shown, in this order.
func Steps() []Step {
	return []Step{
		{"product-service from 4 replicas to 8, by editing its spec", growProducts},
		{"three of them are killed at the same moment", killThree},
		{"a good update of order-service", func(ctx context.Context, s *Shop) error { return rollingUpdate("order-service")(ctx, s, 0) }},
		{"a bad update of it, which takes itself back", func(ctx context.Context, s *Shop) error { return badUpdate("crash")(ctx, s, 4) }},
		{"another setting for user-db: one Postgres at a time on its volume", func(ctx context.Context, s *Shop) error { return databaseUpdate("user-db")(ctx, s, 2) }},
		{"user-service from 1.0.0 to 1.1.0, which adds a column to its table, and back", func(ctx context.Context, s *Shop) error { return migrate(ctx, s, 0) }},
		{"tend is killed in the middle of an update", killTend},
		{"an update of the gateway itself", func(ctx context.Context, s *Shop) error { return rollingUpdate("gateway")(ctx, s, 0) }},
		{"another image under the tag that payment-service runs", followTag},
	}
}

// growProducts edits a number.
func growProducts(ctx context.Context, s *Shop) error {
	const replicas = 8
	if err := s.save("product-service", kit.Set(s.specs["product-service"], "replicas", replicas)); err != nil {
		return err
	}
	return s.await(ctx, "product-service", "it has 8 replicas", func(w api.Workload) bool {
		return kit.AtRest(w) && w.Status.Replicas == replicas
	})
}

func killThree(ctx context.Context, s *Shop) error {
	all, err := s.replicas(ctx, "product-service")
	if err != nil {
		return err
	}
	const many = 3
	if len(all) < many {
		return fmt.Errorf("product-service has %d replicas", len(all))
	}
	for _, r := range all[:many] {
		if err := s.engine.ContainerKill(ctx, r.ID, "KILL"); err != nil {
			return err
		}
	}
	for _, r := range all[:many] {
		if err := s.awaitRepaired(ctx, r); err != nil {
			return err
		}
	}
	return s.await(ctx, "product-service", "all are ready again", kit.AtRest)
}

func killTend(ctx context.Context, s *Shop) error {
	revision, err := s.beginUpdate(ctx, "user-service", s.nextRevision())
	if err != nil {
		return err
	}
	if err := s.killController(ctx); err != nil {
		return err
	}
	return s.awaitRevision(ctx, "user-service", revision)
}

// followTag builds another image under the name that payment-service is made from.
func followTag(ctx context.Context, s *Shop) error {
	const service = "payment-service"
	tag := s.image(service, "1")
	if err := s.build(ctx, tag, "FROM "+tag+"\nLABEL demo=next\n", nil); err != nil {
		return err
	}
	next, err := s.engine.ImageInspect(ctx, tag)
	if err != nil {
		return err
	}
	if err := kit.Await(ctx, func() error {
		all, err := s.replicas(ctx, service)
		for _, r := range all {
			if r.Image != next.ID {
				err = fmt.Errorf("%s is of another image", r.Name)
			}
		}
		return err
	}); err != nil {
		return err
	}
	return s.await(ctx, service, "all of its replicas are of it", kit.AtRest)
}

// Shown is what came of a step.
type Shown struct {
	Step Step
	// Took is how long it took until the shop was at rest again.
	Took time.Duration
	// Requests ended during it, and Failed are those of them that failed.
	Requests, Failed int64
	// LongestWait is the longest that a request took.
	LongestWait time.Duration
}

// meter counts requests until it is read.
type meter struct{ requests, failed, longest atomic.Int64 }

func (m *meter) ended(took time.Duration, failed bool) {
	m.requests.Add(1)
	if failed {
		m.failed.Add(1)
	}
	for {
		longest := m.longest.Load()
		if int64(took) <= longest || m.longest.CompareAndSwap(longest, int64(took)) {
			return
		}
	}
}

// Show puts the shop under load and has one step after the other happen. next is called
// before each step, and may wait; now is called four times a second with the numbers of the
// step under way, and shown with those of a step that has ended. Show returns the report of
// the whole load.
func (s *Shop) Show(parent context.Context, steps []Step, config load.Config, next func(context.Context, Step) error, now, shown func(Shown)) (report load.Report, err error) {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	loading, endLoad := context.WithCancel(ctx)
	defer endLoad()
	var current atomic.Pointer[meter]
	current.Store(&meter{})
	config.URL, config.Ended = s.URL, func(took time.Duration, failed bool) { current.Load().ended(took, failed) }
	ended := make(chan error, 1)
	go func() {
		var err error
		if report, err = load.Run(loading, config); err != nil {
			cancel(err) // there is nothing to measure any more
		}
		ended <- err
	}()
	err = s.awaitLoad(ctx, &current.Load().requests)
	for _, step := range steps {
		if err == nil {
			err = next(ctx, step)
		}
		if err != nil {
			break
		}
		current.Store(&meter{})
		err = s.show(ctx, step, current.Load(), now, shown)
	}
	endLoad()
	if loadErr := <-ended; err == nil {
		err = loadErr
	}
	return report, err
}

// show has a step happen.
func (s *Shop) show(ctx context.Context, step Step, m *meter, now, shown func(Shown)) error {
	ctx, cancel := kit.Patience(ctx, roundTimeout)
	defer cancel()
	began := time.Now()
	read := func() Shown {
		return Shown{Step: step, Took: time.Since(began), Requests: m.requests.Load(), Failed: m.failed.Load(), LongestWait: time.Duration(m.longest.Load())}
	}
	done := make(chan error, 1)
	go func() { done <- step.do(ctx, s) }()
	ticker := time.NewTicker(250 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			now(read())
		case err := <-done:
			if err != nil {
				return fmt.Errorf("%s: %w", step.Title, err)
			}
			shown(read())
			return nil
		}
	}
}

// Follow calls f with each event of the shop from now on until ctx ends, also across the
// deaths of tend.
func (s *Shop) Follow(ctx context.Context, f func(api.Event)) {
	since := ""
	if past, err := s.controller.Events(ctx, client.EventOptions{Limit: 1}); err == nil && len(past.Items) > 0 {
		since = past.Items[0].Metadata.Name
	}
	for ctx.Err() == nil {
		for e, err := range s.controller.WatchEvents(ctx, client.EventOptions{Since: since}) {
			if err != nil {
				break
			}
			since = e.Metadata.Name
			f(e)
		}
		_ = kit.Pause(ctx, 500*time.Millisecond) // tend is dead for a moment
	}
}
