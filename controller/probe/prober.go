package probe

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/tendhq/tend/controller/spec"
)

// Run is one run of a container that is to be probed. A container that was started
// again is another run, and no result of the last one counts.
type Run struct {
	Target
	StartedAt time.Time
}

// Result is the result of a run's probes until now. The first one comes when the first
// probe has been answered, or has failed.
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
	// Message is why it is not Started, Ready or Live.
	Message string
}

// Prober probes runs, each in goroutines of its own, and passes on each change of a
// result.
type Prober struct {
	// Made is told of each probe: startup, readiness or liveness, how long it took, and
	// what was wrong. It may be nil.
	Made func(probe string, took time.Duration, err error)
	// Ask makes one probe of a replica, in place of Once where there is no network to ask it
	// over. It may be nil.
	Ask func(ctx context.Context, p spec.Probe, t Target) error

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

// New makes a prober. changed is called by Sync and from goroutines, never by two
// at a time, and never for a run that Sync has left out. It must not call Sync.
func New(exec Exec, changed func(Result)) *Prober {
	return &Prober{exec: exec, changed: changed, probing: map[Run]probing{}}
}

// Sync has exactly the given runs probed from now on, until ctx ends, which must be the
// same in each call. A run that is probed already with the same probes goes on
// undisturbed.
func (p *Prober) Sync(ctx context.Context, runs map[Run]spec.Probes) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if ctx.Err() != nil {
		return // Wait may have returned
	}
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
		s := &session{prober: p, result: Result{
			Run: run, Started: probes.Startup == nil, Ready: probes.Readiness == nil, Live: true, Since: run.StartedAt,
		}}
		if s.result.Started && s.result.Ready { // all probes have passed
			s.known, s.told = true, s.result
			p.changed(s.result)
		}
		p.busy.Go(func() {
			defer stop()
			s.probe(ctx, probes)
		})
	}
}

// once makes one probe.
func (p *Prober) once(ctx context.Context, of spec.Probe, t Target) error {
	if p.Ask != nil {
		return p.Ask(ctx, of, t)
	}
	return Once(ctx, of, t, p.exec)
}

// Wait returns when no probe is under way, after the context given to Sync has ended.
func (p *Prober) Wait() {
	p.mu.Lock()
	p.mu.Unlock() //nolint:staticcheck // a Sync that still saw the context has by now started what it will
	p.busy.Wait()
}

// probe probes a run until ctx ends.
func (s *session) probe(ctx context.Context, probes spec.Probes) {
	if probes.Startup != nil && !s.startup(ctx, *probes.Startup) {
		return
	}
	var both sync.WaitGroup
	if probes.Readiness != nil {
		both.Go(func() {
			s.follow(ctx, "readiness", *probes.Readiness, verdict{since: s.result.StartedAt}, func(v verdict) {
				s.known = true
				s.result.Ready, s.result.Since, s.unready = v.passed, v.since, v.message
			})
		})
	}
	if probes.Liveness != nil {
		both.Go(func() {
			s.follow(ctx, "liveness", *probes.Liveness, verdict{passed: true}, func(v verdict) {
				s.known = s.known || !v.passed
				s.result.Live, s.dead = v.passed, v.message
			})
		})
	}
	both.Wait()
}

// session is the probing of one run. The prober's lock guards it.
type session struct {
	prober *Prober
	result Result
	// unstarted, unready and dead are the parts of the message.
	unstarted, unready, dead string
	// known is false until there is a result to pass on: before the first answer a run
	// is neither ready nor not.
	known bool
	told  Result // the last result that was passed on
}

// tell changes the result, and passes it on where it has changed.
func (s *session) tell(ctx context.Context, change func()) {
	s.prober.mu.Lock()
	defer s.prober.mu.Unlock()
	change()
	var why []string
	for _, part := range []struct{ probe, message string }{{"startup", s.unstarted}, {"readiness", s.unready}, {"liveness", s.dead}} {
		if part.message != "" {
			why = append(why, part.probe+": "+part.message)
		}
	}
	s.result.Message = strings.Join(why, "; ")
	if s.known && s.result != s.told && ctx.Err() == nil {
		s.told = s.result
		s.prober.changed(s.result)
	}
}

// startup probes until there is a verdict, and reports whether the probe has passed.
// Until then the other probes are not made, as with Kubernetes.
func (s *session) startup(ctx context.Context, p spec.Probe) (passed bool) {
	probing, done := context.WithCancel(ctx)
	defer done()
	failures := 0
	s.each(probing, "startup", p, func(err error) {
		s.tell(ctx, func() {
			// A replica that may have been ready for long is not known to be ready only
			// because it has started.
			s.known = s.known || err != nil || s.result.Ready
			if err == nil {
				s.result.Started, s.result.Since, s.unstarted = true, time.Now(), ""
				passed = true
				return
			}
			failures++
			s.result.Live, s.unstarted = failures < p.FailureThreshold, err.Error()
		})
		if passed || failures >= p.FailureThreshold {
			done()
		}
	})
	return passed
}

// follow probes until ctx ends, and applies each verdict.
func (s *session) follow(ctx context.Context, name string, p spec.Probe, v verdict, apply func(verdict)) {
	s.each(ctx, name, p, func(err error) {
		v.add(p, err, time.Now())
		s.tell(ctx, func() { apply(v) })
	})
}

// each makes the probe every period until ctx ends.
func (s *session) each(ctx context.Context, name string, p spec.Probe, result func(error)) {
	run := s.result.Run // it never changes
	first := max(time.Until(run.StartedAt.Add(p.InitialDelay)), 0)
	timer := time.NewTimer(first)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		began := time.Now()
		err := s.prober.once(ctx, p, run.Target)
		if ctx.Err() != nil {
			return
		}
		if _, unasked := errors.AsType[*Unasked](err); !unasked {
			if s.prober.Made != nil {
				s.prober.Made(name, time.Since(began), err)
			}
			result(err)
		}
		timer.Reset(max(p.Period-time.Since(began), 0))
	}
}
