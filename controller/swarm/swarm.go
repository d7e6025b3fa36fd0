// Package swarm keeps a project on a Docker Swarm: it lists what the Swarm has, plans with
// package services, carries out, and lists again. What it sees and decides is written into
// the tables of package state, so that the API, the commands and the page read it as on one
// machine.
package swarm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/tendhq/tend/controller"
	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/observe"
	"github.com/tendhq/tend/controller/plan/services"
	"github.com/tendhq/tend/controller/registrations"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/swarm/convert"
	"github.com/tendhq/tend/controller/swarm/manager"
	"github.com/tendhq/tend/state"
	"github.com/tendhq/tend/state/durable"
)

const (
	// moving is how often the Swarm is listed while something is to come, as tasks have no
	// events; resting how often while nothing is.
	moving, resting = time.Second, 15 * time.Second
	// settle is how long the loop waits for changes that come together.
	settle = 50 * time.Millisecond
	// callTimeout bounds each call of the manager.
	callTimeout = 30 * time.Second
	// registryTimeout bounds each question to a registry, for which all else waits.
	registryTimeout = 5 * time.Second
	// leaderTimeout bounds the first call of a look. A manager passes it on to the leader, and
	// waits for twenty seconds for one that is lost, even where another leads by then: it is
	// to be asked anew.
	leaderTimeout = 3 * time.Second
)

// Options are what a Controller needs.
type Options struct {
	Manager manager.Manager
	// Project is the Compose project's name.
	Project string
	// Folders say which services of that name are the project's.
	Folders observe.Folders
	// Volumes are the nodes that have volumes of the driver local which no service has mounted
	// yet, by the volume's name.
	Volumes map[string]string
	// Check returns why nothing may be changed now, as the right to act is lost; nil for
	// never.
	Check func() error
	Log   *zap.Logger
	// OnEvent is called with each event, in order; OnStatus with the status of each plan. Neither
	// may block. OnStatus may be nil.
	OnEvent  func(*state.Event)
	OnStatus func(core.Status)
	// Durable takes what is to survive a restart; with nil nothing does.
	Durable durable.Store
}

// Controller keeps one project.
type Controller struct {
	options       Options
	store         *state.Store
	metrics       *controller.Metrics
	registrations *registrations.Keeper
	calls         chan func(*loop)
	stopped       chan struct{}
	// mu guards linkErr: why the Swarm is away.
	mu      sync.Mutex
	linkErr error
}

// loop is what only the goroutine of Run touches.
type loop struct {
	*Controller
	keeper  *controller.Keeper
	project *spec.Project
	// contents are those of the project's secrets and configs, by kind and Compose key.
	contents map[string][]byte
	seen     seen
	remove   bool
	rejected error // why what is written last is not in force; nil where it is
	away     bool  // an event has told that the Swarm is
	// since is since when the Swarm has answered each time; zero where it has not last time.
	since time.Time
	// tries are the actions that were refused, by object.
	tries map[string]core.Try
	// taken are the creations that failed as somebody else has the name, by workload.
	taken map[string]core.Try
	// known are the workloads that need no other plan than their last one.
	known map[string]known
	next  time.Time
	// acting is true where the last round did something.
	acting  bool
	waiters []waiter
	planned []func()
}

// New makes a controller; Run starts it.
func New(o Options) *Controller {
	if o.Check == nil {
		o.Check = func() error { return nil }
	}
	if o.OnStatus == nil {
		o.OnStatus = func(core.Status) {}
	}
	c := &Controller{
		options: o, metrics: controller.NewMetrics(), calls: make(chan func(*loop), 64), stopped: make(chan struct{}),
		store: state.New(func([]state.Change) {}), linkErr: errors.New("the Swarm has not been asked yet"),
	}
	c.registrations = registrations.New(c.store)
	return c
}

func (c *Controller) newLoop() *loop {
	l := &loop{Controller: c, tries: map[string]core.Try{}, taken: map[string]core.Try{}, known: map[string]known{}}
	l.keeper = controller.NewKeeper(c.store, c.options.Durable, c.metrics, func(e core.Event) { l.event(e) })
	return l
}

// State is the controller's state, to read.
func (c *Controller) State() *state.Store { return c.store }

// Metrics are the controller's metrics.
func (c *Controller) Metrics() *controller.Metrics { return c.metrics }

// Run works until ctx ends, and returns when every action under way has ended.
func (c *Controller) Run(ctx context.Context) {
	l := c.newLoop()
	l.keeper.Restore(ctx)
	defer l.keeper.Close(ctx)
	var parts sync.WaitGroup
	defer parts.Wait()
	defer close(c.stopped)
	hints := make(chan struct{}, 1)
	parts.Go(func() { c.follow(ctx, hints) })
	parts.Go(func() { c.registrations.Run(ctx) })
	parts.Go(func() { c.autoscale(ctx) })
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		call, hinted := func(*loop) {}, false
		select {
		case <-ctx.Done():
			return
		case call = <-c.calls:
		case <-hints:
			hinted = true
		case <-timer.C:
		}
		// A hint counts whichever of several was taken, and those that come together are one.
		if drain(hints) || hinted {
			time.Sleep(settle)
			drain(hints)
		}
		call(l)
		for more := true; more; {
			select {
			case f := <-c.calls:
				f(l)
			default:
				more = false
			}
		}
		l.acting = l.round(ctx)
		l.keeper.Commit(ctx, true)
		l.answer()
		timer.Reset(l.pause())
	}
}

// drain takes what waits in a channel, and reports whether anything did.
func drain(hints <-chan struct{}) (some bool) {
	for {
		select {
		case <-hints:
			some = true
		default:
			return some
		}
	}
}

// pause is how long the loop may wait.
func (l *loop) pause() time.Duration {
	wait := moving
	if !l.acting && l.rests() {
		wait = resting
	}
	if !l.next.IsZero() {
		wait = min(wait, max(time.Until(l.next), settle))
	}
	return wait
}

// rests reports whether nothing is to come by itself.
func (l *loop) rests() bool {
	if l.project == nil || l.Ready() != nil || l.remove || l.seen.leaving() {
		return false
	}
	return !slices.ContainsFunc(l.store.Snapshot().Statuses(), func(s *state.Status) bool { return !s.Converged && !s.Outcome.Halted() })
}

// follow passes events on as hints until ctx ends. The loop lists anyway: events only have
// it look sooner.
func (c *Controller) follow(ctx context.Context, hints chan<- struct{}) {
	for ctx.Err() == nil {
		events, _, err := c.options.Manager.Events(ctx)
		if err == nil {
			for range events {
				select {
				case hints <- struct{}{}:
				default:
				}
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(moving):
		}
	}
}

// round lists, plans and carries out once. It reports whether anything was done.
func (l *loop) round(ctx context.Context) (acted bool) {
	if l.project == nil {
		return false
	}
	seen, err := look(ctx, l.options.Manager, l.project)
	if ctx.Err() != nil {
		return false
	}
	l.link(err)
	if err != nil {
		l.since = time.Time{}
		return false // nothing is planned by what was known before
	}
	now := time.Now()
	if l.seen = seen; l.since.IsZero() {
		l.since = now
	}
	actions := l.planAll(now)
	l.keeper.Commit(ctx, false)
	for _, f := range l.planned {
		f()
	}
	l.planned = nil
	l.carryOut(ctx, actions)
	return len(actions) > 0
}

// link notes whether the Swarm answers, and tells when that changes.
func (l *loop) link(err error) {
	l.mu.Lock()
	l.linkErr = err
	l.mu.Unlock()
	switch {
	case err != nil && !l.away:
		l.event(core.Event{Type: core.Warning, Reason: "EngineUnavailable", Message: "nothing is changed until the Swarm answers: " + err.Error()})
	case err == nil && l.away:
		l.event(core.Event{Type: core.Normal, Reason: "EngineReachable", Message: "the Swarm answers again"})
	}
	l.away = err != nil
}

// event writes an event down and passes it on.
func (l *loop) event(e core.Event) {
	var row *state.Event
	l.store.Update(func(tx *state.Tx) { row = tx.AddEvent(e, time.Now()) })
	l.options.OnEvent(row)
}

// carryOut carries actions out, some at a time, and returns when all have ended: the next
// list tells what became of them.
func (l *loop) carryOut(ctx context.Context, actions []services.Action) {
	const parallel = 8
	errs, digests := make([]error, len(actions)), make([]string, len(actions))
	for _, group := range order(actions) {
		var busy sync.WaitGroup
		turns := make(chan struct{}, parallel)
		for _, i := range group {
			turns <- struct{}{}
			busy.Go(func() {
				defer func() { <-turns }()
				digests[i], errs[i] = l.do(ctx, actions[i])
			})
		}
		busy.Wait()
	}
	for i, a := range actions {
		if a.Kind == services.AskRegistry {
			l.asked(a, digests[i], errs[i])
		} else {
			l.acted(a, errs[i])
		}
	}
}

// asked notes which digest an image has. Where the registry does not tell it, the name is what
// the nodes are given.
func (l *loop) asked(a services.Action, digest string, err error) {
	if engine.ClassOf(err) == engine.Unavailable || errors.Is(err, context.Canceled) {
		return // it is asked again
	}
	if err != nil {
		digest = ""
		l.event(core.Event{Type: core.Warning, Workload: a.Workload, Reason: "ImageNotPinned", Message: fmt.Sprintf("each node takes what %s stands for there, which may differ, and a node that has it not may find it nowhere: %v", a.Object, err)})
	}
	l.noteImage(a, digest)
}

// noteImage writes down which image a revision is made from.
func (l *loop) noteImage(a services.Action, digest string) {
	l.store.Update(func(tx *state.Tx) {
		if row, ok := tx.Rollout(a.Workload); ok {
			tx.PutRollout(services.RegistryAsked(row.Rollout, a, digest))
		}
	})
}

// order groups actions: what makes objects comes first, what removes them last.
func order(actions []services.Action) [][]int {
	groups := make([][]int, 3)
	for i, a := range actions {
		switch a.Kind {
		case services.CreateNetwork, services.CreateSecret, services.CreateConfig:
			groups[0] = append(groups[0], i)
		case services.RemoveNetwork, services.RemoveSecret, services.RemoveConfig:
			groups[2] = append(groups[2], i)
		default:
			groups[1] = append(groups[1], i)
		}
	}
	return groups
}

// acted notes and tells how an action ended. What failed as the Swarm is away is no fault of
// its own: the next list tells whether it is to be done again.
func (l *loop) acted(a services.Action, err error) {
	object := a.Workload
	if object == "" {
		object = a.Object
	}
	e := core.Event{Type: core.Normal, Workload: a.Workload, Reason: reasons[a.Kind], Message: fmt.Sprintf("%s: %s", a.Object, a.Cause)}
	switch class := engine.ClassOf(err); {
	case err == nil:
		delete(l.tries, object)
	case class == engine.Unavailable || errors.Is(err, context.Canceled):
		return
	case class == engine.Conflict && a.Kind == services.CreateService && a.Spec.Labels[spec.LabelHook] == "":
		l.taken[a.Workload] = core.Try{Count: 1, At: time.Now(), Error: fmt.Sprintf("the Swarm has a service %s that is not of this project: %v", a.Object, err)}
		return // the status tells
	case class == engine.Conflict && (a.Kind == services.UpdateService || a.Kind == services.RemoveNetwork):
		return // it was changed meanwhile, or its tasks still end
	default:
		last := l.tries[object]
		l.tries[object] = core.Try{Count: last.Count + 1, At: time.Now(), Error: fmt.Sprintf("%s %s: %v", a.Kind, a.Object, err)}
		e.Type, e.Reason, e.Message = core.Warning, "ServiceFailed", l.tries[object].Error
		if a.Workload == "" {
			e.Reason = "ObjectFailed"
		}
	}
	l.event(e)
}

// reasons are those of the events of actions.
var reasons = map[services.Kind]string{
	services.CreateService: "ServiceCreated", services.UpdateService: "ServiceUpdated", services.RemoveService: "ServiceRemoved",
	services.CreateNetwork: "ObjectCreated", services.CreateSecret: "ObjectCreated", services.CreateConfig: "ObjectCreated",
	services.RemoveNetwork: "ObjectRemoved", services.RemoveSecret: "ObjectRemoved", services.RemoveConfig: "ObjectRemoved",
}

// do carries one action out. It returns the digest that a registry has told.
func (l *loop) do(ctx context.Context, a services.Action) (digest string, err error) {
	if err := l.options.Check(); err != nil {
		return "", err
	}
	if a.Kind == services.AskRegistry {
		ctx, cancel := context.WithTimeout(ctx, registryTimeout)
		defer cancel()
		return l.options.Manager.Digest(ctx, a.Object)
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return "", l.change(ctx, a)
}

// change carries out an action that changes the Swarm.
func (l *loop) change(ctx context.Context, a services.Action) error {
	m := l.options.Manager
	switch a.Kind {
	case services.CreateService:
		_, err := m.CreateService(ctx, a.Spec)
		return err
	case services.UpdateService:
		return m.UpdateService(ctx, a.ID, a.Version, a.Spec)
	case services.RemoveService:
		return m.RemoveService(ctx, a.ID)
	case services.CreateNetwork:
		_, err := m.CreateNetwork(ctx, overlay(l.project, l.project.Networks[a.Object]))
		return err
	case services.RemoveNetwork:
		return m.RemoveNetwork(ctx, a.ID)
	case services.CreateSecret:
		_, err := m.CreateSecret(ctx, convert.Secret(l.project.Name, a.Key, a.Object, l.contents["secret "+a.Key]))
		return err
	case services.RemoveSecret:
		return m.RemoveSecret(ctx, a.ID)
	case services.CreateConfig:
		_, err := m.CreateConfig(ctx, convert.Config(l.project.Name, a.Key, a.Object, l.contents["config "+a.Key]))
		return err
	default:
		return m.RemoveConfig(ctx, a.ID)
	}
}

// overlay is a network of the project as the Swarm is to have it. Containers may join it, too:
// they and tasks reach each other in it while the project moves to the Swarm, or away.
func overlay(p *spec.Project, n spec.Network) engine.NetworkSpec {
	config := n.Config
	config.Attachable = true
	return engine.NetworkSpec{Name: convert.NetworkName(p, n), Labels: spec.NetworkLabels(p, n), Config: config}
}

// contents reads the secrets and configs that workloads use, by kind and Compose key.
func contents(p *spec.Project) (map[string][]byte, error) {
	all := map[string][]byte{}
	read := func(key, file, content string) error {
		all[key] = []byte(content)
		if file == "" {
			return nil
		}
		text, err := os.ReadFile(file) //nolint:gosec // the project names it
		all[key] = text
		return err
	}
	for _, w := range p.Workloads {
		for _, s := range w.Template.Secrets {
			if err := read("secret "+s.Source, p.Secrets[s.Source].File, p.Secrets[s.Source].Content); err != nil {
				return nil, err
			}
		}
		for _, c := range w.Template.Configs {
			if err := read("config "+c.Source, p.Configs[c.Source].File, p.Configs[c.Source].Content); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}
