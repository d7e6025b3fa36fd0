package simulate

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/tendhq/tend/api"
	"github.com/tendhq/tend/controller"
	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/model"
	"github.com/tendhq/tend/controller/observe"
	"github.com/tendhq/tend/controller/plan"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/state"
)

// settled is how long the loop takes to have planned what has come.
const settled = 2 * time.Millisecond

// world is one history: an engine, a controller that is killed and started
// again, people, and all that goes wrong between them. It lives in a
// testing/synctest bubble, and all of it is the scheduler's but what the
// controller's goroutines do while the scheduler waits.
type world struct {
	*tape
	pool   *pool
	engine *model.Engine
	began  time.Time
	cover  coverage
	// moods are how this history goes wrong; a history in which everything does
	// would never get far.
	moods moods

	gate *gate
	ctl  *controller.Controller
	api  http.Handler // of ctl
	// run is this run of the controller, quit ends it, and ended is closed when
	// it has.
	run   context.Context
	quit  context.CancelFunc
	ended chan struct{}
	// started is when it began.
	started time.Time
	// life ends with the history.
	life context.Context

	// written is what is in force, with what was in force before.
	written map[string]variant
	// names are the services that the project may have.
	names []string
	// back are the variants that a rollback is to lead to.
	back map[string]variant
	// paused are the workloads that a person has paused at some time, undone those
	// that a person wanted at another revision.
	paused, undone map[string]bool
	// rows are on the disk.
	rows    rows
	away    bool
	full    time.Time // until when the engine's disk is
	late    []*call   // whose effect comes after its reply
	lists   []engine.Container
	release []func() // gives back what others hold
	reserve []string // names that the engine holds for nobody
	gateway gateway
	// ingressImage is what the ingresses of this tend are made from; empty where
	// containers publish their ports themselves.
	ingressImage string
	holders      holders
	// scaling is the load of a service that is scaled by it; nil in most histories.
	scaling *scaling

	// intervene is asked before a call is answered in a calm world, and reports
	// whether it did that itself.
	intervene func(*call) bool
	// stuck is a workload about which the engine says nothing in a calm world.
	stuck string
	// idle is how long nothing happens in a calm world, next time.
	idle   time.Duration
	checks *invariants
	// truth is what the engine had at the end of the last step. Its memory is used again for the
	// next one, as all these lists would take more of it than the rest of a history.
	truth []engine.Container
	story *strings.Builder // nil unless it is told
}

// moods are percentages.
type moods struct {
	fault  int // of a call
	crash  int // of a call's faults
	meddle int
	edit   int
	lies   bool // lists and inspects may be wrong
	away   bool
	rich   bool // begins with containers
	disk   bool // what is written to the disk can go wrong
	// ingress has host ports held by ingresses.
	ingress bool
}

// gateway follows the endpoints.
type gateway struct {
	active bool
	asked  time.Time
	acked  uint64 // what it said it has in force
	index  uint64 // what it was given last
}

// failure ends a history.
type failure string

func (w *world) fail(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	for _, c := range w.engine.Truth() {
		text = strings.ReplaceAll(text, c.ID, c.Name)
	}
	panic(failure(text))
}

// tell adds a line to the story.
func (w *world) tell(format string, args ...any) {
	if w.story != nil {
		fmt.Fprintf(w.story, "%4d %10s  %s\n", w.at, time.Since(w.began).Round(time.Millisecond), fmt.Sprintf(format, args...))
	}
}

// start starts a controller that knows nothing.
func (w *world) start() {
	ctx, quit := context.WithCancel(w.life)
	g := &gate{engine: w.engine, step: w.at}
	w.started = time.Now()
	w.gate, w.run, w.quit, w.ended = g, ctx, quit, make(chan struct{})
	w.ctl = controller.New(controller.Options{
		Engine: g, Project: project, Folders: observe.Folders{Project: w.pool.base.WorkingDir}, Log: zap.NewNop(), IngressImage: w.ingressImage, Executable: os.DevNull, Durable: &disk{gate: g, rows: w.rows, gated: w.moods.disk},
		OnEvent: func(e *state.Event) {
			if g.cut() {
				return
			}
			w.checks.said(e)
			w.tell("    %s %s: %s", e.Workload, e.Reason, e.Message)
		},
		Record: func(in plan.Input, p plan.Plan) {
			if g.cut() {
				return
			}
			w.checks.decided(in, p)
			if w.checks.plans++; w.checks.plans > mostPlans {
				w.checks.blame("%s is planned without end", in.Workload)
				<-ctx.Done()
				runtime.Goexit() // as nothing else would end it
			}
		},
	})
	w.api = api.New(api.Config{Store: w.ctl.State(), Controller: w.ctl, Ready: w.ctl.Ready, Project: project, Log: zap.NewNop(), Metrics: http.NotFoundHandler(), AnonymousRead: true})
	ended := w.ended
	ctl := w.ctl
	w.checks.restarted()
	go func() {
		defer close(ended)
		ctl.Run(ctx)
	}()
	synctest.Wait()
	w.ctl.SetProject(w.pool.write(w.written, w.ingressImage))
}

// kill ends the controller as SIGKILL does: nothing it would still have done is.
func (w *world) kill() {
	const most = 10 * time.Millisecond // until its goroutines have ended; how long they take is by chance
	over := time.Now().Add(most)
	w.gate.kill()
	w.quit()
	<-w.ended
	time.Sleep(time.Until(over))
	synctest.Wait()
}

func (w *world) restart(meanwhile ...func()) {
	w.kill()
	for _, do := range meanwhile {
		do()
	}
	w.checks.touch()
	w.engine.ForgetCalls()
	w.late = slices.DeleteFunc(w.late, func(c *call) bool { return c.op == model.OpEvents })
	w.gateway.acked, w.gateway.index = 0, 0
	w.start()
}

// step has one thing happen, and looks at what came of it.
func (w *world) step() {
	w.gate.next(w.at)
	long := settled
	if w.draw(4) == 3 {
		long = 0 // and the next thing comes before anything was planned
	}
	if w.moods.ingress && w.draw(8) == 7 {
		w.clients()
	}
	if w.scaling != nil && w.draw(16) == 15 {
		w.load(one(w.tape, loads...))
	}
	w.happen()
	w.pass(long)
}

// pass lets time pass. That each step takes a nanosecond more has no two things
// that follow from different steps happen at the same instant.
func (w *world) pass(d time.Duration) {
	if w.scaling != nil {
		w.share()
	}
	time.Sleep(d + time.Nanosecond)
	synctest.Wait()
	if s := w.gate.stream; s != nil {
		s.pump()
	}
	w.truth = w.engine.AppendTruth(w.truth[:0])
	if w.moods.ingress {
		w.disconnect(w.truth)
	}
	w.checks.look(d >= settled, w.truth)
}

// happen draws what happens.
func (w *world) happen() {
	for _, c := range w.gate.waiting() {
		if c.ctx.Err() != nil {
			w.tell("%s ends: %v", w.name(c), c.ctx.Err())
			w.lose(c, engine.Unknown, c.ctx.Err())
			return
		}
	}
	switch k := w.draw(100); {
	case k < 50:
	case k < 68:
		if w.deliver() {
			return
		}
	case k < 76:
		w.wait()
		return
	case k < 80:
		w.ask()
		return
	case k < 88:
		if w.chance(w.moods.meddle) {
			w.meddle()
			return
		}
	case k < 92:
		if w.chance(w.moods.edit) {
			w.edit()
			return
		}
	case k < 93:
		if w.chance(w.moods.edit) {
			w.tell("what is written cannot be read")
			w.cover.count("spec file", "invalid")
			w.ctl.RejectProject(fmt.Errorf("compose.yaml:1:1: half-written"))
			return
		}
	case k < 95:
		if w.chance(w.moods.edit) {
			w.intend()
			return
		}
	case k < 96:
		if w.chance(w.moods.crash) {
			w.tell("tend is killed, and started again")
			if w.draw(4) == 3 {
				w.postpone()
			}
			if w.moods.ingress && w.draw(3) == 2 {
				w.upgrade()
			}
			if w.draw(6) == 5 {
				w.restart(w.takeDown)
			} else {
				w.restart()
			}
			return
		}
	case k < 97:
		if w.moods.away {
			w.outage()
			return
		}
	case k < 98:
		if w.chance(w.moods.fault) && w.spoil() {
			return
		}
	default:
		if len(w.late) > 0 {
			w.effect(w.late[w.draw(len(w.late))])
			return
		}
	}
	w.answer()
}

// answer answers a call, the eldest more often than another.
func (w *world) answer() {
	var free []*call
	for _, c := range w.gate.waiting() {
		if !c.held {
			free = append(free, c)
		}
	}
	if len(free) == 0 {
		if !w.deliver() {
			w.wait()
		}
		return
	}
	c := free[0]
	if w.draw(2) == 1 {
		c = free[w.draw(len(free))]
	}
	if slices.Contains(filling, c.op) && time.Now().Before(w.full) {
		w.tell("%s: the disk is still full", w.name(c))
		w.refuse(c, engine.Exhausted, "no space left on device")
		return
	}
	if (w.chance(w.moods.fault) || w.moods.fault > 0 && c.op == model.OpConnect && w.draw(2) == 1) && w.fault(c) { // a rare one fails more often
		return
	}
	w.tell("%s", w.name(c))
	w.pend(c)
}

// pend answers a call as it should be.
func (w *world) pend(c *call) {
	w.respond(c, func(err error) error { return err })
}

// respond has a call's effect, and then something that changes the world or the
// answer.
func (w *world) respond(c *call, change func(error) error) {
	w.checks.stops(c)
	w.gate.release(c, answer{then: func(err error) error {
		err = change(err)
		w.checks.told(c, err)
		return err
	}})
}

// lose answers a call with an error; whether it had its effect is another thing.
func (w *world) lose(c *call, class engine.Class, err error) {
	w.checks.missed(c)
	w.gate.release(c, answer{err: c.fail(class, err)})
}

// has reports whether a volume exists; while the engine is away it may.
func (w *world) has(volume string) bool {
	found, err := w.engine.Volumes(w.life, project, volume)
	return err != nil || slices.ContainsFunc(found, func(v engine.Volume) bool { return v.Name == volume })
}

// hasNetwork reports whether a network exists; while the engine is away it may.
func (w *world) hasNetwork(network string) bool {
	found, err := w.engine.Networks(w.life, project, network)
	return err != nil || slices.ContainsFunc(found, func(n engine.Network) bool { return n.Name == network })
}

// deliver passes an event on.
func (w *world) deliver() bool {
	s := w.gate.stream
	if s == nil {
		return false
	}
	if len(s.pending) > 0 && w.story != nil {
		w.tell("event %s %s", s.pending[0].Action, w.container(s.pending[0].ContainerID))
	}
	return s.deliver()
}

// wait lets time pass: little where calls wait, as they have time-outs.
func (w *world) wait() {
	long := []time.Duration{0, 100 * time.Millisecond, time.Second, 3 * time.Second, 10 * time.Second, 20 * time.Second, time.Minute, 5 * time.Minute, 12 * time.Minute}
	n := len(long)
	if len(w.gate.waiting()) > 0 && !w.chance(w.moods.fault) {
		n = 4
	}
	d := long[w.draw(n)]
	for _, c := range w.gate.waiting() { // those who wait give up in time
		if end, ok := c.ctx.Deadline(); ok {
			d = min(d, max(time.Until(end), 0))
		}
	}
	w.tell("%s pass", d)
	time.Sleep(d)
}

// ask has the gateway ask for the endpoints.
func (w *world) ask() {
	g := &w.gateway
	if !g.active {
		return
	}
	if _, err := w.ctl.Subscribed(controller.Subscriber{Name: "gateway"}, g.index); err != nil {
		w.fail("the gateway is refused: %v", err)
	}
	before := *g
	g.acked, g.asked = g.index, time.Now()
	g.index = w.ctl.State().Snapshot().EndpointsIndex()
	if g.acked != before.acked || g.index != before.index {
		w.tell("the gateway has endpoints %d in force, and is given %d", g.acked, g.index)
	}
}

// edit writes a workload in another way, takes one away or brings one back.
func (w *world) edit() {
	name := w.names[w.draw(len(w.names))]
	next := map[string]variant{}
	for n, v := range w.written {
		next[n] = v
	}
	v := w.some(name)
	if before, there := next[name]; there && w.draw(12) == 11 {
		delete(next, name)
		w.tell("%s is taken out of the project", name)
		if w.draw(2) == 1 {
			w.put(next)
			w.pass(settled)
			w.tell("%s is written again, as it was", name)
			w.cover.count("service", "taken out and written again")
			next = maps.Clone(next)
			next[name] = before
		}
	} else {
		next[name] = v
		w.tell("%s is written: %s", name, v)
	}
	w.put(next)
}

// put puts a project in force.
func (w *world) put(next map[string]variant) {
	for _, name := range w.names {
		if next[name] != w.written[name] {
			w.checks.edited(name)
		}
		if next[name].Workload == nil && w.written[name].Workload != nil {
			w.checks.takenOut(name)
		}
	}
	w.written = next
	w.ctl.SetProject(w.pool.write(next, w.ingressImage))
}

func (v variant) String() string {
	return fmt.Sprintf("%d of %s, surge %d, unavailable %d, %s, paused %t", v.Replicas, v.Image, v.Strategy.MaxSurge, v.Strategy.MaxUnavailable, v.Strategy.Type, v.Paused)
}

// intend has a person ask for something.
func (w *world) intend() {
	name := w.names[w.draw(len(w.names))]
	if _, ok := w.written[name]; ok {
		w.intention(name, one(w.tape, "resumed", "paused", "restarted", "undone"), w.draw(4))
	}
}

// intention has a person ask for something; n picks a revision.
func (w *world) intention(name, what string, n int) {
	w.tell("a person has %s %s", name, what)
	w.checks.edited(name)
	// A crash may keep it from being taken back.
	w.paused[name] = w.paused[name] || what == "paused"
	w.undone[name] = w.undone[name] || what == "undone"
	w.checks.intended[name] = true
	ctl := w.ctl
	go func() {
		_ = ctl.Intend(w.life, core.Event{Workload: name, Reason: "Asked"}, func(i *core.Intent, s *state.Snapshot) error {
			switch rows := s.Revisions(name); {
			case what == "restarted":
				i.RestartedAt = time.Now()
			case what != "undone":
				i.Paused = new(what == "paused")
			case len(rows) > 0:
				row, _ := s.Workload(name)
				i.Undo, i.UndoOf = rows[n%len(rows)].Revision, row.Spec.Revision
			}
			return nil
		})
	}()
	synctest.Wait() // else the next one who asks might be heard first
}

// name is a call in words.
func (w *world) name(c *call) string {
	text := string(c.op)
	if c.object != "" {
		text += " " + w.container(c.object)
	}
	lines := strings.Split(strings.TrimSpace(c.detail), "\n")
	return strings.TrimSpace(text + " " + strings.TrimSpace(lines[len(lines)-1]))
}

// container is the name of a container, or what is given.
func (w *world) container(id string) string {
	if w.story == nil {
		return id
	}
	for _, c := range w.engine.Truth() {
		if c.ID == id {
			return c.Name
		}
	}
	return id
}

// labelled is the workload in a container's labels.
func labelled(labels map[string]string) string {
	return cmp.Or(labels[spec.LabelIngress], labels[spec.LabelService])
}
