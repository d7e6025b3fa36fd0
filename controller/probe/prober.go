package probe

import (
	"context"
	"reflect"
	"sync"
	"time"

	"github.com/tendhq/tend/controller/spec"
)

// Run is one run of a container that is to be probed: a container that was
// started again is another run, and nothing known of the one before counts.
type Run struct {
	Target
	StartedAt time.Time
}

// Result is what the probes of a run say so far. The first one comes when the
// first probe has been answered, or has failed.
type Result struct {
	Run
	// Started is true once the startup probe has passed, or when there is none.
	Started bool
	// Ready is the readiness probe's verdict, true when there is none.
	Ready bool
	// Live is false once the startup or the liveness probe has failed for good.
	Live bool
	// Since is when Ready last changed.
	Since time.Time
	// Message says why not Started, Ready or Live.
	Message string
}

// Prober probes runs, each in goroutines of its own, and passes on each change
// of a result.
type Prober struct {
	exec    Exec
	changed func(Result)

	mu      sync.Mutex
	probing map[Run]probing
	busy    sync.WaitGroup
}

type probing struct {
	probes spec.Probes
	stop   context.CancelFunc
}

// New makes a prober. changed is called from its goroutines.
func New(exec Exec, changed func(Result)) *Prober {
	return &Prober{exec: exec, changed: changed, probing: map[Run]probing{}}
}

// Sync has exactly the given runs probed from now on. What is being probed
// with the same probes goes on undisturbed.
func (p *Prober) Sync(ctx context.Context, runs map[Run]spec.Probes) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for run, now := range p.probing {
		if wanted, ok := runs[run]; !ok || !reflect.DeepEqual(wanted, now.probes) {
			now.stop()
			delete(p.probing, run)
		}
	}
	for run, probes := range runs {
		if _, ok := p.probing[run]; ok {
			continue
		}
		ctx, stop := context.WithCancel(ctx)
		p.probing[run] = probing{probes: probes, stop: stop}
		p.busy.Go(func() {
			defer stop()
			p.probe(ctx, run, probes)
		})
	}
}

// Wait returns when no probe is under way any more, after the contexts given
// to Sync have ended.
func (p *Prober) Wait() { p.busy.Wait() }

// probe probes one run until ctx ends.
func (p *Prober) probe(ctx context.Context, run Run, probes spec.Probes) {
	s := &session{prober: p, result: Result{Run: run, Started: probes.Startup == nil, Ready: probes.Readiness == nil, Live: true, Since: run.StartedAt}}
	if probes.Startup != nil && !s.startup(ctx, *probes.Startup) {
		return
	}
	if probes.Readiness == nil {
		s.tell(ctx, func(*Result) {})
	}
	var both sync.WaitGroup
	if probes.Readiness != nil {
		both.Go(func() {
			s.follow(ctx, *probes.Readiness, verdict{}, func(r *Result, v verdict) {
				r.Ready, r.Message, r.Since = v.passed, v.message, v.since
			})
		})
	}
	if probes.Liveness != nil {
		both.Go(func() {
			s.follow(ctx, *probes.Liveness, verdict{passed: true}, func(r *Result, v verdict) {
				r.Live, r.Message = v.passed, v.message
			})
		})
	}
	both.Wait()
}

// session is the probing of one run.
type session struct {
	prober *Prober
	mu     sync.Mutex
	result Result
	told   bool
}

// first passes the first result on also when it changes nothing: until then
// nothing is known of the run.
func (s *session) first(ctx context.Context) {
	s.mu.Lock()
	told := s.told
	s.mu.Unlock()
	if !told {
		s.tell(ctx, func(*Result) {})
	}
}

// tell changes the result and passes it on.
func (s *session) tell(ctx context.Context, change func(*Result)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.result)
	s.told = true
	if ctx.Err() == nil {
		s.prober.changed(s.result)
	}
}

// startup probes until the verdict falls, and says whether it is good. Until
// then the other probes are not made, as with Kubernetes.
func (s *session) startup(ctx context.Context, p spec.Probe) (ok bool) {
	ctx, done := context.WithCancel(ctx)
	defer done()
	failures := 0
	s.each(ctx, p, func(err error) {
		switch {
		case err == nil:
			s.tell(ctx, func(r *Result) { r.Started, r.Since = true, time.Now() })
			ok = true
			done()
		case failures+1 >= p.FailureThreshold:
			s.tell(ctx, func(r *Result) { r.Live, r.Message = false, "startup: "+err.Error() })
			done()
		}
		failures++
		s.first(ctx)
	})
	return ok
}

// follow probes until ctx ends and applies each change of the verdict.
func (s *session) follow(ctx context.Context, p spec.Probe, v verdict, apply func(*Result, verdict)) {
	s.each(ctx, p, func(err error) {
		if v.add(p, err, time.Now()) {
			s.tell(ctx, func(r *Result) { apply(r, v) })
		}
		s.first(ctx)
	})
}

// each makes the probe every period until ctx ends.
func (s *session) each(ctx context.Context, p spec.Probe, result func(error)) {
	first := max(time.Until(s.result.StartedAt.Add(p.InitialDelay)), 0)
	timer := time.NewTimer(first)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		began := time.Now()
		err := Once(ctx, p, s.result.Target, s.prober.exec)
		if ctx.Err() != nil {
			return
		}
		result(err)
		timer.Reset(max(p.Period-time.Since(began), 0))
	}
}
