package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/docker/docker/api/types/events"

	"github.com/tendhq/tend/e2e/kit"
)

// rolloutPolicy is what a person writes who wants all replicas ready at any
// time. The surge is the default.
const rolloutPolicy = `  strategy: {rollingUpdate: {maxSurge: 25%, maxUnavailable: 0}}
  startupProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 0.2}
  readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1}
`

// roller replaces all replicas of a project by others.
type roller interface {
	project() string
	// settled waits until the rollout before has ended altogether.
	settled(ctx context.Context) error
	roll(ctx context.Context) error
}

// rollout measures how long it takes to replace many replicas, on an engine of its
// own: what could lock up an engine, as Compose's stop of thirty containers at the
// same moment, or changes it, as Swarm, is done there.
func (b *bench) rollout(ctx context.Context) (err error) {
	dir, err := b.folder("engine")
	if err != nil {
		return err
	}
	progress("starting an engine for the rollouts")
	e, err := kit.NewEngine(dir, filepath.Join(dir, "root"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Stop(), e.Close()) }()
	if err := within(ctx, func(ctx context.Context) error { return e.Start(ctx) }); err != nil {
		return errors.Join(err, errors.New(e.Log()))
	}
	if err := e.Copy(ctx, b.cli, imageName); err != nil {
		return err
	}
	w := startWatch(ctx, e.Client)
	defer w.close()

	t, err := b.newTend("rollout-tend")
	if err != nil {
		return err
	}
	t.watch, t.host, t.before, t.policy = w, e.DaemonHost(), e.Inside(), rolloutPolicy
	defer func() { err = errors.Join(err, t.stop()) }()
	c, err := b.newCompose("rollout-compose")
	if err != nil {
		return err
	}
	c.cli, c.host = e.Client, e.DaemonHost()
	s := &swarmMode{cli: e.Client, watch: w}
	for _, begin := range []func(context.Context) error{
		func(ctx context.Context) error { return t.beginWith(ctx, many) },
		func(ctx context.Context) error { return c.scale(ctx, 0, many) },
		s.begin,
	} {
		if err := within(ctx, begin); err != nil {
			return err
		}
	}
	f, err := follow(ctx, t.dir)
	if err != nil {
		return err
	}
	defer f.close()
	if _, err := f.await(ctx, time.Now(), func(replicas []string) bool { return len(replicas) == many }); err != nil {
		return err
	}

	rollers := []struct {
		roller
		name  string
		took  []time.Duration
		least int
	}{
		{roller: t, name: tendName},
		{roller: c, name: composeName + ", all at once"},
		{roller: swarmRollout{s, 1}, name: swarmName + ", parallelism 1 (its default)"},
		{roller: swarmRollout{s, 10}, name: swarmName + ", parallelism 10"},
	}
	rounds := (b.rounds + 1) / 2
	readyLeast := many
	for i := range rollers {
		rollers[i].least = many
	}
	for round := range rounds {
		var line []string
		for i := range rollers {
			r := &rollers[(i+round)%len(rollers)]
			began := time.Now()
			err := within(ctx, func(ctx context.Context) error {
				took, least, err := rollOnce(ctx, w, r.roller)
				r.took, r.least = append(r.took, took), min(r.least, least)
				return err
			})
			if err != nil {
				return fmt.Errorf("%s: %w", r.name, errors.Join(err, t.run.said()))
			}
			if r.roller == roller(t) {
				readyLeast = min(readyLeast, f.fewest(began))
			}
			line = append(line, fmt.Sprintf("%s %s", r.name, duration(r.took[round])))
		}
		progress("%d replicas replaced, round %d of %d: %s", many, round+1, rounds, strings.Join(line, ", "))
	}
	m := measure{Name: fmt.Sprintf("%d replicas replaced by new ones", many)}
	for _, r := range rollers {
		m.Series = append(m.Series, series{r.name, r.took})
		b.report.Floors = append(b.report.Floors, floor{r.name, r.least})
	}
	b.report.Measures = append(b.report.Measures, m)
	b.report.exactly(fmt.Sprintf("rollout by tend, fewest ready of %d replicas", many), readyLeast, many)
	b.report.ratio("rollout by tend, to Compose's all at once", rollers[0].took, rollers[1].took, 1.5)
	b.report.ratio("rollout by tend, to Swarm's start-first", rollers[0].took, rollers[2].took, 0.5)
	return nil
}

// rollOnce measures from just before a rollout is asked for until all replicas
// that were there have ended and as many others have started, and counts the
// fewest that ran meanwhile.
func rollOnce(ctx context.Context, w *watch, r roller) (took time.Duration, least int, err error) {
	if err := errors.Join(r.settled(ctx), kit.Pause(ctx, settle)); err != nil {
		return 0, 0, err
	}
	mark, began := w.mark(), time.Now()
	if err := r.roll(ctx); err != nil {
		return 0, 0, err
	}
	started, err := w.await(ctx, mark, r.project(), events.ActionStart, many)
	if err != nil {
		return 0, 0, err
	}
	ended, err := w.await(ctx, mark, r.project(), events.ActionDie, many)
	if err != nil {
		return 0, 0, err
	}
	last := instant(started)
	if instant(ended).After(last) {
		last = instant(ended)
	}
	return last.Sub(began), fewestRunning(w.since(mark, r.project()), many), nil
}

// fewestRunning is the least number of running replicas while events came, of
// those that ran before the first one.
func fewestRunning(happened []events.Message, running int) int {
	least := running
	for _, m := range happened {
		switch m.Action {
		case events.ActionStart:
			running++
		case events.ActionDie:
			running--
		}
		least = min(least, running)
	}
	return least
}
