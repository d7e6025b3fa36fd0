// Package controller keeps a project at its desired state. Controller is the loop: a
// change of what is written or what runs, and the end of an action, mark keys
// (workloads) as dirty; a dirty key is planned, and its actions are carried out in
// parallel. Nothing else ever starts an action.
package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/execute"
	"github.com/tendhq/tend/controller/ingresses"
	"github.com/tendhq/tend/controller/observe"
	"github.com/tendhq/tend/controller/plan"
	"github.com/tendhq/tend/controller/probe"
	"github.com/tendhq/tend/controller/registrations"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/usage"
	"github.com/tendhq/tend/state"
	"github.com/tendhq/tend/state/durable"
)

// parallel bounds how many actions of one workload are carried out at a time. The
// engine serialises much of a create; more would only queue there.
const parallel = 8

// parallelStops bounds the stops among them. Containers that leave one network at the
// same moment can bring an Engine 20.10 into a lock cycle in libnetwork (endpoint
// deletion against sandbox deletion) that only a restart of the engine ends; it was
// seen with eight at a time.
const parallelStops = 4

// observeRetry paces the tries to observe what an action did while the engine is away.
const observeRetry = time.Second

// settle is how long the loop waits for changes that come together, as the state of a
// container and the end of the action on it, so that one plan serves both.
const settle = time.Millisecond

// Options are what a Controller needs.
type Options struct {
	Engine engine.Engine
	// Project is the Compose project's name.
	Project string
	// Folders say which containers of that name are the project's.
	Folders observe.Folders
	// DataDir is where backups go.
	DataDir string
	// Executable is tend's own program, which ingresses run; empty where there are none.
	Executable string
	// IngressImage is the name of the image made from it, by which an ingress tells which
	// program it runs.
	IngressImage string
	Log          *zap.Logger
	// OnEvent is called with each event, in order, by the controller's
	// goroutine; it must not block.
	OnEvent func(*state.Event)
	// OnProgress is called with how far an action is that may take long, as a pull; it
	// must not block. It may be nil.
	OnProgress func(a core.Action, text string)
	// Metrics may be nil.
	Metrics *Metrics
	// Tracer makes the spans of what is done; with nil there are none.
	Tracer trace.Tracer
	// Durable takes what is to survive a restart; with nil nothing does.
	Durable durable.Store
	// RemoveOrphans has orphans removed: the containers of services that are not
	// written and that tend has not kept.
	RemoveOrphans bool
	// Record is called with each plan of a workload, by the controller's goroutine; it
	// must not block. It may be nil.
	Record func(plan.Input, plan.Plan)
	// AskProbe makes one probe of a replica, in place of probe.Once where Engine has no
	// network to ask it over. It may be nil.
	AskProbe func(ctx context.Context, p spec.Probe, t probe.Target) error
}

// Controller keeps one project at its desired state.
type Controller struct {
	options  Options
	store    *state.Store
	observer *observe.Observer
	executor *execute.Executor
	metrics  *Metrics
	sampler  *usage.Sampler
	// subscribers follow the endpoints, and so do ingresses.
	subscribers subscribers
	gateways    gateways
	ingresses   *ingresses.Ingresses
	// registrations are what runs outside of tend.
	registrations *registrations.Keeper

	mu      sync.Mutex
	dirty   map[string]time.Time // since when each key is
	linked  bool                 // the engine answered last time, and everything was listed
	wake    chan struct{}
	calls   chan func(*loop) // run by the loop between two plans
	ended   []ended          // actions that have ended, to be taken in by the loop
	stopped chan struct{}    // closed when the loop has ended
}

// loop is the state that only the goroutine of Run touches. Others reach it through
// Controller.do, which has that goroutine call a function with it.
type loop struct {
	*Controller
	reconciler reconciler
	keeper     *Keeper
	next       map[string]time.Time
	lanes      map[string]*lane // a workload's actions, and its stops
	probers    map[string]prober
	linkErr    string    // why the engine is away
	rejected   bool      // what is written is not valid, and the last good project is in force
	scaleAt    time.Time // when the autoscaler decides next
	rollouts   map[string]tracedRollout
	waiters    []waiter
	planned    []func() // run once when everything dirty has been planned
	busy       sync.WaitGroup
}

// New makes a controller; Run starts it.
func New(o Options) *Controller {
	if o.Record == nil {
		o.Record = func(plan.Input, plan.Plan) {}
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics()
	}
	if o.Tracer == nil {
		o.Tracer = noop.Tracer{}
	}
	c := &Controller{
		metrics: o.Metrics,
		dirty:   map[string]time.Time{},
		wake:    make(chan struct{}, 1),
		calls:   make(chan func(*loop), 64),
		stopped: make(chan struct{}),
	}
	o.Engine = engine.Timed(o.Engine, c.engineCall)
	c.options = o
	c.executor = execute.New(o.Engine, o.DataDir, o.Executable)
	c.executor.Progress = o.OnProgress
	c.store = state.New(c.changed)
	// The indexes begin above those of any earlier run: a subscriber that acknowledges
	// an index of that run must not seem to acknowledge one of this run.
	c.store.CountEndpointsFrom(uint64(time.Now().UnixMilli()))
	c.observer = observe.New(o.Engine, c.store, o.Project, o.Folders, o.Log, c.onLink)
	c.observer.OnOOMKill, c.observer.OnRestart = c.metrics.oomKill, c.metrics.restarted
	c.sampler = usage.New(o.Engine, c.running)
	c.ingresses = ingresses.New(ingresses.Options{
		Engine: o.Engine, Version: o.IngressImage, Upgrade: c.upgradeIngress, Heard: c.ingressHeard,
	})
	c.registrations = registrations.New(c.store)
	c.metrics.watch(c)
	return c
}

func (c *Controller) newReconciler() reconciler {
	return reconciler{
		store:       c.store,
		flights:     map[string]map[string]core.Action{},
		withdrawn:   map[string]map[string]uint64{},
		subscribers: &c.subscribers,
		ingresses:   c.ingresses,
		ingressesOf: map[string][]string{},
		joinersOf:   map[string][]string{},
		joinedBy:    map[string][]string{},
		record:      c.options.Record,
		metrics:     c.metrics,
		mark:        c.mark,
		started:     time.Now(),

		removeOrphans: c.options.RemoveOrphans,
		emit: func(e *state.Event) {
			c.metrics.event(e)
			c.options.OnEvent(e)
		},
	}
}

func (c *Controller) newLoop() *loop {
	l := &loop{
		Controller: c,
		reconciler: c.newReconciler(),
		next:       map[string]time.Time{},
		lanes:      map[string]*lane{},
		probers:    map[string]prober{},
		rollouts:   map[string]tracedRollout{},
	}
	l.keeper = NewKeeper(c.store, c.options.Durable, c.metrics, func(e core.Event) { l.reconciler.event(e, time.Now()) })
	return l
}

// State is the controller's state, to read.
func (c *Controller) State() *state.Store { return c.store }

// Metrics are the controller's metrics.
func (c *Controller) Metrics() *Metrics { return c.metrics }

// Run works until ctx ends, and returns when every action under way has ended
// or was given up.
func (c *Controller) Run(ctx context.Context) {
	l := c.newLoop()
	l.reconciler.restored = l.keeper.Restore(ctx)
	defer l.keeper.Close(ctx)
	var observing sync.WaitGroup
	observing.Go(func() { c.observer.Run(ctx) })
	observing.Go(func() { c.sampler.Run(ctx) })
	observing.Go(func() { c.registrations.Run(ctx) })
	defer observing.Wait()
	defer c.ingresses.Wait()
	defer l.busy.Wait()
	defer close(c.stopped)
	c.subscribers.await(time.Now())
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		call := func(*loop) {}
		select {
		case <-ctx.Done():
			return
		case call = <-c.calls:
		case <-c.wake:
		case <-timer.C:
		}
		time.Sleep(settle)
		select {
		case <-c.wake: // this pass takes what it was for
		default:
		}
		call(l)
		l.drain()
		l.takeEnded()
		now := time.Now()
		l.autoscale(ctx, now)
		for key, at := range l.next {
			if !at.After(now) {
				delete(l.next, key)
				c.mark(key)
			}
		}
		var todo []planned
		for keys := l.take(); len(keys) > 0; keys = l.take() {
			for _, key := range keys {
				todo = append(todo, l.plan(ctx, key)...)
			}
		}
		if l.reconciler.unsure {
			l.reconciler.unsure = false
			l.observeResources(ctx) // once, after all calls and plans have said what is needed
		}
		l.keeper.Commit(ctx, false)
		for _, p := range todo {
			l.carryOut(ctx, p)
		}
		l.answer()
		timer.Reset(l.untilNext())
	}
}

// drain runs the calls that are waiting, so that one plan serves them all.
func (l *loop) drain() {
	for {
		select {
		case f := <-l.calls:
			f(l)
		default:
			return
		}
	}
}

// do has the loop call f, unless it has ended.
func (c *Controller) do(f func(*loop)) {
	select {
	case c.calls <- f:
	case <-c.stopped:
	}
}

// mark has keys planned soon.
func (c *Controller) mark(keys ...string) {
	now := time.Now()
	c.mu.Lock()
	for _, k := range keys {
		if _, known := c.dirty[k]; !known {
			c.dirty[k] = now
		}
	}
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// take returns the dirty keys in order. While the engine is away it returns none, as
// what is known may no longer be true; they stay dirty.
func (l *loop) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.linked {
		return nil
	}
	var keys []string
	for key := range l.dirty {
		keys = append(append(keys, key), l.reconciler.neighbours(key)...)
	}
	l.dirty = map[string]time.Time{} // not cleared, as a cleared map stays as large as it ever was
	slices.Sort(keys)
	return slices.Compact(keys)
}

func (l *loop) untilNext() time.Duration {
	wait := time.Hour
	if due := l.keeper.due; !due.IsZero() {
		wait = time.Until(due)
	}
	if len(l.reconciler.autoscaled) > 0 {
		wait = min(wait, time.Until(l.scaleAt))
	}
	for _, at := range l.next {
		wait = min(wait, time.Until(at))
	}
	return max(wait, 0)
}

// changed marks the workloads that a change of the state concerns. A change that the
// loop itself writes concerns none: it would plan for ever.
func (c *Controller) changed(changes []state.Change) {
	var keys []string
	for _, ch := range changes {
		switch ch.Table {
		case state.Replicas, state.HookRuns, state.Workloads, state.Probes, state.Intents:
			keys = append(keys, ch.Key)
		case state.Resources:
			c.markAll()
		case state.Images:
			c.mark(projectKey)
		case state.Registrations:
			c.mark() // nothing is planned for it, but it is made durable
		case state.Foreigners:
			c.mark(ch.Key)
			c.markAll()
		}
	}
	if len(keys) > 0 {
		c.mark(keys...)
	}
}

// markAll marks every workload that is written or runs.
func (c *Controller) markAll() {
	snap := c.store.Snapshot()
	keys := []string{projectKey}
	for _, w := range snap.Workloads() {
		keys = append(keys, w.Name)
	}
	for _, r := range snap.Replicas("") {
		keys = append(keys, r.Workload)
	}
	for _, h := range snap.HookRuns("") {
		keys = append(keys, h.Workload)
	}
	for _, f := range snap.Foreigners() {
		keys = append(keys, f.Workload)
	}
	c.mark(keys...)
}

// planned is an action that is to be carried out, and the trace that it belongs to.
type planned struct {
	core.Action
	of *reconcile
}

// plan plans one key and returns its actions. They are carried out once what was
// decided with them is durable.
func (l *loop) plan(ctx context.Context, key string) (all []planned) {
	began := time.Now()
	if key != projectKey && l.reconciler.project != nil {
		l.sync(ctx, key)
	}
	actions, next := l.reconciler.plan(key, began)
	l.metrics.planned(time.Since(began))
	if l.reconciler.project != nil {
		for _, name := range l.reconciler.ingressesOf[spec.ServiceOf(key)] {
			l.lead(ctx, name) // what was decided for the service may change what its ingresses lead to
		}
	}
	if next.IsZero() {
		delete(l.next, key)
	} else {
		l.next[key] = next
	}
	for _, a := range actions {
		if e, ok := started(a); ok {
			l.reconciler.event(e, began)
		}
		l.options.Log.Debug("action", zap.String("workload", key), zap.Stringer("action", a))
	}
	if len(actions) == 0 {
		return nil
	}
	of := l.beginReconcile(ctx, key, began, actions)
	for _, a := range actions {
		all = append(all, planned{a, of})
	}
	return all
}

// carryOut carries an action out, in a goroutine of its own, when its turn has come.
func (l *loop) carryOut(ctx context.Context, p planned) {
	a, key := p.Action, p.Workload
	name, width := key, parallel
	if a.Kind == core.StopReplica {
		name, width = key+" stops", parallelStops
	}
	turn, ok := l.lanes[name]
	if !ok {
		turn = &lane{name: name, width: width}
		l.lanes[name] = turn
	}
	project := l.reconciler.project
	c := l.Controller // the action's goroutine touches nothing of the loop's own
	turn.enter(func() {
		l.busy.Go(func() {
			ctx, end := c.traceAction(ctx, p.of, a)
			began := time.Now()
			result, err := c.executor.Do(ctx, a, project)
			c.metrics.action(a, time.Since(began), err)
			c.observe(ctx, key, result.ID, err)
			end(err)
			c.mu.Lock()
			c.ended = append(c.ended, ended{key: key, action: a, of: p.of, result: result, err: err, lane: turn})
			c.mu.Unlock()
			c.mark() // takeEnded marks the key
		})
	})
}

// ended is an action that has ended and whose effect has been observed.
type ended struct {
	key    string
	action core.Action
	of     *reconcile
	// result and err are how it has ended.
	result execute.Result
	err    error
	lane   *lane
}

// takeEnded takes in the actions that have ended. Those that ended together, as all
// that wait for one image, come in an order that does not depend on chance.
func (l *loop) takeEnded() {
	l.mu.Lock()
	all := l.ended
	l.ended = nil
	l.mu.Unlock()
	slices.SortFunc(all, func(a, b ended) int {
		return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(object(a.action), object(b.action)))
	})
	for _, e := range all {
		e.lane.leave()
		if e.lane.busy == 0 {
			delete(l.lanes, e.lane.name)
		}
		e.of.ended()
		l.reconciler.actionEnded(e, time.Now())
		l.mark(e.key)
	}
}

// observe observes what an action did, so that the next plan knows it. It does not
// return before it has succeeded: a plan made without that would act twice.
func (c *Controller) observe(ctx context.Context, key, id string, err error) {
	for ctx.Err() == nil {
		var failed error
		switch {
		case key == projectKey:
			failed = c.observer.Resources(ctx)
		case needsList(err):
			failed = c.observer.Relist(ctx)
		case id != "":
			failed = c.observer.Refresh(ctx, id)
			if failed == nil && err != nil {
				failed = c.observer.Resources(ctx) // a missing resource may be why it failed
			}
		default:
			failed = c.observer.Relist(ctx)
		}
		if failed == nil {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(observeRetry):
		}
	}
}

// onLink is called by the observer when the engine went away or came back.
func (c *Controller) onLink(ctx context.Context, err error) {
	c.mu.Lock()
	c.linked = err == nil
	c.mu.Unlock()
	c.metrics.link(err)
	c.do(func(l *loop) {
		now := time.Now()
		switch {
		case err == nil && l.linkErr != "":
			l.reconciler.event(core.Event{Type: core.Normal, Reason: "EngineReachable", Message: "the engine answers again"}, now)
			l.linkErr = ""
		case err != nil && l.linkErr == "":
			l.linkErr = err.Error()
			l.reconciler.event(core.Event{Type: core.Warning, Reason: "EngineUnavailable", Message: "nothing is changed until the engine answers: " + l.linkErr}, now)
		}
		if err == nil {
			if l.reconciler.began.IsZero() {
				l.reconciler.began = now
			}
			l.keeper.listed()
			l.reconciler.unsure = true
			c.markAll()
		}
	})
}

// SetProject puts a desired state in force.
func (c *Controller) SetProject(p *spec.Project) {
	c.do(func(l *loop) {
		now := time.Now()
		if l.rejected {
			l.rejected = false
			l.reconciler.event(core.Event{Type: core.Normal, Reason: "SpecInForce", Message: "what is written is in force again"}, now)
		}
		l.reconciler.setProject(p, now)
		c.metrics.spec(nil)
		c.markAll()
	})
}

// Relist lists the engine anew, after the files were read again, and reports both as an
// event.
func (c *Controller) Relist(ctx context.Context) {
	c.do(func(l *loop) {
		l.busy.Go(func() {
			e := core.Event{Type: core.Normal, Reason: "Reloaded", Message: "what is written was read again, and the engine was listed anew"}
			if err := c.observer.Relist(ctx); err != nil {
				e = core.Event{Type: core.Warning, Reason: "Reloaded", Message: "what is written was read again; the engine is listed as soon as it answers: " + err.Error()}
			}
			c.do(func(l *loop) { l.reconciler.event(e, time.Now()) })
		})
	})
}

// observeResources looks up the needed resources that nothing is known of. While the
// engine is away it does nothing: the list that follows looks them up.
func (l *loop) observeResources(ctx context.Context) {
	unknown := func(r *state.Resource) bool { return !r.Known }
	if l.Linked() && slices.ContainsFunc(l.store.Snapshot().Resources(), unknown) {
		l.busy.Go(func() { l.observe(ctx, projectKey, "", nil) })
	}
}

// RejectProject reports that what is written is not valid. The last good desired state
// stays in force.
func (c *Controller) RejectProject(err error) {
	c.do(func(l *loop) {
		l.rejected = true
		c.metrics.spec(err)
		l.reconciler.event(core.Event{Type: core.Warning, Reason: "InvalidSpec", Message: err.Error()}, time.Now())
	})
}

// RemoveAll asks that every workload be taken away, dependents first.
func (c *Controller) RemoveAll() {
	c.do(func(l *loop) {
		l.reconciler.remove = true
		c.markAll()
	})
}

// AnonymousVolumes returns the volumes that nobody named and that the project's
// containers have or had, by the volume's name, each with the replica that it belongs
// to.
func (c *Controller) AnonymousVolumes() map[string]string {
	of := map[string]string{}
	for _, row := range c.store.Snapshot().Rollouts() {
		for n, mounts := range row.Anonymous {
			for _, volume := range mounts {
				of[volume] = fmt.Sprintf("%s-%d", row.Workload, n)
			}
		}
	}
	return of
}

// Ready returns why the state does not tell everything yet, or nil once every workload
// has been planned.
func (c *Controller) Ready() error {
	if !c.Linked() {
		return errors.New("the container engine does not answer")
	}
	snap := c.store.Snapshot()
	workloads := snap.Workloads()
	if len(workloads) == 0 {
		return errors.New("no spec is in force")
	}
	for _, w := range workloads {
		if _, ok := snap.Status(w.Name); !ok {
			return fmt.Errorf("workload %s has not been looked at yet", w.Name)
		}
	}
	return nil
}

// Linked reports whether the engine answered last time.
func (c *Controller) Linked() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.linked
}

// queue is how many keys are dirty, and for how long the oldest one has been.
func (c *Controller) queue(now time.Time) (depth int, oldest time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, since := range c.dirty {
		oldest = max(oldest, now.Sub(since))
	}
	return len(c.dirty), oldest
}
