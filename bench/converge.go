package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"

	"github.com/tendhq/tend/e2e/kit"
)

const (
	// quiet is how long no request must come until one counts as the last.
	quiet = time.Second
	// idleFor is how long an idle controller is watched: Go collects garbage at least every
	// two minutes, and only then returns what a burst of work held.
	idleFor = 3 * time.Minute
)

// contender does the work that is measured.
type contender interface {
	project() string
	// begin sets the project up with few replicas.
	begin(ctx context.Context) error
	// scale moves the project from one number of replicas to another.
	scale(ctx context.Context, from, to int) error
}

// convergence has bare engine calls, tend and Compose do the same work in turns.
type convergence struct {
	*bench
	bare    *bare
	tend    *tend
	compose *compose
}

func (b *bench) converge(ctx context.Context) (err error) {
	c := &convergence{bench: b, bare: &bare{cli: b.cli}}
	if c.tend, err = b.newTend("converge-tend"); err != nil {
		return err
	}
	if c.compose, err = b.newCompose("converge-compose"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.tend.stop()) }()
	return c.measure(ctx)
}

func (b *convergence) measure(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		b.begin, b.scale, b.kill, b.trace, b.noop,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (b *convergence) contenders() []contender { return []contender{b.bare, b.tend, b.compose} }

func (b *convergence) begin(ctx context.Context) error {
	for _, c := range b.contenders() {
		progress("setting up %s with %d replicas", c.project(), few)
		if err := within(ctx, c.begin); err != nil {
			return fmt.Errorf("%s: %w", c.project(), err)
		}
	}
	return nil
}

// scale measures the way from few to many replicas, and leaves many.
func (b *convergence) scale(ctx context.Context) error {
	took := map[contender][]time.Duration{}
	for round := range b.rounds {
		var line []string
		for _, c := range turn(b.contenders(), round) {
			err := within(ctx, func(ctx context.Context) error {
				d, err := b.scaleUp(ctx, c)
				if err != nil {
					return err
				}
				took[c] = append(took[c], d)
				line = append(line, fmt.Sprintf("%s %s", strings.TrimPrefix(c.project(), prefix), duration(d)))
				return c.scale(ctx, many, few)
			})
			if err != nil {
				return fmt.Errorf("%s: %w", c.project(), err)
			}
		}
		progress("%d to %d replicas, round %d of %d: %s", few, many, round+1, b.rounds, strings.Join(line, ", "))
	}
	m := measure{
		Name: fmt.Sprintf("%d → %d replicas", few, many),
		Series: []series{
			{bareName, took[b.bare]}, {tendName, took[b.tend]}, {composeName, took[b.compose]},
		},
	}
	b.report.Measures = append(b.report.Measures, m)
	b.report.ratio("scaling by tend, to bare calls", took[b.tend], took[b.bare], 1.15)
	b.report.ratio("scaling by tend, to Compose", took[b.tend], took[b.compose], 1)

	for _, c := range b.contenders() {
		progress("setting up %s with %d replicas", c.project(), many)
		if err := within(ctx, func(ctx context.Context) error { return c.scale(ctx, few, many) }); err != nil {
			return fmt.Errorf("%s: %w", c.project(), err)
		}
	}
	return nil
}

// scaleUp measures from just before the command is given or the spec saved
// until the engine has started the last replica.
func (b *convergence) scaleUp(ctx context.Context, c contender) (time.Duration, error) {
	if err := kit.Pause(ctx, settle); err != nil {
		return 0, err
	}
	mark, began := b.watch.mark(), time.Now()
	if err := c.scale(ctx, few, many); err != nil {
		return 0, err
	}
	last, err := b.watch.await(ctx, mark, c.project(), events.ActionStart, many-few)
	if err != nil {
		return 0, err
	}
	all, err := running(ctx, b.cli, c.project())
	if err == nil && len(all) != many {
		err = fmt.Errorf("%d containers run, not %d", len(all), many)
	}
	return instant(last).Sub(began), err
}

// kill measures from the death of a replica, as the engine tells it, until one
// has been started in its place.
func (b *convergence) kill(ctx context.Context) error {
	rounds := 2 * b.rounds
	inPlace := 0
	var created, started, kept []time.Duration
	repairs := []struct {
		project string
		repair  func(ctx context.Context, id string) error
		took    *[]time.Duration
	}{
		{bareProject, func(ctx context.Context, _ string) error {
			_, err := b.bare.runOne(ctx)
			return err
		}, &created},
		{bareProject, b.bare.start, &started},
		{tendProject, func(context.Context, string) error { return nil }, &kept},
	}
	victims := map[string][]container.Summary{}
	for _, p := range []string{bareProject, tendProject} {
		all, err := running(ctx, b.cli, p)
		if err != nil {
			return err
		}
		victims[p] = all
	}
	for round := range rounds {
		for _, r := range turn(repairs, round) {
			if err := kit.Pause(ctx, settle); err != nil {
				return err
			}
			victim := victims[r.project][0].ID
			victims[r.project] = victims[r.project][1:]
			err := within(ctx, func(ctx context.Context) error {
				mark := b.watch.mark()
				if err := b.cli.ContainerKill(ctx, victim, "SIGKILL"); err != nil {
					return err
				}
				died, err := b.watch.await(ctx, mark, r.project, events.ActionDie, 1)
				if err != nil {
					return err
				}
				if err := r.repair(ctx, victim); err != nil {
					return err
				}
				start, err := b.watch.await(ctx, mark, r.project, events.ActionStart, 1)
				*r.took = append(*r.took, instant(start).Sub(instant(died)))
				if r.project == tendProject && start.Actor.ID == victim {
					inPlace++
				}
				return err
			})
			if err != nil {
				return fmt.Errorf("%s: %w", r.project, err)
			}
		}
		if err := b.bare.clear(ctx); err != nil {
			return err
		}
		progress("a replica killed, round %d of %d: bare create and start %s, bare start %s, tend %s",
			round+1, rounds, duration(created[round]), duration(started[round]), duration(kept[round]))
	}
	b.report.InPlace, b.report.Kills = inPlace, rounds
	b.report.Measures = append(b.report.Measures, measure{
		Name: "a replica killed → one started in its place",
		Series: []series{
			{bareName + ", create and start", created}, {bareName + ", start in place", started}, {tendName, kept},
		},
	})
	b.report.ratio("replacing by tend, to bare create and start", kept, created, 1.3)
	return nil
}

// noop measures what it takes to find that there is nothing to do.
func (b *convergence) noop(ctx context.Context) error {
	if err := b.tend.stop(); err != nil { // apply would leave the work to it
		return err
	}
	b.tend.host = ""
	rounds := 2 * b.rounds
	mark := b.watch.mark()
	commands := []struct {
		run  func(context.Context) error
		took []time.Duration
	}{{run: b.tend.apply}, {run: b.compose.up}}
	for round := range rounds {
		for i := range commands {
			c := &commands[(i+round)%len(commands)]
			if err := kit.Pause(ctx, settle); err != nil {
				return err
			}
			began := time.Now()
			if err := within(ctx, c.run); err != nil {
				return err
			}
			c.took = append(c.took, time.Since(began))
		}
		progress("nothing to do, round %d of %d: tend apply %s, docker compose up %s",
			round+1, rounds, duration(commands[0].took[round]), duration(commands[1].took[round]))
	}
	for _, project := range []string{tendProject, composeProject} {
		if changes := b.watch.since(mark, project); len(changes) > 0 {
			return fmt.Errorf("%s: there was something to do: %s of %s", project, changes[0].Action, changes[0].Actor.Attributes["name"])
		}
	}
	b.report.Measures = append(b.report.Measures, measure{
		Name:   fmt.Sprintf("nothing to do, %d replicas", many),
		Series: []series{{"tend apply", commands[0].took}, {"docker compose up --detach", commands[1].took}},
	})
	b.report.ratio("nothing to do by tend, to Compose", commands[0].took, commands[1].took, 0.8)
	return nil
}

// trace measures what tend asks of the engine and when, seen by a proxy
// between the two, and what an idle controller takes.
func (b *convergence) trace(ctx context.Context) error {
	socket := filepath.Join(b.dir, "engine.sock")
	p, err := startProxy(socket, b.cli.Dialer())
	if err != nil {
		return err
	}
	defer p.stop()
	b.tend.host, b.compose.host = "unix://"+socket, "unix://"+socket
	defer func() { b.compose.host = "" }()

	if err := b.tend.restart(b.tend.host); err != nil {
		return err
	}
	up := func(c contender) func(context.Context) error {
		return func(ctx context.Context) error { return c.scale(ctx, few, many) }
	}
	down := func(c contender) func(context.Context) error {
		return func(ctx context.Context) error { return c.scale(ctx, many, few) }
	}
	progress("counting what is asked of the engine from %d to %d replicas", few, many)
	for _, step := range []func(context.Context) error{
		down(b.tend), b.counted(p, tendScales, up(b.tend)),
		down(b.compose), b.counted(p, composeScales, up(b.compose)),
		func(ctx context.Context) error { return b.awaitQuiet(ctx, p) },
	} {
		if err := within(ctx, step); err != nil {
			return err
		}
	}
	if err := b.save(ctx, p); err != nil {
		return err
	}
	if err := b.idle(ctx, p); err != nil {
		return err
	}
	if err := b.tend.stop(); err != nil {
		return err
	}
	progress("counting what is asked of the engine when there is nothing to do")
	for _, step := range []func(context.Context) error{
		b.counted(p, tendNoop, b.tend.apply), b.counted(p, composeNoop, b.compose.up),
	} {
		if err := within(ctx, step); err != nil {
			return err
		}
	}
	return nil
}

// counted counts the requests by kind that come while work is done, and until
// no more follow.
func (b *convergence) counted(p *proxy, c column, work func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := b.awaitQuiet(ctx, p); err != nil {
			return err
		}
		began := time.Now()
		if err := work(ctx); err != nil {
			return err
		}
		if err := b.awaitQuiet(ctx, p); err != nil {
			return err
		}
		for _, r := range p.since(began) {
			b.report.count(c, r.kind)
		}
		return nil
	}
}

// awaitQuiet waits until no request has come for a while.
func (b *convergence) awaitQuiet(ctx context.Context, p *proxy) error {
	for {
		if err := kit.Pause(ctx, quiet); err != nil {
			return err
		}
		if len(p.since(time.Now().Add(-quiet))) == 0 {
			return nil
		}
	}
}

// save measures from just before a spec is saved, or Compose is run on a file that was,
// until the engine gets the first request because of it, and the first one that changes
// something.
func (b *convergence) save(ctx context.Context, p *proxy) error {
	rounds := 2 * b.rounds
	savers := []struct {
		name          string
		save          func(ctx context.Context, round int) (time.Time, error)
		settle        func(ctx context.Context) error
		first, change []time.Duration
	}{
		{name: tendName, save: b.saveSpec, settle: func(context.Context) error { return nil }},
		{name: composeName, save: func(ctx context.Context, _ int) (time.Time, error) {
			began := time.Now()
			return began, b.compose.scale(ctx, many, many+1)
		}, settle: func(ctx context.Context) error { return b.compose.scale(ctx, many+1, many) }},
	}
	for round := range rounds {
		for i := range savers {
			s := &savers[(i+round)%len(savers)]
			err := within(ctx, func(ctx context.Context) error {
				if err := b.awaitQuiet(ctx, p); err != nil {
					return err
				}
				saved, err := s.save(ctx, round)
				if err != nil {
					return err
				}
				requests := p.since(saved)
				changing := slices.IndexFunc(requests, func(r request) bool { return r.changes })
				s.first = append(s.first, requests[0].at.Sub(saved))
				s.change = append(s.change, requests[changing].at.Sub(saved))
				return s.settle(ctx)
			})
			if err != nil {
				return fmt.Errorf("%s, one replica more or less: %w", s.name, err)
			}
		}
		progress("a spec saved, round %d of %d: first request after %s, Compose's after %s",
			round+1, rounds, duration(savers[0].first[round]), duration(savers[1].first[round]))
	}
	m := measure{Name: "a spec saved → the engine asked"}
	for _, s := range savers {
		m.Series = append(m.Series, series{s.name + ", first request", s.first},
			series{s.name + ", first request that changes something", s.change})
	}
	b.report.Measures = append(b.report.Measures, m)
	b.report.below("a spec saved → first engine request, median", summarize(savers[0].first).median, 20*time.Millisecond)
	return nil
}

// saveSpec saves tend's spec with one replica more or, in every other round, one less,
// and waits until that is so. It returns the instant before.
func (b *convergence) saveSpec(ctx context.Context, round int) (time.Time, error) {
	to, action := many+1, events.ActionStart
	if round%2 == 1 {
		to, action = many, events.ActionDestroy
	}
	mark := b.watch.mark()
	saved, err := b.tend.save(to)
	if err != nil {
		return saved, err
	}
	return saved, b.tend.wait(ctx, mark, action, 1)
}

// idle watches a controller that has nothing to do.
func (b *convergence) idle(ctx context.Context, p *proxy) error {
	if err := within(ctx, func(ctx context.Context) error { return b.awaitQuiet(ctx, p) }); err != nil {
		return err
	}
	progress("watching the idle controller for %s", idleFor)
	before, err := readProcess(b.tend.run.cmd.Process.Pid)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := kit.Pause(ctx, idleFor); err != nil {
		return err
	}
	after, err := readProcess(b.tend.run.cmd.Process.Pid)
	if err != nil {
		return err
	}
	requests := p.since(began)
	b.report.Idle = idle{
		For:      idleFor,
		Requests: len(requests),
		CPU:      100 * (after.cpu - before.cpu).Seconds() / time.Since(began).Seconds(),
		Resident: after.resident, Peak: after.peak,
	}
	for _, r := range requests {
		progress("asked while idle: %s", r.kind)
	}
	b.report.idle()
	return nil
}
