package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"golang.org/x/sys/unix"

	"github.com/tendhq/tend/e2e/kit"
)

// fault is one thing that goes wrong, or that people do.
type fault struct {
	name string
	// weight is how often it is drawn, among all.
	weight int
	// do does it; what is to be undone is undone before the round ends.
	do func(ctx context.Context, c *chaos, rng *rand.Rand) error
}

// errNothing reports that there was nothing to do a fault to.
var errNothing = errors.New("nothing there to do it to")

var faults = []fault{
	{"kill -9 of a container", 16, killContainer},
	{"stop of a container by a person", 5, stopContainer},
	{"pause of a container", 7, pauseContainer},
	{"rm -f of a container", 6, removeContainer},
	{"network cut and mended", 7, cutNetwork},
	{"kill -9 and restart of the engine", 2, restartEngine},
	{"full disk of the engine", 2, fillEngine},
	{"full disk of tend's data directory", 3, fillData},
	{"scaling", 10, scale},
	{"new revision of a service", 6, updateService},
	{"new setting of a database", 2, updateDatabase},
	{"new revision of a service without a spec", 4, updateStore},
	{"invalid spec", 4, spoilSpec},
	{"specs folder gone for a while", 3, hideSpecs},
}

// deal chooses faults without end: first each once, as a round may be short, and
// then by their weights.
func deal(rng *rand.Rand) iter.Seq[fault] {
	var deck []fault
	for _, f := range faults {
		deck = append(deck, slices.Repeat([]fault{f}, f.weight)...)
	}
	return func(yield func(fault) bool) {
		for _, i := range rng.Perm(len(faults)) {
			if !yield(faults[i]) {
				return
			}
		}
		for yield(deck[rng.IntN(len(deck))]) {
		}
	}
}

// afflict makes faults, one after the other, until ctx ends. What was broken
// for a while is mended when it returns.
func (c *chaos) afflict(ctx context.Context, rng *rand.Rand) {
	for f := range deal(rng) {
		if kit.Pause(ctx, between(rng, 200*time.Millisecond, 3*time.Second)) != nil {
			break
		}
		switch err := f.do(ctx, c, rng); {
		case err == nil:
			c.made.add(f.name)
		case errors.Is(err, errNothing) || ctx.Err() != nil:
		default: // what it was meant for may have gone, or the disk be full
			c.journal.note("chaos", "%s: %v", f.name, err)
			c.missed.add(f.name)
		}
	}
	c.mending.Wait()
}

// later undoes something after a while, or when the round ends.
func (c *chaos) later(ctx context.Context, after time.Duration, what string, undo func(context.Context) error) {
	c.mending.Go(func() {
		_ = kit.Pause(ctx, after)
		if err := undo(context.WithoutCancel(ctx)); err != nil {
			c.journal.note("chaos", "%s: %v", what, err)
		}
	})
}

// act does something to a container that runs.
func (c *chaos) act(rng *rand.Rand, what string, do func(b box) error) error {
	running := c.judge.some(func(b box) bool { return b.running && !b.paused })
	if len(running) == 0 {
		return errNothing
	}
	b := running[rng.IntN(len(running))]
	return c.actOn(b, what, func() error { return do(b) })
}

func (c *chaos) actOn(b box, what string, do func() error) error {
	c.engine.using.RLock()
	defer c.engine.using.RUnlock()
	c.journal.say("%s %s %.12s", what, b.name, b.id)
	c.judge.touch(b.id)
	defer c.judge.touch(b.id)
	return do()
}

// call bounds a call to the engine.
func call(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, 90*time.Second)
}

func killContainer(ctx context.Context, c *chaos, rng *rand.Rand) error {
	return c.act(rng, "kill -9", func(b box) error {
		ctx, cancel := call(ctx)
		defer cancel()
		return c.engine.ContainerKill(ctx, b.id, "KILL")
	})
}

func stopContainer(ctx context.Context, c *chaos, rng *rand.Rand) error {
	seconds := 60
	return c.act(rng, "stop", func(b box) error {
		ctx, cancel := call(ctx)
		defer cancel()
		return c.engine.ContainerStop(ctx, b.id, container.StopOptions{Timeout: &seconds})
	})
}

// pauseContainer lets a container go on after a while, unless tend has done so,
// or has replaced it.
func pauseContainer(ctx context.Context, c *chaos, rng *rand.Rand) error {
	after := between(rng, 2*time.Second, 20*time.Second)
	return c.act(rng, fmt.Sprintf("pause for %s", after), func(b box) error {
		limited, cancel := call(ctx)
		defer cancel()
		if err := c.engine.ContainerPause(limited, b.id); err != nil {
			return err
		}
		c.later(ctx, after, "unpause", func(ctx context.Context) error {
			return c.actOn(b, "unpause", func() error {
				ctx, cancel := call(ctx)
				defer cancel()
				return c.engine.ContainerUnpause(ctx, b.id)
			})
		})
		return nil
	})
}

func removeContainer(ctx context.Context, c *chaos, rng *rand.Rand) error {
	return c.act(rng, "rm -f", func(b box) error {
		ctx, cancel := call(ctx)
		defer cancel()
		return c.engine.ContainerRemove(ctx, b.id, container.RemoveOptions{Force: true})
	})
}

// cutNetwork takes a container off one of its networks, and puts it back after
// a while, unless it was replaced meanwhile.
func cutNetwork(ctx context.Context, c *chaos, rng *rand.Rand) error {
	after := between(rng, time.Second, 15*time.Second)
	return c.act(rng, fmt.Sprintf("cut for %s from a network:", after), func(b box) error {
		limited, cancel := call(ctx)
		defer cancel()
		found, err := c.engine.ContainerInspect(limited, b.id)
		if err != nil {
			return err
		}
		names := slices.Sorted(maps.Keys(found.NetworkSettings.Networks))
		if len(names) == 0 {
			return errNothing
		}
		name := names[rng.IntN(len(names))]
		was := found.NetworkSettings.Networks[name]
		// Also after an error: an engine on a full disk says so after it was done.
		err = c.engine.NetworkDisconnect(limited, name, b.id, false)
		c.later(ctx, after, "mend the network", func(ctx context.Context) error {
			return c.actOn(b, "connect to "+name, func() error {
				ctx, cancel := call(ctx)
				defer cancel()
				return c.engine.NetworkConnect(ctx, name, b.id, &network.EndpointSettings{Aliases: was.Aliases})
			})
		})
		return err
	})
}

func restartEngine(ctx context.Context, c *chaos, rng *rand.Rand) error {
	after, liveRestore := between(rng, 0, 5*time.Second), rng.IntN(3) == 0
	c.journal.say("kill -9 the engine, start it again after %s, live-restore: %t", after, liveRestore)
	return c.engine.restart(context.WithoutCancel(ctx), after, liveRestore)
}

func fillEngine(ctx context.Context, c *chaos, rng *rand.Rand) error {
	return c.fill(ctx, "disk", between(rng, 3*time.Second, 12*time.Second), func() {})
}

func fillData(ctx context.Context, c *chaos, rng *rand.Rand) error {
	return c.fill(ctx, "data", between(rng, 3*time.Second, 12*time.Second), c.judge.excuse("its disk is full"))
}

// fill keeps a disk full for a while. What is freed meanwhile is filled, too.
func (c *chaos) fill(ctx context.Context, name string, during time.Duration, done func()) error {
	if !c.filling.TryLock() {
		done()
		return errNothing
	}
	c.journal.say("fill the file system %s for %s", name, during)
	path := filepath.Join(c.dir, name, "filler")
	f, err := os.Create(path)
	if err != nil {
		c.filling.Unlock()
		done()
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, during)
	c.mending.Go(func() {
		defer c.filling.Unlock()
		defer done()
		defer cancel()
		end := int64(0)
		for {
			for size := int64(1 << 28); size >= 1<<12; {
				if unix.Fallocate(int(f.Fd()), 0, end, size) != nil {
					size /= 2
				} else {
					end += size
				}
			}
			if kit.Pause(ctx, 200*time.Millisecond) != nil {
				break
			}
		}
		if err := errors.Join(f.Close(), os.Remove(path)); err != nil {
			c.judge.fail("the file system %s cannot be emptied: %v", name, err)
		}
		c.journal.say("the file system %s has space again", name)
	})
	return nil
}

func scale(_ context.Context, c *chaos, rng *rand.Rand) error {
	name, n := services[rng.IntN(len(services))], 1+rng.IntN(maxReplicas)
	c.journal.say("scale %s to %d", name, n)
	return c.specs.scale(name, n)
}

func updateService(_ context.Context, c *chaos, rng *rand.Rand) error {
	name := services[rng.IntN(len(services))]
	c.journal.say("write a new revision of %s", name)
	return c.specs.update(name)
}

func updateDatabase(_ context.Context, c *chaos, rng *rand.Rand) error {
	name := databases[rng.IntN(len(databases))]
	c.journal.say("write a new setting of %s", name)
	return c.specs.update(name)
}

func updateStore(_ context.Context, c *chaos, _ *rand.Rand) error {
	c.journal.say("write a new revision of %s", store)
	return c.specs.update(store)
}

func spoilSpec(ctx context.Context, c *chaos, rng *rand.Rand) error {
	name, during := services[rng.IntN(len(services))], between(rng, time.Second, 6*time.Second)
	c.journal.say("make the spec of %s invalid for %s", name, during)
	return c.specs.spoil(rng, name, func() error { _ = kit.Pause(ctx, during); return nil })
}

func hideSpecs(ctx context.Context, c *chaos, rng *rand.Rand) error {
	during := between(rng, time.Second, 8*time.Second)
	c.journal.say("take the specs folder away for %s", during)
	return c.specs.hide(func() error { _ = kit.Pause(ctx, during); return nil })
}

// counter counts events by name.
type counter struct {
	mu sync.Mutex
	n  map[string]int
}

func (t *counter) add(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n == nil {
		t.n = map[string]int{}
	}
	t.n[name]++
}

func (t *counter) of(name string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.n[name]
}

func (t *counter) total() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, some := range t.n {
		n += some
	}
	return n
}

// list is one line for each fault.
func (c *chaos) list() string {
	var b strings.Builder
	for _, f := range faults {
		fmt.Fprintf(&b, "  %4d %s", c.made.of(f.name), f.name)
		if n := c.missed.of(f.name); n > 0 {
			fmt.Fprintf(&b, " (and %d that the engine refused)", n)
		}
		b.WriteByte('\n')
	}
	return b.String()
}
