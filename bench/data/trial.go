package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"

	"github.com/tendhq/tend/e2e/kit"
)

// outcome is what became of one copy of a project.
type outcome struct {
	Changes, Acknowledged, Lost int
	Violations                  []violation
	// Err is why the copy could not be tried to the end.
	Err error
}

// sound is whether nothing was lost, and nothing done that must never be.
func (o outcome) sound() bool { return o.Lost == 0 && len(o.Violations) == 0 && o.Err == nil }

// trial is one kind of project, kept by tend and, beside it, by Compose, under
// the same changes.
type trial struct {
	Kind          kind
	Tend, Compose outcome
	// Folder is where the logs are of a trial that failed, or empty.
	Folder string
}

// runTrials runs trials until the time is over. Their kinds and changes depend on
// the seed alone.
func runTrials(ctx context.Context, engine *client.Client, o options, chosen []kind) (r report, err error) {
	if r, err = newReport(ctx, engine, o); err != nil {
		return r, err
	}
	dir, err := os.MkdirTemp("", "tend-chaos-data-")
	if err != nil {
		return r, err
	}
	defer func() { _ = os.Remove(dir) }() // it stays where a trial has left logs
	image, err := kit.ImportProbe(ctx, engine, o.repository, probeImage)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, image()) }()
	progress("seed %d: trials begin for %s; logs of those that fail stay in %s", o.seed, o.duration, dir)
	w := startWitness(ctx, engine)
	l := &lab{options: o, engine: engine, witness: w, dir: dir, kinds: chosen, end: time.Now().Add(o.duration)}
	var workers sync.WaitGroup
	for range o.parallel {
		workers.Go(func() { l.work(ctx) })
	}
	workers.Wait()
	r.Trials = l.done
	return r, errors.Join(w.close(), context.Cause(ctx))
}

// lab is where trials are under way.
type lab struct {
	options
	engine  *client.Client
	witness *witness
	dir     string
	kinds   []kind
	end     time.Time

	mu    sync.Mutex
	begun int
	done  []trial
}

// work runs one trial after the other.
func (l *lab) work(ctx context.Context) {
	for ctx.Err() == nil && time.Now().Before(l.end) {
		l.mu.Lock()
		index := l.begun
		l.begun++
		l.mu.Unlock()
		t := l.run(ctx, index)
		if ctx.Err() != nil {
			return
		}
		l.mu.Lock()
		l.done = append(l.done, t)
		l.mu.Unlock()
	}
}

// kindOf is the kind of a trial: all come once before one comes again.
func (l *lab) kindOf(index int) kind {
	turn, place := index/len(l.kinds), index%len(l.kinds)
	order := rand.New(rand.NewPCG(l.seed, uint64(turn))).Perm(len(l.kinds))
	return l.kinds[order[place]]
}

// run runs one trial.
func (l *lab) run(ctx context.Context, index int) trial {
	t := trial{Kind: l.kindOf(index), Folder: filepath.Join(l.dir, fmt.Sprintf("%03d-%s", index+1, l.kindOf(index).Name))}
	sequence := draw(rand.New(rand.NewPCG(l.seed, 1<<32+uint64(index))))
	progress("trial %d, %s: begins", index+1, t.Kind.Name)
	var copies sync.WaitGroup
	copies.Go(func() { t.Tend = l.try(ctx, t, index, tendPeer, "tend", sequence) })
	copies.Go(func() { t.Compose = l.try(ctx, t, index, composePeer, "compose", sequence) })
	copies.Wait()
	if ctx.Err() != nil { // what was interrupted says nothing
		_ = os.RemoveAll(t.Folder)
		return t
	}
	for _, of := range []struct {
		peer peer
		outcome
	}{{tendPeer, t.Tend}, {composePeer, t.Compose}} {
		progress("trial %d, %s, %s: %d changes, %d rows acknowledged, %d lost", index+1, t.Kind.Name, of.peer, of.Changes, of.Acknowledged, of.Lost)
		for _, v := range of.Violations {
			progress("  %s", v)
		}
		if of.Err != nil {
			progress("  %v", of.Err)
		}
	}
	if t.Tend.sound() && t.Compose.Err == nil {
		if err := os.RemoveAll(t.Folder); err != nil {
			progress("%v", err)
		}
		t.Folder = ""
	}
	return t
}

// try brings up one copy, makes the changes, and reads back what it holds.
func (l *lab) try(ctx context.Context, t trial, index int, by peer, name string, sequence []drawn) (o outcome) {
	p := &project{
		kind: t.Kind, peer: by, name: fmt.Sprintf("tend-data-%d-%d-%s", os.Getpid(), index+1, name), dir: filepath.Join(t.Folder, name),
		bin: filepath.Join(l.repository, "build", "bin"), engine: l.engine,
	}
	p.judge = newJudge(t.Kind.shared, p.tell)
	p.writer = &writer{addresses: p.addresses, connect: func(ctx context.Context, address string) (store, error) { return connect(ctx, p.store, address) }}
	if err := p.prepare(); err != nil {
		return outcome{Err: err}
	}
	l.witness.tell(p.name, p.judge)
	defer func() {
		if !o.sound() {
			p.saveLogs(ctx)
		}
		p.judge.close()
		if err := p.remove(ctx); err != nil {
			o.Err = errors.Join(o.Err, fmt.Errorf("remove the project %s: %w", p.name, err))
		}
		l.witness.leave(p.name)
	}()
	if o.Changes, o.Err = p.disturb(ctx, sequence); ctx.Err() != nil {
		return o
	}
	acknowledged := p.writer.rows()
	read, damage, err := p.readBack(ctx)
	lost := audit(acknowledged, read)
	o.Acknowledged, o.Lost = len(acknowledged), len(lost)
	if err != nil {
		p.judge.report(unreadable, "%v", err)
	}
	for _, d := range damage {
		p.judge.report(damaged, "%s", d)
	}
	if len(lost) > 0 {
		p.tell("LOST: %d rows, from %d to %d", len(lost), lost[0], lost[len(lost)-1])
	}
	o.Violations = p.judge.violations()
	return o
}

// disturb makes changes while rows are written, and returns how many it made.
func (p *project) disturb(ctx context.Context, sequence []drawn) (changes int, err error) {
	if err := p.keep(ctx); err != nil {
		return 0, err
	}
	writing, end := context.WithCancel(ctx)
	var writer sync.WaitGroup
	defer writer.Wait()
	defer end()
	writer.Go(func() { p.writer.write(writing) })
	if err := p.awaitWritten(ctx); err != nil {
		return 0, fmt.Errorf("%s: it does not come up: %w", p.peer, err)
	}
	for _, c := range sequence {
		made, ok := p.make(ctx, c)
		if made {
			changes++
		}
		if !ok {
			break
		}
	}
	return changes, nil
}

// readBack reads what the store holds after a restart, so that it is what is on
// the disk. The peer has ended, and nothing is written any more.
func (p *project) readBack(ctx context.Context) (map[int]bool, []string, error) {
	p.kill(os.Interrupt)
	last, err := p.lastContainers(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, c := range last {
		if err := p.engine.ContainerRestart(ctx, c.ID, container.StopOptions{}); err != nil {
			return nil, nil, err
		}
	}
	found, damage := map[int]bool{}, []string(nil)
	for _, c := range last {
		rows, more, err := p.readOne(ctx, c.ID)
		if err != nil {
			return found, damage, fmt.Errorf("%s: %w", c.Name, err)
		}
		for n := range rows {
			found[n] = true
		}
		damage = append(damage, more...)
	}
	return found, damage, nil
}

// lastContainers are the store's that run, or else the newest that has ended. Where
// there is none, Compose makes one, as a person would have it do who wants to see
// the data; it would be given an empty anonymous volume.
func (p *project) lastContainers(ctx context.Context) ([]container.InspectResponse, error) {
	running, err := p.running(ctx)
	if err != nil || len(running) > 0 {
		return running, err
	}
	ended, err := p.engine.ContainerList(ctx, container.ListOptions{All: true, Filters: p.labelled(kit.ServiceLabel + "=" + service)})
	if err != nil {
		return nil, err
	}
	if len(ended) > 0 { // the newest comes first
		newest, err := p.engine.ContainerInspect(ctx, ended[0].ID)
		return []container.InspectResponse{newest}, err
	}
	if p.anonymous {
		return nil, errors.New("no container is left, and its volume has no name")
	}
	if err := p.composeIn(ctx, p.folder(), "up", "-d"); err != nil {
		return nil, err
	}
	return p.running(ctx)
}

// readOne reads what one container holds, as soon as it answers.
func (p *project) readOne(ctx context.Context, id string) (rows map[int]bool, damage []string, err error) {
	ctx, cancel := kit.Patience(ctx, patience)
	defer cancel()
	err = kit.Await(ctx, func() error {
		c, err := p.engine.ContainerInspect(ctx, id)
		if err != nil {
			return err
		}
		err = fmt.Errorf("it is %s, with the exit code %d", c.State.Status, c.State.ExitCode)
		for _, address := range addressesOf(c) {
			if rows, damage, err = p.readAt(ctx, address); err == nil {
				return nil
			}
		}
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("it does not answer after a restart: %w", err)
	}
	return rows, append(damage, p.checkAOF(ctx, id)...), nil
}

func (p *project) readAt(ctx context.Context, address string) (map[int]bool, []string, error) {
	s, err := connect(ctx, p.store, address)
	if err != nil {
		return nil, nil, err
	}
	defer s.close()
	return s.rows(ctx)
}

// checkAOF has Redis check its append-only file.
func (p *project) checkAOF(ctx context.Context, id string) []string {
	if p.store != "redis" {
		return nil
	}
	output, err := exec.CommandContext(ctx, "docker", "exec", id, "redis-check-aof", "/data/appendonlydir/appendonly.aof.manifest").CombinedOutput()
	if err != nil {
		return []string{fmt.Sprintf("redis-check-aof: %v: %.300s", err, output)}
	}
	return nil
}
