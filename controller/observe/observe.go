// Package observe keeps the tables replicas and resources of the state in step with the
// engine. An event is a hint to look again; a full list, every five minutes and after
// each reconnect, repairs what the events missed.
package observe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/state"
)

const (
	// relistEvery bounds how long a missed event goes unnoticed.
	relistEvery = 5 * time.Minute
	// recheckEvery is how soon tend looks again for a missing resource, as someone may
	// build an image or create an external network, and at a container whose probes
	// fail.
	recheckEvery = 10 * time.Second
	// reconnectFirst and reconnectMax pace the tries to reach an engine that
	// is away.
	reconnectFirst = 250 * time.Millisecond
	reconnectMax   = 5 * time.Second
	// callTimeout bounds one look at the engine.
	callTimeout = 30 * time.Second
)

// Observer looks at the engine on behalf of one project.
type Observer struct {
	engine  engine.Engine
	store   *state.Store
	project string
	folders Folders
	log     *zap.Logger
	onLink  func(context.Context, error)
	// OnOOMKill is called when the kernel has ended a process of a replica for lack of
	// memory. It is set before Run, and may be nil.
	OnOOMKill func(workload string, number int)
	// OnRestart is called when the engine itself has started a container again, with how
	// often it did since the last look. It is set before Run, and may be nil.
	OnRestart func(workload string, times int)

	relist *semaphore.Weighted // one full list at a time
	pace   *rate.Limiter       // of the looks at containers that events cause
	// resourcePace bounds the looks at resources. It is another one, as events of resources
	// may come from anybody on the machine and are to hold up no look at a container.
	resourcePace *rate.Limiter
	mu           sync.Mutex
	// gathering is the next full list, nil where nobody has asked for one.
	gathering *gathering
	seq       uint64            // counts looks, in the order in which they began
	underWay  map[uint64]bool   // the looks that have not ended
	seen      map[string]uint64 // the latest look at each container, gone ones included
	ends      *ends
}

// Folders say which containers of the project's name are the project's.
type Folders struct {
	// Project is the project directory; where it is empty, all are.
	Project string
	// TakeOver are folders whose containers are to become the project's.
	TakeOver []string
}

// New makes an observer. onLink is called with nil whenever a full list has
// succeeded after the engine was away (or at the start), and with the error
// when it cannot be reached.
func New(e engine.Engine, s *state.Store, project string, folders Folders, log *zap.Logger, onLink func(context.Context, error)) *Observer {
	return &Observer{engine: e, store: s, project: project, folders: folders, log: log, onLink: onLink, relist: semaphore.NewWeighted(1),
		pace: rate.NewLimiter(lookRate, maxHints), resourcePace: rate.NewLimiter(resourceRate, maxResourceLooks), underWay: map[uint64]bool{}, seen: map[string]uint64{}, ends: newEnds()}
}

// Run observes until ctx ends.
func (o *Observer) Run(ctx context.Context) {
	wait := reconnectFirst
	for ctx.Err() == nil {
		began := time.Now()
		err := o.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		o.onLink(ctx, err)
		if time.Since(began) > reconnectMax {
			wait = reconnectFirst
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		wait = min(2*wait, reconnectMax)
	}
}

// errNoAnswer is why a subscription is given up.
var errNoAnswer = fmt.Errorf("the engine has not answered for %s", callTimeout)

// follow subscribes, lists, and then follows the events until the stream ends.
// It subscribes first, so that whatever the list misses comes as an event.
func (o *Observer) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// Only the answer has a time limit; the stream goes on in the same context.
	limit := time.AfterFunc(callTimeout, func() { cancel(errNoAnswer) })
	events, streamErr, err := o.engine.Events(ctx, o.project)
	limit.Stop()
	if err != nil {
		return cmp.Or(context.Cause(ctx), err)
	}
	hints := newHints(o.ends, o.OnOOMKill)
	var collecting sync.WaitGroup
	collecting.Go(func() { hints.collect(ctx, events) })
	defer collecting.Wait()
	defer cancel(nil)
	// The first list waits for nobody who would share it.
	if err := o.listAll(ctx, func() {}); err != nil {
		return err
	}
	o.onLink(ctx, nil)
	began := time.Now()
	relist, recheck := began.Add(relistEvery), began.Add(recheckEvery)
	resourcesDue := false
	timer := time.NewTimer(recheckEvery)
	defer timer.Stop()
	for {
		select {
		case <-hints.come:
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		come := hints.take()
		if come.ended {
			return errors.Join(errors.New("the event stream ended"), streamErr())
		}
		if come.all {
			relist = time.Time{}
			if err := o.pace.WaitN(ctx, maxHints); err != nil {
				return err
			}
		}
		now := time.Now()
		resourcesDue = resourcesDue || come.resources
		if now.Before(relist) {
			// The resources come first: a new container is compared with its image, and with its
			// networks.
			if resourcesDue && o.resourcePace.Allow() {
				resourcesDue = false
				err = o.Resources(ctx)
			}
			if err == nil {
				err = o.refreshAll(ctx, come.ids)
			}
		} else {
			resourcesDue = false
			err = o.Relist(ctx)
			relist = now.Add(relistEvery)
		}
		if err == nil && !now.Before(recheck) {
			recheck = now.Add(recheckEvery)
			hints.add(o.unready()...)
			if o.missesResource() {
				err = o.Resources(ctx)
			}
		}
		if err != nil {
			return err
		}
		wait := time.Until(recheck)
		if resourcesDue {
			wait = min(wait, time.Second/resourceRate)
		}
		timer.Reset(wait)
	}
}

// refreshAll looks at the containers that events came for, one after the other.
func (o *Observer) refreshAll(ctx context.Context, ids map[string]bool) error {
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		if err := o.pace.Wait(ctx); err != nil {
			return err
		}
		if err := o.Refresh(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// unready lists the running containers whose probes fail. Some changes come without an
// event of the container: one that has left a network and joined it again has another
// address, and does not answer at the known one.
func (o *Observer) unready() (ids []string) {
	snap := o.store.Snapshot()
	for _, r := range snap.Replicas("") {
		if p, ok := snap.Probe(r.ID); ok && r.State == core.Running && !(p.Ready && p.Live) {
			ids = append(ids, r.ID)
		}
	}
	return ids
}

// begin notes that a look begins; ended is to be called at its end.
func (o *Observer) begin() (look uint64, ended func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seq++
	look = o.seq
	o.underWay[look] = true
	return look, func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		delete(o.underWay, look)
	}
}

// mayCome reports whether a look that began before another one is still under way, and
// may yet return a container that is gone since.
func (o *Observer) mayCome(before uint64) bool {
	for look := range o.underWay {
		if look < before {
			return true
		}
	}
	return false
}

// newer reports whether a look at a container is newer than the latest one, and if so
// notes it as the latest.
func (o *Observer) newer(id string, look uint64) bool {
	if o.seen[id] > look {
		return false
	}
	o.seen[id] = look
	return true
}

// Refresh inspects one container.
func (o *Observer) Refresh(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	look, ended := o.begin()
	defer ended()
	c, err := o.engine.Container(ctx, id)
	gone := engine.ClassOf(err) == engine.NotFound
	if err != nil && !gone {
		return err
	}
	if !gone {
		if err := o.renew(ctx, c); err != nil {
			return err
		}
		c = o.withOutput(ctx, c)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if gone {
		look = o.seq // No ID is used again, so that all looks under way are older than this answer.
	}
	if !o.newer(id, look) {
		return nil
	}
	o.store.Update(func(tx *state.Tx) {
		if gone {
			forget(tx, id)
		} else {
			o.put(tx, c)
		}
	})
	return nil
}

// gathering is a full list that has not begun; all who ask for one meanwhile share it.
type gathering struct {
	done chan struct{}
	err  error
}

// gatherFor is how long a full list waits for others to ask for it, as each of many
// actions that fail together wants one. It is no multiple of the loop's own pause, so
// that under a simulated clock the two never end at one instant.
const gatherFor = 1500 * time.Microsecond

// Relist lists everything: the containers of the project, and the resources.
func (o *Observer) Relist(ctx context.Context) error {
	o.mu.Lock()
	g := o.gathering
	if g != nil {
		o.mu.Unlock()
		select {
		case <-g.done:
			return g.err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	g = &gathering{done: make(chan struct{})}
	o.gathering = g
	o.mu.Unlock()
	time.Sleep(gatherFor)
	g.err = o.listAll(ctx, func() {
		o.mu.Lock()
		o.gathering = nil
		o.mu.Unlock()
	})
	close(g.done)
	return g.err
}

// listAll lists everything, and looks at what is known and was not listed.
func (o *Observer) listAll(ctx context.Context, begins func()) error {
	left, err := o.list(ctx, begins)
	for _, id := range left {
		if err == nil {
			err = o.Refresh(ctx, id)
		}
	}
	return err
}

// list lists everything, when no other list is under way. It calls begins before it
// asks the engine anything. It returns the containers that are known and not listed;
// they have to be inspected, as missing from a list is no proof that they are gone.
func (o *Observer) list(ctx context.Context, begins func()) (left []string, err error) {
	err = o.relist.Acquire(ctx, 1)
	begins()
	if err != nil {
		return nil, err
	}
	defer o.relist.Release(1)
	within, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	look, ended := o.begin()
	defer ended()
	containers, err := o.engine.Containers(within, o.project)
	if err != nil {
		return nil, err
	}
	// It comes after the containers, so that an image that one was made from is no
	// news.
	if err := o.resources(within); err != nil {
		return nil, err
	}
	for i, c := range containers {
		containers[i] = o.withOutput(within, c)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	listed := map[string]bool{}
	o.store.Update(func(tx *state.Tx) {
		for _, c := range containers {
			listed[c.ID] = true
			if o.newer(c.ID, look) {
				o.put(tx, c)
			}
		}
		var known []string
		for _, r := range tx.Replicas("") {
			known = append(known, r.ID)
		}
		for _, h := range tx.HookRuns("") {
			known = append(known, h.ID)
		}
		for _, f := range tx.Foreigners() {
			known = append(known, f.ID)
		}
		for _, id := range known {
			if !listed[id] && o.newer(id, look) {
				left = append(left, id)
			}
		}
	})
	o.ends.keep(listed)
	for id, at := range o.seen {
		if !listed[id] && at <= look && !o.mayCome(at) {
			delete(o.seen, id) // gone, or about to be inspected again
		}
	}
	return left, nil
}

// forget drops all that was seen of a container.
func forget(tx *state.Tx, id string) {
	tx.DeleteReplica(id)
	tx.DeleteHookRun(id)
	tx.DeleteForeigner(id)
}

// outputLines is how much of a hook's output is kept.
const outputLines = 10

// signalled is the lowest exit code of a process that a signal has ended.
const signalled = 128

// withOutput adds what an ended container printed last, in the place of its health
// check's output: all of it for a hook, and the last line for a process that gave up by
// itself, which mostly says why.
func (o *Observer) withOutput(ctx context.Context, c engine.Container) engine.Container {
	lines := 1
	switch {
	case c.State != engine.Exited && c.State != engine.Restarting:
		return c
	case c.Labels[spec.LabelHook] != "":
		lines = outputLines
	case c.ExitCode == 0 || c.ExitCode >= signalled || c.OOMKilled:
		c.HealthOutput = ""
		return c
	}
	var out engine.Tail
	if err := o.engine.Logs(ctx, c.ID, engine.LogOptions{Tail: lines}, &out, &out); err != nil {
		o.log.Info("could not read the output of a container", zap.String("container", c.Name), zap.Error(err))
	}
	c.HealthOutput = out.String()
	return c
}
