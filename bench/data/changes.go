package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"syscall"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"

	"github.com/tendhq/tend/e2e/kit"
)

// change is something that a person does to a project, or that happens to it.
// The peer makes good what follows from it, and is given the time to.
type change struct {
	name string
	do   func(ctx context.Context, p *project, rng *rand.Rand) error
}

var update = change{"an environment value changed", func(_ context.Context, p *project, _ *rand.Rand) error { return p.edit() }}

// changes are all there are. Each is made once in a trial.
var changes = []change{
	update,
	{"an environment value changed, and the peer killed in the middle", updateInterrupted},
	{"an environment value changed while the peer is away", updateAway},
	{"a crash", crash},
	{"docker kill", onOne(func(ctx context.Context, p *project, id string) error { return p.engine.ContainerKill(ctx, id, "KILL") })},
	{"docker rm -f", onOne(func(ctx context.Context, p *project, id string) error {
		return p.engine.ContainerRemove(ctx, id, container.RemoveOptions{Force: true})
	})},
	{"docker stop", onOne(func(ctx context.Context, p *project, id string) error {
		return p.engine.ContainerStop(ctx, id, container.StopOptions{})
	})},
	{"the peer killed and started again", peerKilled},
	{"a second Compose file brought up in the project", secondFile},
	{"another folder's project of the same name brought up", otherFolder},
	{"everything gone in one save, and put back", gone},
	{"the containers and their network removed while the peer is away", networkGone},
}

// moreUpdates is how many updates a trial has besides the one among the changes.
const moreUpdates = 2

// drawn is a change with the seed of its draws, the same for both peers.
type drawn struct {
	change
	seed uint64
}

// draw puts the changes of a trial in an order.
func draw(rng *rand.Rand) (all []drawn) {
	for _, c := range changes {
		all = append(all, drawn{c, rng.Uint64()})
	}
	for range moreUpdates {
		all = append(all, drawn{update, rng.Uint64()})
	}
	rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// between draws a time.
func between(rng *rand.Rand, from, to time.Duration) time.Duration {
	return from + time.Duration(rng.Int64N(int64(to-from)))
}

// onOne does something to one of the store's containers.
func onOne(do func(ctx context.Context, p *project, id string) error) func(context.Context, *project, *rand.Rand) error {
	return func(ctx context.Context, p *project, rng *rand.Rand) error {
		running, err := p.running(ctx)
		if err != nil || len(running) == 0 {
			return errors.Join(err, errNothing)
		}
		c := running[rng.IntN(len(running))]
		p.tell("to %s, %.12s", c.Name, c.ID)
		return do(ctx, p, c.ID)
	}
}

var errNothing = errors.New("no container of the store runs")

// crash ends a container's process from within, as the engine sees it.
func crash(ctx context.Context, p *project, rng *rand.Rand) error {
	return onOne(func(ctx context.Context, p *project, id string) error {
		c, err := p.engine.ContainerInspect(ctx, id)
		if err != nil || c.State.Pid == 0 {
			return errors.Join(err, errNothing)
		}
		return syscall.Kill(c.State.Pid, syscall.SIGKILL)
	})(ctx, p, rng)
}

// updateInterrupted kills the peer early, where Compose is in the middle, or
// late, where tend is.
func updateInterrupted(ctx context.Context, p *project, rng *rand.Rand) error {
	latest := []time.Duration{600 * time.Millisecond, 5 * time.Second}[rng.IntN(2)]
	return errors.Join(p.edit(), p.interrupt(ctx, between(rng, 50*time.Millisecond, latest)))
}

func updateAway(ctx context.Context, p *project, rng *rand.Rand) error {
	p.kill(os.Kill)
	return errors.Join(p.edit(), kit.Pause(ctx, between(rng, 0, 2*time.Second)))
}

func peerKilled(ctx context.Context, p *project, rng *rand.Rand) error {
	p.kill(os.Kill)
	return kit.Pause(ctx, between(rng, 0, 2*time.Second))
}

// strangerTime is how long a peer has to do wrong to a stranger.
const strangerTime = 4 * time.Second

func secondFile(ctx context.Context, p *project, _ *rand.Rand) error {
	return p.stranger(ctx, p.folder(), "-f", "compose.second.yaml", "up", "-d")
}

func otherFolder(ctx context.Context, p *project, _ *rand.Rand) error {
	return p.stranger(ctx, p.other(), "up", "-d")
}

// stranger brings up what is not the project's own, and gives the peer time.
func (p *project) stranger(ctx context.Context, dir string, command ...string) error {
	return errors.Join(p.composeIn(ctx, dir, command...), p.keep(ctx), kit.Pause(ctx, strangerTime))
}

// goneTime is how long the Compose file says nothing.
const goneTime = 5 * time.Second

func gone(ctx context.Context, p *project, rng *rand.Rand) error {
	before, err := p.running(ctx)
	if err != nil {
		return err
	}
	content := []string{"services: {}\n", ""}[rng.IntN(2)]
	if err := errors.Join(p.save(content), p.keep(ctx), kit.Pause(ctx, goneTime)); err != nil {
		return err
	}
	after, err := p.running(ctx)
	if err != nil {
		return err
	}
	if len(after) < len(before) {
		p.judge.report(takenDown, "%d of %d containers run %s after the file said %q", len(after), len(before), goneTime, content)
	}
	return p.save(p.compose(p.setting))
}

func networkGone(ctx context.Context, p *project, _ *rand.Rand) error {
	p.kill(os.Kill)
	running, err := p.running(ctx)
	if err != nil {
		return err
	}
	for _, c := range running {
		if err := p.engine.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: true}); err != nil {
			return err
		}
	}
	networks, err := p.engine.NetworkList(ctx, network.ListOptions{Filters: p.labelled()})
	errs := []error{err}
	for _, n := range networks {
		errs = append(errs, p.engine.NetworkRemove(ctx, n.ID))
	}
	return errors.Join(errs...)
}

// make makes a change, and waits until the peer has made good what follows.
// made is whether it could be made, and ok whether all is well after it.
func (p *project) make(ctx context.Context, c drawn) (made, ok bool) {
	rng := rand.New(rand.NewPCG(c.seed, 0))
	p.tell("CHANGE: %s, after %d rows", c.name, p.writer.count())
	err := c.do(ctx, p, rng)
	if err != nil {
		p.tell("it could not be made: %v", err)
	}
	made = err == nil
	if err := errors.Join(p.keep(ctx), p.awaitWritten(ctx)); err != nil && ctx.Err() == nil {
		p.judge.report(notBack, "%s: after %s %v", c.name, patience, err)
		return made, false
	}
	return made, kit.Pause(ctx, between(rng, 500*time.Millisecond, 2500*time.Millisecond)) == nil
}
