package cases

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/tendhq/tend/e2e/kit"
	"github.com/tendhq/tend/e2e/load"
)

const (
	// roundTimeout bounds one round of a disturbance.
	roundTimeout = 5 * time.Minute
	// killPatience is after which time tend is killed where nothing has changed
	// that the engine would tell of.
	killPatience = 3 * time.Second
	// maxChanges is after how many changes of containers tend is killed at most:
	// another number each time, so that it dies in different steps.
	maxChanges = 6
	// settledLoad is how many requests are answered before the first disturbance.
	settledLoad = 500
	// tellPeriod is how often a running case says how far it is.
	tellPeriod = 15 * time.Second
)

// ShoppingWrites is the share of a shopping load that orders, cancels or registers.
const ShoppingWrites = 0.2

// Result is what came of a case.
type Result struct {
	Case   Case
	Report load.Report
	// Plain and Killed count the rounds without and with the death of tend.
	Plain, Killed int
	// Err reports that the shop did not deal with a disturbance as it should, that a
	// request failed, that a write was lost, or that stock and money do not add up.
	Err error
}

// Run puts the shop under load and disturbs it until at least that many requests
// have been answered, and until it was disturbed with tend killed and without;
// then it waits until the shop is at rest again, and its books are right. progress is told how it goes.
func (s *Shop) Run(parent context.Context, c Case, config load.Config, requests int, progress func(string)) Result {
	result := Result{Case: c}
	before, err := s.readBooks(parent)
	if err != nil {
		result.Err = err
		return result
	}
	var answered atomic.Int64
	if c.Shopping {
		config.Shopping, config.Writes = true, max(config.Writes, ShoppingWrites)
	}
	config.URL, config.Ended = s.URL, func(time.Duration, bool) { answered.Add(1) }
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	loadCtx, endLoad := context.WithCancel(ctx)
	defer endLoad()
	ended := make(chan error, 1)
	go func() {
		var err error
		result.Report, err = load.Run(loadCtx, config)
		if err != nil {
			cancel(err) // there is nothing to measure any more
		}
		ended <- err
	}()
	stopTelling := tell(&answered, progress)
	defer stopTelling()
	err = s.awaitLoad(ctx, &answered)
	for round := 0; err == nil && (answered.Load() < int64(requests) || result.Killed == 0); round++ {
		began := time.Now()
		kill := round%2 == 1
		if err = s.round(ctx, c, round, kill); err != nil {
			err = fmt.Errorf("round %d: %w", round+1, err)
			break
		}
		how := "tend alive"
		if kill {
			result.Killed++
			how = "tend killed"
		} else {
			result.Plain++
		}
		progress(fmt.Sprintf("round %d (%s) took %.1f s", round+1, how, time.Since(began).Seconds()))
	}
	endLoad()
	result.Err = errors.Join(err, <-ended)
	restoreCtx, cancelRestore := kit.Patience(parent, roundTimeout)
	defer cancelRestore()
	result.Err = errors.Join(result.Err, result.Report.Err(), s.Restore(restoreCtx))
	if result.Err == nil {
		result.Err = s.awaitBooks(parent, before)
	}
	return result
}

// tell tells progress now and then how many requests were answered, until the
// function that it returns is called.
func tell(answered *atomic.Int64, progress func(string)) (stop func()) {
	ended, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(tellPeriod)
		defer ticker.Stop()
		for before := int64(0); ; {
			select {
			case <-ticker.C:
				now := answered.Load()
				progress(fmt.Sprintf("%d requests, %.0f/s", now, float64(now-before)/tellPeriod.Seconds()))
				before = now
			case <-ended:
				return
			}
		}
	}()
	return func() { close(ended); <-done }
}

// awaitLoad waits until all users send requests.
func (s *Shop) awaitLoad(ctx context.Context, answered *atomic.Int64) error {
	return kit.Await(ctx, func() error {
		if n := answered.Load(); n < settledLoad {
			return fmt.Errorf("the load has not begun: %d requests were answered", n)
		}
		return nil
	})
}

// round disturbs the shop once, and kills tend meanwhile if asked to.
func (s *Shop) round(ctx context.Context, c Case, round int, kill bool) error {
	ctx, cancel := kit.Patience(ctx, roundTimeout)
	defer cancel()
	began, killed := time.Now(), make(chan error, 1)
	if kill {
		go func() {
			err := s.awaitChanges(ctx, began, 1+round/2%maxChanges)
			if err == nil {
				err = s.killController(ctx)
			}
			killed <- err
		}()
	} else {
		killed <- nil
	}
	err := c.disturb(ctx, s, round)
	if err != nil {
		cancel()
	}
	if killErr := <-killed; err == nil {
		err = killErr
	}
	if err != nil {
		return err
	}
	return s.awaitConverged(ctx)
}
