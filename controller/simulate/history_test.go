package simulate

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/model"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/state"
)

// outcome is what came of a history.
type outcome struct {
	steps  int
	failed string
	story  string
	// tape is what was drawn.
	tape  [][]uint16
	cover coverage
}

// run runs one history of a number of steps, and then to its end.
func run(t *testing.T, tp *tape, steps int, told bool) (o outcome) {
	used := 0 // steps of the tape
	o = live(t, tp, told, func(w *world) {
		tp.next(steps)
		used = 1
		w.begin()
		for tp.next(steps) {
			used = tp.at + 1
			w.step()
		}
		used = tp.at + 1
		w.calm()
	})
	o.steps, o.tape = tp.at, tp.steps[:min(used, len(tp.steps))]
	return o
}

// live has a history in a world of its own.
func live(t *testing.T, tp *tape, told bool, history func(*world)) (o outcome) {
	pool := loadPool()
	loadPublished() // outside of the bubble
	synctest.Test(t, func(*testing.T) {
		life, end := context.WithCancel(context.Background())
		w := &world{tape: tp, pool: pool, engine: newEngine(), began: time.Now(), life: life, written: map[string]variant{}, rows: rows{}, idle: time.Second, names: names, paused: map[string]bool{}, undone: map[string]bool{}}
		w.checks = newInvariants(w)
		if told {
			w.story = &strings.Builder{}
		}
		defer func() {
			switch f := recover().(type) {
			case nil:
			case failure:
				o.failed = string(f)
				w.tell("IT FAILS: %s", f)
			default:
				panic(f)
			}
			if w.gate != nil {
				w.kill()
			}
			end()
			must(w.engine.Close())
			synctest.Wait()
			o.cover = w.cover
			if told {
				o.story = w.story.String()
			}
		}()
		history(w)
	})
	return o
}

// begin draws the moods, and what there is at first.
func (w *world) begin() {
	published, joined, follows := w.aside(2) == 1, w.aside(8) == 7, w.aside(8) == 7
	w.moods = moods{
		fault: one(w.tape, 0, 5, 10, 30), crash: one(w.tape, 0, 50, 100), meddle: one(w.tape, 0, 50, 100), edit: one(w.tape, 0, 50, 100),
		lies: w.draw(4) == 3, away: w.draw(3) == 2, rich: w.draw(3) > 0, disk: w.draw(4) == 3,
	}
	if published {
		w.publish()
	}
	if joined {
		w.names = append(slices.Clone(names), joiner)
	}
	if follows {
		w.scaling = newScaling()
	}
	w.gateway.active = w.draw(2) == 1
	for _, name := range w.names {
		v := w.some(name)
		if w.draw(3) > 0 || name == "web" {
			w.written[name] = v
			w.tell("%s is written: %s", name, v)
		}
	}
	if w.moods.rich {
		w.furnish()
	}
	w.start()
}

// furnish makes what another run of tend, or docker compose, has left there.
func (w *world) furnish() {
	w.furnishResources()
	compose := w.draw(3) == 2
	for _, name := range w.names {
		v, ok := w.written[name]
		if !ok || w.draw(3) == 2 {
			continue
		}
		if w.draw(3) == 2 {
			v = w.some(name) // of an earlier revision
		}
		if !v.good {
			continue
		}
		compose := compose && v.Kind != spec.Database && len(v.Joins()) == 0
		for n := range v.Replicas {
			w.old(v.Workload, n+1, compose)
			if compose && v.ports != nil {
				break // the first one has the ports
			}
		}
		for _, i := range v.ingresses(w.ingressImage) {
			if !compose {
				w.old(i, 1, false)
			}
		}
	}
}

// furnishResources makes the networks and the volumes.
func (w *world) furnishResources() {
	for _, n := range w.pool.base.Networks {
		must(w.engine.CreateNetwork(w.life, engine.NetworkSpec{Name: n.Name, Labels: spec.NetworkLabels(w.pool.base, n)}))
	}
	for _, n := range w.pool.base.Volumes {
		must(w.engine.CreateVolume(w.life, engine.VolumeSpec{Name: n.Name, Labels: spec.VolumeLabels(w.pool.base, n)}))
	}
}

// old makes a container as tend or docker compose would have, and starts it.
func (w *world) old(v *spec.Workload, number int, compose bool) {
	p := w.pool.base
	joins := w.toJoin(v)
	c := engine.ContainerSpec{
		Name: spec.ContainerName(p.Name, v, number), Project: project, Service: spec.Joined(v.ContainerService(), joins), Labels: spec.ContainerLabels(p, v, number, "", joins),
		Networks: map[string]string{}, Volumes: map[string]string{},
	}
	for _, n := range p.Networks {
		c.Networks[n.Key] = n.Name
	}
	for _, n := range p.Volumes {
		c.Volumes[n.Key] = n.Name
	}
	if v.Kind == spec.Database {
		grace := types.Duration(v.StopGrace)
		c.Service.StopGracePeriod = &grace
	}
	if compose {
		delete(c.Labels, spec.LabelRevision)
		c.Service = v.Template
	}
	id, err := w.engine.Create(w.life, c)
	if compose {
		w.engine.UpdateBehind(id, "always")
	}
	if err == nil {
		_ = w.engine.Start(w.life, id)
	}
}

// settle waits until all is as it is written, and nothing is asked of the engine
// any more.
func (w *world) settle() {
	began, wrote, looked := time.Now(), time.Now(), time.Now()
	problem := "never quiet"
	for i := 0; ; i++ {
		if w.turn() {
			wrote = time.Now()
		}
		if rest := time.Since(wrote) >= quiet; rest || time.Since(looked) > patience/6 {
			looked = time.Now()
			if problem = w.asWritten(w.goal()); problem == "" && rest && w.ctl.Linked() {
				w.shownAtRest()
				return
			}
			w.refused()
			w.again()
		}
		if time.Since(began) > patience || i > lastStep {
			for _, s := range w.ctl.State().Snapshot().Statuses() {
				w.tell("%s: %s; %s", s.Workload, s.Status, s.Obstacle)
			}
			w.fail("no rest after %s and %d steps: %s", time.Since(began).Round(time.Second), i, problem)
		}
	}
}

// refused writes another image for a database whose data the one that is
// written cannot read.
func (w *world) refused() {
	db, ok := w.written["db"]
	if data := w.checks.data(); ok && data != (build{}) && data != servers[db.Image] {
		next := maps.Clone(w.written)
		for _, image := range []string{"pglast", "pglast15c", "pglast16"} {
			if servers[image] == data {
				next["db"] = variant{Workload: withImage(db.Workload, image, ""), good: true}
			}
		}
		w.tell("db is written with a server that reads its data")
		w.put(next)
	}
}

// again writes what was rolled back once more, in another revision, and that of
// which a hook has failed: a call that hung may have taken longer than they might.
func (w *world) again() {
	snap := w.ctl.State().Snapshot()
	next := maps.Clone(w.written)
	for name, v := range w.written {
		s, ok := snap.Status(name)
		if !ok || w.back != nil {
			continue
		}
		rolled, failed := s.Condition(core.Progressing), s.Condition(core.ReplicaFailure)
		if rolled != nil && rolled.Reason == "RolledBack" || failed != nil && failed.Reason == "HookFailed" {
			anew := withImage(v.Workload, v.Image, fmt.Sprint("again ", w.at))
			anew.PreRollout, anew.ProgressDeadline = v.PreRollout, patient(v)
			next[name] = variant{Workload: anew, good: true, ports: v.ports}
			w.tell("%s has failed, and is written again", name)
		}
	}
	if !maps.Equal(next, w.written) {
		w.put(next)
	}
}

// serve answers one call or passes on one event, and reports whether there was one,
// and whether one was to change something.
func (w *world) serve() (acted, wrote bool) {
	waiting := w.gate.waiting()
	wrote = slices.ContainsFunc(waiting, func(c *call) bool { return c.op.Write() && !slices.Contains(othersOps, c.op) })
	for _, c := range waiting {
		if c.ctx.Err() != nil {
			w.lose(c, engine.Unknown, c.ctx.Err())
			return true, wrote
		}
		c.held = c.held || w.stuck != "" && w.concerns(c, w.stuck)
		if !c.held {
			if w.intervene == nil || !w.intervene(c) {
				w.tell("%s", w.name(c))
				w.pend(c)
			}
			return true, wrote
		}
	}
	return w.deliver(), wrote
}

// heal undoes what tend cannot.
func (w *world) heal() {
	w.tell("nothing goes wrong any more")
	if w.scaling != nil {
		w.scaling.steady = true
	}
	if w.away {
		w.away = false
		w.engine.Reconnect()
	}
	for len(w.late) > 0 {
		w.effect(w.late[0])
	}
	w.full = time.Time{}
	w.free()
	for _, c := range w.gate.waiting() {
		c.held = c.held && c.op != opTell && c.op != model.OpAttach
	}
	for _, c := range w.checks.truth() {
		if c.State == engine.Removing || elsewhere(c) && slices.Contains(w.names, workloadOf(c)) {
			w.engine.RemoveBehind(c.ID)
		}
		row, known := w.ctl.State().Snapshot().Replica(c.ID)
		repaired := known && row.WasReady && row.StartedAt.Equal(c.StartedAt)
		if c.Health == engine.Unhealthy && c.Image != "sick" && !repaired {
			w.engine.SetHealth(c.ID, engine.Healthy) // it goes on, as nobody knows better
		}
		if workloadOf(c) != "db" || !alive(c) {
			continue
		}
		// A database is not restarted for what it suffers from.
		w.engine.Unpause(c.ID)
		if c.Health == engine.Unhealthy {
			w.engine.SetHealth(c.ID, engine.Healthy)
		}
		if slices.ContainsFunc(networksOf(workloadOf(c)), func(name string) bool { return c.Networks[name] == "" }) {
			w.engine.StopBehind(c.ID, 2*time.Minute)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(w.pool.base.Volumes)) {
		if !w.has(name) {
			w.makeVolume(name)
		}
	}
}

// unintend takes back what people have asked for.
func (w *world) unintend() {
	for _, name := range w.names {
		if _, ok := w.written[name]; ok && w.paused[name] {
			w.intention(name, "resumed", 0)
		}
	}
}

// goal is what is to run in the end: what is written, unless it is known not to
// work.
func (w *world) goal() map[string]variant {
	goal := maps.Clone(w.written)
	maps.Copy(goal, w.back)
	return goal
}

// neverKept reports whether docker compose has made a container, and tend does not
// remember to have kept its service, as it had no time or no disk to write that down:
// it is left alone.
func (w *world) neverKept(c engine.Container) bool {
	if c.Labels[spec.LabelRevision] != "" {
		return false
	}
	if w.moods.disk {
		return len(w.ctl.State().Snapshot().Revisions(workloadOf(c))) == 0
	}
	for key := range w.rows {
		if key[0] == state.Revisions && strings.HasPrefix(key[1], workloadOf(c)+"/") {
			return false
		}
	}
	return true
}

// image is what an image's name stands for; empty where it stands for nothing.
func (w *world) image(name string) string {
	image, err := w.engine.Image(w.life, name)
	if err != nil {
		return ""
	}
	return image.ID
}

// asWritten says how what the engine has differs from a goal.
func (w *world) asWritten(goal map[string]variant) string {
	count := map[string]int{}
	truth := w.checks.truth()
	goal = w.withIngresses(goal)
	for name, v := range goal {
		goal[name] = w.inForce(v)
	}
	for _, c := range truth {
		name := replicaOf(c)
		written, ok := goal[name]
		ingress := ok && written.Kind == spec.Ingress
		switch {
		case w.stuck != "" && spec.ServiceOf(workloadOf(c)) == w.stuck:
		case name == "":
			if c.Labels[spec.LabelHook] != "" && alive(c) {
				return c.Name + " still runs"
			}
		case !ok && w.neverKept(c):
		case !ok:
			return c.Name + " still exists"
		case revision(c) != written.Revision:
			return fmt.Sprintf("%s is of revision %s", c.Name, revision(c))
		case !ingress && written == w.of(name) && c.Labels[spec.LabelImage] != "" && c.ImageID != w.image(written.Image):
			return fmt.Sprintf("%s is made from another image than %s is now", c.Name, written.Image)
		case c.RestartPolicy != cmp.Or(written.RestartPolicy, "no"):
			return fmt.Sprintf("%s has the restart policy %s", c.Name, c.RestartPolicy)
		case written.Kind == spec.Job:
		case !ready(c) && !w.checks.done(c, written) && !(c.State == engine.Exited && w.joinsWhatIsDone(written)):
			return fmt.Sprintf("%s is %s, %s", c.Name, c.State, c.Health)
		case ingress && w.misled(c) != "":
			return w.misled(c)
		case w.cutOff(truth, c, written) != "":
			return w.cutOff(truth, c, written)
		default:
			count[name]++
		}
	}
	snap, are := w.ctl.State().Snapshot(), byWorkload(truth)
	for _, name := range slices.Sorted(maps.Keys(goal)) {
		written := goal[name]
		if written.Kind == spec.Ingress && portHeld(written.Workload, are) || w.joinsWhatIsDone(written) {
			continue
		}
		if n := count[name]; written.Kind != spec.Job && n != written.Replicas {
			return fmt.Sprintf("%s has %d replicas, and %d are written", name, n, written.Replicas)
		}
		if s, ok := snap.Status(name); !ok || !s.Converged && written == w.of(name) {
			return fmt.Sprintf("the status of %s does not say converged", name)
		}
	}
	return ""
}
