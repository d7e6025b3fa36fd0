package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tendhq/tend/e2e/kit"
	"github.com/tendhq/tend/e2e/load"
)

const (
	// convergence bounds the time from the last fault until the shop is as it is
	// written: the longest back-off of a replica, and the time to come up.
	convergence = 10 * time.Minute
	// rest is for how long nothing must be written after that.
	rest = 20 * time.Second
)

// chaos is a run.
type chaos struct {
	options
	dir     string
	journal *journal
	judge   *judge
	engine  *daemon
	tend    *tend
	specs   *specs

	made, missed counter
	mending      sync.WaitGroup
	filling      sync.Mutex

	requests, failed, acknowledged, unknown int
	outcomes                                map[string]int // of failed requests
	rollbacks                               int
	rewritten                               map[string]time.Time // by workload
	converged                               []time.Duration
}

// inside does a run, in the namespaces.
func inside(parent context.Context, o options) (err error) {
	journal, err := newJournal(filepath.Join(o.inside, "journal.log"))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	c := &chaos{options: o, dir: o.inside, journal: journal, judge: newJudge(journal, o.inside, cancel), outcomes: map[string]int{}, rewritten: map[string]time.Time{}}
	err = c.run(ctx)
	if violation := context.Cause(ctx); violation != nil {
		err = violation
	}
	if err != nil {
		fmt.Printf("the last of the journal:\n")
		journal.show(os.Stdout)
	}
	fmt.Print(c.report())
	return errors.Join(err, journal.close())
}

func (c *chaos) run(ctx context.Context) (err error) {
	if c.engine, err = newDaemon(c.dir, c.journal, c.judge); err != nil {
		return err
	}
	if c.tend, err = newTend(c.dir, c.journal, c.judge); err != nil {
		return err
	}
	if c.specs, err = readSpecs(c.dir, c.judge); err != nil {
		return err
	}
	c.journal.say("seed %d: starting an engine", c.seed)
	if err := c.engine.up(ctx, false); err != nil {
		return err
	}
	if err := c.engine.loadImages(ctx); err != nil {
		return err
	}
	if err := plant(ctx, c.engine); err != nil {
		return fmt.Errorf("make what is not tend's: %w", err)
	}
	c.journal.say("starting the shop")
	var parts sync.WaitGroup
	defer parts.Wait()
	keeping, endKeeping := context.WithCancel(ctx)
	defer endKeeping()
	parts.Go(func() { c.tend.keep(keeping) })
	if err := c.awaitConverged(ctx, time.Now()); err != nil {
		return err
	}
	c.converged = nil
	if err := c.judge.settle(); err != nil {
		return err
	}
	before, err := remains(ctx, c.engine)
	if err != nil {
		return err
	}
	parts.Go(func() { c.guard(keeping) })
	for end := time.Now().Add(c.duration); time.Now().Before(end); {
		if err := c.oneRound(ctx, min(c.round, time.Until(end))); err != nil {
			return err
		}
	}
	after, err := remains(ctx, c.engine)
	if err != nil {
		return err
	}
	if !maps.Equal(before, after) {
		return fmt.Errorf("VIOLATION: what is not tend's, or keeps data, has changed from %v to %v", before, after)
	}
	return nil
}

// oneRound makes faults for a time, under load, and has the shop converge.
func (c *chaos) oneRound(ctx context.Context, during time.Duration) error {
	round := uint64(len(c.converged))
	c.journal.say("round %d: %s of faults", round+1, during.Round(time.Second))
	loadCtx, endLoad := context.WithCancel(ctx)
	defer endLoad()
	var report load.Report
	var loadErr error
	loaded := make(chan struct{})
	go func() {
		defer close(loaded)
		report, loadErr = load.Run(loadCtx, load.Config{
			URL: "http://127.0.0.1:8080", Rate: c.rate, Concurrency: 4, Writes: 0.5, Fresh: 0.2, Timeout: 20 * time.Second,
		})
	}()
	defer func() { endLoad(); <-loaded }()
	if err := kit.Pause(ctx, 3*time.Second); err != nil { // its users are registered
		return err
	}

	faulty, endFaults := context.WithTimeout(ctx, during)
	defer endFaults()
	var parts sync.WaitGroup
	parts.Go(func() { c.tend.harass(faulty, rand.New(rand.NewPCG(c.seed, 2*round))) })
	c.afflict(faulty, rand.New(rand.NewPCG(c.seed, 2*round+1)))
	parts.Wait()
	if err := errors.Join(context.Cause(ctx), c.specs.restore()); err != nil {
		return err
	}
	c.journal.say("round %d: the faults end", round+1)
	if err := c.awaitConverged(ctx, time.Now()); err != nil {
		return err
	}
	c.journal.say("round %d: converged after %s", round+1, c.converged[round].Round(100*time.Millisecond))
	endLoad()
	<-loaded
	c.count(report)
	if loadErr != nil {
		return loadErr
	}
	if len(report.Ledger.Wrong) > 0 {
		return fmt.Errorf("VIOLATION: of %d acknowledged writes these are not there exactly once:\n%s",
			report.Ledger.Acknowledged, strings.Join(report.Ledger.Wrong, "\n"))
	}
	if err := c.assertRest(ctx); err != nil {
		return err
	}
	// A run that is interrupted leaves this.
	return os.WriteFile(filepath.Join(c.dir, "report"), []byte(c.report()), 0o644)
}

// count adds up what the load came to.
func (c *chaos) count(r load.Report) {
	c.requests += r.Requests
	c.failed += len(r.Failures)
	c.acknowledged += r.Ledger.Acknowledged
	c.unknown += r.Ledger.Unknown
	for _, f := range r.Failures {
		c.outcomes[f.Outcome]++
	}
	c.journal.say("load: %d requests, %d failed; %d writes acknowledged, %d wrong", r.Requests, len(r.Failures), r.Ledger.Acknowledged, len(r.Ledger.Wrong))
}

// awaitConverged waits until the shop is as it is written, and as many
// containers run. A revision that was given up because of the faults is written
// anew, as a person would. One look is not enough: tend may not have read yet
// what was written just before.
func (c *chaos) awaitConverged(ctx context.Context, since time.Time) error {
	for good := 0; ; {
		problem := c.unconverged(ctx)
		if good++; problem != nil {
			good = 0
		}
		if good == 3 {
			c.converged = append(c.converged, time.Since(since))
			return nil
		}
		if time.Since(since) > convergence {
			return fmt.Errorf("VIOLATION: not converged after %s: %w\n%s", convergence, problem, c.addresses(ctx))
		}
		if err := kit.Pause(ctx, time.Second); err != nil {
			return err
		}
	}
}

// addresses lists the containers with their addresses: an engine that was killed may
// give one to two of them.
func (c *chaos) addresses(ctx context.Context) string {
	all, err := kit.Containers(ctx, c.engine, kit.ProjectLabel)
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	for _, one := range all {
		fmt.Fprintf(&b, "%s %s", one.Name, one.State.Status)
		for _, name := range slices.Sorted(maps.Keys(one.NetworkSettings.Networks)) {
			fmt.Fprintf(&b, " %s=%s", name, one.NetworkSettings.Networks[name].IPAddress)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func (c *chaos) unconverged(ctx context.Context) error {
	all, err := workloads(ctx, c.dir)
	if err != nil {
		return err
	}
	if len(all) != len(replicas)+1 {
		return fmt.Errorf("tend knows of %d workloads", len(all))
	}
	var problems []error
	for _, w := range all {
		if kit.RolledBack(w) {
			problems = append(problems, fmt.Errorf("%s was rolled back", w.Metadata.Name), c.writeAnew(w.Metadata.Name))
		} else if !kit.AtRest(w) {
			problems = append(problems, fmt.Errorf("%s: %v", w.Metadata.Name, w.Status.Conditions))
		}
	}
	counts := maps.Clone(replicas)
	counts[gatewayIngress] = 1
	for name, n := range counts {
		running := c.judge.some(func(b box) bool { return b.service == name && b.running && !b.paused })
		there := c.judge.some(func(b box) bool { return b.service == name })
		if len(running) != n || len(there) != n {
			problems = append(problems, fmt.Errorf("%s: %d of %d containers run, and %d are to", name, len(running), len(there), n))
		}
	}
	return errors.Join(problems...)
}

// writeAnew gives a workload another revision, and tend some time to notice.
func (c *chaos) writeAnew(name string) error {
	if time.Since(c.rewritten[name]) < 10*time.Second {
		return nil
	}
	c.journal.say("%s was rolled back: write it anew", name)
	c.rewritten[name] = time.Now()
	c.rollbacks++
	return c.specs.update(name)
}

// assertRest checks that nothing is written for a while.
func (c *chaos) assertRest(ctx context.Context) error {
	began := time.Now()
	if err := kit.Pause(ctx, rest); err != nil {
		return err
	}
	if quiet := c.judge.quiet(); quiet < time.Since(began) {
		return fmt.Errorf("VIOLATION: tend asked for a change, or a container changed, %s after the shop had converged",
			(time.Since(began) - quiet).Round(time.Millisecond))
	}
	return nil
}

// guard restarts an engine that locks up (docs/adr/0009) or ends by itself, as
// its operator would.
func (c *chaos) guard(ctx context.Context) {
	for kit.Pause(ctx, 10*time.Second) == nil {
		if c.engine.useless(ctx) && ctx.Err() == nil {
			c.journal.say("the engine has locked up, or ended: restart it")
			c.made.add(failedEngine)
			if err := c.engine.restart(ctx, 0, false); err != nil && ctx.Err() == nil {
				c.judge.fail("the engine cannot be restarted: %v", err)
			}
		}
	}
}

const failedEngine = "restart of an engine that had locked up, or ended, by itself"

// report says what was done and what came of it.
func (c *chaos) report() string {
	var b strings.Builder
	counts := c.judge.counted()
	fmt.Fprintf(&b, "seed %d: %d faults in %d rounds that converged\n%s", c.seed, c.made.total(), len(c.converged), c.list())
	if c.tend != nil {
		fmt.Fprintf(&b, "  %s\n", c.tend)
	}
	fmt.Fprintf(&b, "  %4d %s\n  %4d revisions that were given up because of faults, and written anew\n", c.made.of(failedEngine), failedEngine, c.rollbacks)
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(&b, "checked: %d %s\n", counts[name], name)
	}
	fmt.Fprintf(&b, "load: %d requests, %d failed %v; ledger: %d writes acknowledged and there exactly once, %d without an answer\n",
		c.requests, c.failed, c.outcomes, c.acknowledged, c.unknown)
	if times := slices.Sorted(slices.Values(c.converged)); len(times) > 0 {
		fmt.Fprintf(&b, "converged after %s at the median, %s at most\n",
			times[len(times)/2].Round(100*time.Millisecond), times[len(times)-1].Round(100*time.Millisecond))
	}
	return b.String()
}
