// Package usage samples what replicas use of the machine, while somebody wants to know. A
// reading costs the engine some work for each container, so it makes few at a time, at an
// interval, and none while nobody has asked of late.
package usage

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tendhq/tend/controller/engine"
)

const (
	// Interval is the time between two samples of a container, as metrics-server has it.
	Interval = 15 * time.Second
	// wantedFor is for how long samples are taken after somebody has asked for them; it is
	// longer than Prometheus waits between two scrapes.
	wantedFor = 2 * time.Minute
	// parallel is how many containers are read at a time. An Engine 20.10 answers when it
	// counts the next time, once a second, so that 200 containers take 13 s. timeout bounds
	// one reading.
	parallel = 16
	timeout  = 10 * time.Second
)

// Engine reads what a container has used.
type Engine interface {
	Stats(ctx context.Context, id string) (engine.Stats, error)
}

// Sample is what a container used at one instant.
type Sample struct {
	engine.Stats
	// Cores is how much CPU it used on average during Window, since the sample before;
	// Window is 0 where there is none of this run.
	Cores  float64
	Window time.Duration
}

// Sampler takes samples of the containers that run.
type Sampler struct {
	engine  Engine
	running func() []string
	asked   chan struct{}

	mu      sync.Mutex
	until   time.Time
	samples map[string]Sample
}

// New makes a sampler; Run starts it. running returns the IDs of the containers that run.
func New(e Engine, running func() []string) *Sampler {
	return &Sampler{engine: e, running: running, asked: make(chan struct{}, 1)}
}

// Latest returns the last sample of each container, by ID, and has samples taken for the
// next two minutes. It does not wait: who asks for the first time gets none.
func (s *Sampler) Latest() map[string]Sample {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.until = time.Now().Add(wantedFor)
	select {
	case s.asked <- struct{}{}:
	default:
	}
	return s.samples
}

// Run takes samples until ctx ends.
func (s *Sampler) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.asked:
		}
		for s.wanted() {
			began := time.Now()
			s.sample(ctx)
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Until(began.Add(Interval))):
			}
		}
	}
}

// wanted reports whether somebody has asked of late. Where nobody has, the samples are
// dropped, as they grow old.
func (s *Sampler) wanted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Now().Before(s.until) {
		return true
	}
	s.samples = nil
	return false
}

// sample reads every container that runs. One that cannot be read, as it has just ended,
// has no sample until the next time.
func (s *Sampler) sample(ctx context.Context) {
	s.mu.Lock()
	before := s.samples
	s.mu.Unlock()
	ids := s.running()
	read := make([]*engine.Stats, len(ids))
	var group errgroup.Group
	group.SetLimit(parallel)
	for i, id := range ids {
		group.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, timeout)
			defer cancel()
			if stats, err := s.engine.Stats(ctx, id); err == nil {
				read[i] = &stats
			}
			return nil
		})
	}
	_ = group.Wait() // what could not be read is left out
	samples := make(map[string]Sample, len(ids))
	for i, id := range ids {
		if read[i] != nil {
			samples[id] = after(before[id].Stats, *read[i])
		}
	}
	s.mu.Lock()
	s.samples = samples
	s.mu.Unlock()
}

// after is a sample that follows another reading, of an earlier run perhaps.
func after(before, now engine.Stats) Sample {
	sample := Sample{Stats: now}
	window := now.At.Sub(before.At)
	if before.At.IsZero() || window <= 0 || now.CPU < before.CPU {
		return sample
	}
	sample.Window = window
	sample.Cores = (now.CPU - before.CPU).Seconds() / window.Seconds()
	return sample
}
