package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/tendhq/tend/e2e/kit"
	"github.com/tendhq/tend/e2e/load"
)

const (
	// loadRate is how many requests begin in a second.
	loadRate = 100
	// loadWrites is the share of them that write.
	loadWrites = 0.1
	// loadUsers is how many may be in flight.
	loadUsers = 32
	// around is how long the load goes on before and after a case.
	around = 2 * time.Second
	// repairTime is how long a shop is left alone after a failure.
	repairTime = 20 * time.Second
	// hesitation is how long a person takes to put back an update that failed.
	hesitation = 5 * time.Second
)

// loaded is how the requests went in one case.
type loaded struct {
	Name string
	Rows []loadedRow
}

// loadedRow is the row of one contender.
type loadedRow struct {
	Name                                  string
	Requests, Failed, Acknowledged, Wrong int
	Latency                               load.Latency
	// Mistaken is that an update that cannot work was said to be done.
	Mistaken bool
}

// P50, P999 and Max are as shown in the table.
func (r loadedRow) P50() string  { return duration(r.Latency.P50) }
func (r loadedRow) P999() string { return duration(r.Latency.P999) }
func (r loadedRow) Max() string  { return duration(r.Latency.Max) }

// FailedShare is the failed requests in per cent.
func (r loadedRow) FailedShare() string {
	return fmt.Sprintf("%.3g %%", 100*float64(r.Failed)/float64(r.Requests))
}

// disturbances are what happens to a shop under load.
var disturbances = []struct {
	name string
	do   func(ctx context.Context, s *shop) error
}{
	{"nothing happens", func(ctx context.Context, _ *shop) error { return kit.Pause(ctx, repairTime) }},
	{"rolling update of 5 replicas", func(ctx context.Context, s *shop) error {
		return s.update(ctx, updatedService, enough, func(d *desired) { d.revision++ })
	}},
	{"a third revision in the middle of an update", func(ctx context.Context, s *shop) error {
		return changeMind(ctx, s, func(d *desired) { d.revision++ })
	}},
	{"5 → 2 replicas", func(ctx context.Context, s *shop) error {
		return s.update(ctx, updatedService, enough, func(d *desired) { d.replicas = 2 })
	}},
	{"2 → 5 replicas", func(ctx context.Context, s *shop) error {
		return s.update(ctx, updatedService, enough, func(d *desired) { d.replicas = 5 })
	}},
	{"5 → 3 replicas in the middle of an update", func(ctx context.Context, s *shop) error {
		return changeMind(ctx, s, func(d *desired) { d.replicas = 3 })
	}},
	{"SIGKILL of a replica", func(ctx context.Context, s *shop) error {
		_, err := s.signal(ctx, syscall.SIGKILL)
		return errors.Join(err, kit.Pause(ctx, repairTime))
	}},
	{"a replica that hangs", func(ctx context.Context, s *shop) error { return s.hang(ctx) }},
	{"a replica whose readiness fails and returns", func(ctx context.Context, s *shop) error { return s.cutOff(ctx) }},
	{"an image that never becomes ready", broken(faulty("never"))},
	{"an image that crashes", broken(faulty("crash"))},
	{"an image that is ready and dies after 5 s", broken(faulty("dies"))},
	{"an image that does not exist", broken("image: shop/" + updatedService + ":none")},
	{"a setting of the database", func(ctx context.Context, s *shop) error {
		return s.update(ctx, updatedDatabase, enough, func(d *desired) { d.workMem++ })
	}},
}

// changeMind is an update with another one written in the middle of it.
func changeMind(ctx context.Context, s *shop, to func(*desired)) error {
	if err := s.interrupt(ctx, func(d *desired) { d.revision++ }); err != nil {
		return err
	}
	return s.update(ctx, updatedService, enough, to)
}

// faulty are the keys of a bad release.
func faulty(fault string) string {
	return fmt.Sprintf("image: %s\n    entrypoint: [/faulty, %s, /app]", faultyImage, fault)
}

// broken is an update that cannot work, and is put back by a person after it
// has failed.
func broken(keys string) func(ctx context.Context, s *shop) error {
	return func(ctx context.Context, s *shop) error {
		s.mistaken = s.update(ctx, updatedService, patience, func(d *desired) { d.broken = keys }) == nil
		if err := kit.Pause(ctx, hesitation); err != nil {
			return err
		}
		return s.update(ctx, updatedService, enough, func(d *desired) { d.broken = "" })
	}
}

// load measures what becomes of requests while things happen to a service.
func (b *bench) load(ctx context.Context) error {
	progress("building the images of tend and of nginx")
	dir, err := b.folder("faulty")
	if err != nil {
		return err
	}
	err = errors.Join(buildProgram(ctx, b.cli, tendImage, filepath.Join(b.bin, "tend")), buildNginx(ctx, b.cli), buildFaulty(ctx, b.cli, dir))
	if err != nil {
		return err
	}
	shops, err := b.newShops(ctx)
	if err != nil {
		return err
	}
	for _, s := range shops {
		progress("starting the shop with %s", s.name)
		if err := within(ctx, s.start); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	failed, mistaken := 0, 0
	for i, c := range disturbances {
		l := loaded{Name: c.name, Rows: make([]loadedRow, len(shops))}
		for j := range shops {
			n := (i + j) % len(shops)
			s := shops[n]
			err := within(ctx, func(ctx context.Context) error {
				s.mistaken = false
				report, err := underLoad(ctx, s, c.do)
				l.Rows[n] = loadedRow{
					s.name, report.Requests, len(report.Failures), report.Ledger.Acknowledged, len(report.Ledger.Wrong), report.Latency, s.mistaken,
				}
				progress("%s, %s: %s", c.name, s.name, report)
				return err
			})
			if err != nil {
				return fmt.Errorf("%s, %s: %w", c.name, s.name, err)
			}
		}
		failed += l.Rows[0].Failed + l.Rows[0].Wrong
		if l.Rows[0].Mistaken {
			mistaken++
		}
		b.report.Loads = append(b.report.Loads, l)
	}
	b.report.exactly("requests failed, and writes lost or doubled, with tend and its gateway", failed, 0)
	b.report.exactly("updates that cannot work and were said to be done, with tend", mistaken, 0)
	return nil
}

// underLoad has something happen to a shop while requests come.
func underLoad(ctx context.Context, s *shop, happen func(context.Context, *shop) error) (load.Report, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	loading, stop := context.WithCancel(ctx)
	defer stop()
	var (
		answered atomic.Int64
		report   load.Report
		failure  error
		done     sync.WaitGroup
	)
	done.Go(func() {
		report, failure = load.Run(loading, load.Config{
			URL: s.url, Rate: loadRate, Concurrency: loadUsers, Writes: loadWrites, Fresh: 0.1,
			Ended: func(time.Duration, bool) { answered.Add(1) },
		})
		if failure != nil {
			cancel(failure) // there is nothing to measure any more
		}
	})
	err := awaitLoad(ctx, &answered)
	if err == nil {
		err = errors.Join(happen(ctx, s), kit.Pause(ctx, around))
	}
	stop()
	done.Wait()
	return report, errors.Join(err, failure)
}

// awaitLoad waits until requests have come for a while.
func awaitLoad(ctx context.Context, answered *atomic.Int64) error {
	return kit.Await(ctx, func() error {
		if n := answered.Load(); float64(n) < loadRate*around.Seconds() {
			return fmt.Errorf("%d requests have come", n)
		}
		return nil
	})
}
