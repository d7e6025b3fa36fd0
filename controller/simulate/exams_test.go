package simulate

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/model"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/state"
)

const (
	// resync is how often everything is listed at least, and slack what that takes
	// here.
	resync = 5 * time.Minute
	slack  = time.Minute
	// quiet is for how long nothing may be asked of the engine at the end.
	quiet = resync + slack
	// patience is the most time until then; steps are the most steps.
	patience = 3 * time.Hour
	lastStep = 20000
)

// calm has nothing go wrong any more, and checks that all comes to what is
// written, and to rest. Then comes an exam, or has come before.
func (w *world) calm() {
	w.heal()
	exam, of, keep := w.draw(8), one(w.tape, w.names...), w.draw(2) == 1
	var minutes []minute
	if w.scaling != nil {
		minutes = w.minutes()
	}
	if exam > 5 {
		w.leave()
	}
	w.rewrite(keep)
	w.settle()
	if w.scaling != nil {
		w.comeAndGo(minutes)
		w.settle()
	}
	switch exam {
	case 1:
		w.miss()
	case 2:
		w.forget()
	case 3:
		w.stray()
	case 4:
		w.block(of)
	}
}

// leave leaves everything as it is written for a while, though not all of it can
// work.
func (w *world) leave() {
	w.tell("everything is left as it is written")
	before := w.neverHealthy()
	clear(w.checks.stoppedElse)
	over := time.Now().Add(12 * time.Minute)
	for i := 0; i < 250 && time.Now().Before(over); i++ {
		w.turn()
	}
	if time.Now().Before(over) {
		return
	}
	for _, c := range w.checks.truth() {
		if written, ok := w.written[replicaOf(c)]; ok && c.RestartPolicy != cmp.Or(written.RestartPolicy, "no") && alive(c) && written.Kind != spec.Database {
			w.fail("%s has the restart policy %s, and is to have %s", c.Name, c.RestartPolicy, cmp.Or(written.RestartPolicy, "no"))
		}
	}
	truth := w.checks.truth()
	for _, c := range truth {
		since, ok := before[c.ID]
		again := slices.ContainsFunc(c.Joins, func(j engine.Join) bool { // what it has joined was, and it goes with that
			return slices.ContainsFunc(truth, func(other engine.Container) bool { return other.ID == j.ID && other.StartedAt.After(since) })
		})
		again = again || w.checks.stoppedElse[c.ID] // it was to go, and is needed longer
		if ok && !again && !c.StartedAt.Equal(since) {
			w.fail("%s has never been healthy, and was started again for that", c.Name)
		}
	}
	snap := w.ctl.State().Snapshot()
	for _, name := range w.names {
		if written, ok := w.written[name]; ok && written.Kind == spec.Deployment && !w.checks.paused(snap, name) {
			w.takenBack(w.inForce(written), snap)
		}
	}
}

// neverHealthy are the containers with which nothing is the matter but a health
// check that has never passed, by ID, and when each was started.
func (w *world) neverHealthy() map[string]time.Time {
	all := map[string]time.Time{}
	snap := w.ctl.State().Snapshot()
	toStop := map[string]bool{}
	for _, c := range w.gate.waiting() {
		toStop[c.object] = toStop[c.object] || c.op == model.OpStop
	}
	for _, c := range w.checks.truth() {
		row, known := snap.Replica(c.ID)
		rollout, begun := snap.Rollout(replicaOf(c))
		healed := c
		healed.Health = engine.Healthy
		if c.Image == "sick" && c.Health == engine.Unhealthy && ready(healed) && known && !row.WasReady && begun && !rollout.Complete && !w.checks.stopped[c.ID] && !toStop[c.ID] {
			all[c.ID] = c.StartedAt
		}
	}
	return all
}

// takenBack checks that a rollout which cannot succeed has been given up by now,
// and that what worked before runs again.
func (w *world) takenBack(written variant, snap *state.Snapshot) {
	status, ok := snap.Status(written.Name)
	rollout, known := snap.Rollout(written.Name)
	if !ok || !known || written.ProgressDeadline > 2*time.Minute {
		return
	}
	stable, known := snap.Revision(written.Name, rollout.Stable)
	if !known || !slices.Contains(goodImages, stable.Spec.Image) {
		return
	}
	for _, d := range written.DependsOn {
		if !slices.ContainsFunc(w.checks.truth(), func(c engine.Container) bool { return replicaOf(c) == d.Name && (ready(c) || c.State == engine.Exited) }) {
			return // it waits for that
		}
	}
	for _, joined := range stable.Spec.Joins() {
		if !slices.ContainsFunc(w.checks.truth(), func(c engine.Container) bool { return replicaOf(c) == joined && alive(c) }) {
			return // what worked before cannot be made without it
		}
	}
	count := 0
	for _, c := range w.checks.truth() {
		if replicaOf(c) == written.Name && revision(c) == rollout.Stable && (ready(c) || w.checks.done(c, written)) {
			count++
		}
	}
	switch c := status.Condition(core.Progressing); {
	case c == nil:
	case c.Reason == "RolledBack" && count < written.Replicas:
		w.fail("%s was rolled back, and %d of its %d replicas are ready: %s; %s", written.Name, count, written.Replicas, status, status.Obstacle)
	case (c.Reason == "ReplicaSetUpdated" || c.Reason == "ProgressDeadlineExceeded") && written.OnFailure == spec.Rollback && rollout.Stable != written.Revision:
		w.fail("%s is still being rolled out, though it cannot succeed: %s", written.Name, c.Message)
	}
}

// rewrite writes everything such that it can work. Where all is written anew each
// rollout begins anew, too; what is kept has to come right as it is.
func (w *world) rewrite(keep bool) {
	snap := w.ctl.State().Snapshot()
	next := map[string]variant{}
	for name, v := range w.written {
		moved := w.undone[name] // to another revision, as it was asked for or has failed
		if row, ok := snap.Status(name); ok {
			moved = moved || row.UpdateRevision != v.Revision
		}
		if keep && v.good && v.Replicas > 0 && !moved && v.Kind != spec.Job {
			kept := *v.Workload
			kept.Paused, kept.ProgressDeadline = false, patient(v)
			next[name] = variant{Workload: &kept, good: true, ports: v.ports}
		} else {
			next[name] = w.scale(w.pool.ending(v))
		}
	}
	dependents := slices.Collect(maps.Values(next))
	for len(dependents) > 0 {
		v := dependents[0]
		dependents = dependents[1:]
		for _, d := range v.DependsOn {
			if _, ok := next[d.Name]; !ok {
				next[d.Name] = w.pool.last[d.Name]
				dependents = append(dependents, next[d.Name])
			}
		}
	}
	w.tell("everything is written such that it can work")
	w.put(next)
	w.unintend()
	w.pass(settled)
}

// patient is a deadline within which what works comes forward.
func patient(v variant) time.Duration { return max(v.ProgressDeadline, v.MinReady+time.Minute) }

// within has things go their way until there is no problem any more, and fails
// where that takes longer than it may.
func (w *world) within(most time.Duration, problem func() string) {
	over := time.Now().Add(most)
	for text := problem(); text != ""; text = problem() {
		if time.Now().After(over) {
			w.fail("%s, and %s ago it was so too", text, most)
		}
		w.turn()
	}
}

// loseEvents drops the events that have not been delivered.
func (w *world) loseEvents() {
	if s := w.gate.stream; s != nil {
		s.pump()
		s.pending = nil
	}
}

// miss has a container die without an event, and checks that this is seen within one
// resync.
func (w *world) miss() {
	for _, c := range w.checks.truth() {
		if name := replicaOf(c); name == "" || w.of(name).Workload == nil || w.of(name).Kind == spec.Job || !alive(c) {
			continue
		}
		w.tell("%s dies, and the events are lost", c.Name)
		w.engine.Kill(c.ID, 137)
		w.checks.touch()
		w.loseEvents()
		w.within(resync+slack, func() string {
			if row, ok := w.ctl.State().Snapshot().Replica(c.ID); ok && row.State == core.Running && row.StartedAt.Equal(c.StartedAt) {
				return c.Name + " is dead and held for alive"
			}
			return ""
		})
		w.settle()
		return
	}
}

// stray makes a container of a service that nobody has written, as an earlier run
// of tend may have left it, and checks that it is gone within two resyncs.
func (w *world) stray() {
	old := *w.pool.base.Workloads["web"]
	old.Name = "old"
	id := w.engine.Put(engine.Container{
		Name: "p-old-1", State: engine.Running, StartedAt: time.Now(), Labels: spec.ContainerLabels(w.pool.base, &old, 1, "", nil), Networks: map[string]string{},
	}, model.Behavior{})
	w.tell("p-old-1 is left from earlier")
	w.loseEvents()
	w.within(2*resync+slack, func() string {
		if slices.ContainsFunc(w.checks.truth(), func(c engine.Container) bool { return c.ID == id }) {
			return "p-old-1 is not wanted and exists"
		}
		return ""
	})
	w.settle()
}

// block has nothing be answered that concerns one workload, writes all anew, and
// checks that this does not hold up the others.
func (w *world) block(workload string) {
	if slices.Contains(w.names, joiner) && w.joins(workload) {
		return // the one cannot do without the other
	}
	w.stuck = workload
	next := maps.Clone(w.written)
	for name, v := range next {
		if v.Kind == spec.Deployment {
			anew := withImage(v.Workload, "good2", "migrate")
			anew.ProgressDeadline = patient(v)
			next[name] = variant{Workload: anew, good: true, ports: v.ports}
		}
	}
	w.tell("nothing that concerns %s is answered any more, and the Deployments are written anew", w.stuck)
	w.put(next)
	others := maps.Clone(next)
	delete(others, w.stuck)
	w.within(30*time.Minute, func() string { return w.asWritten(others) })
	w.stuck = ""
	w.settle()
}

// concerns reports whether a call is for a workload's containers.
func (w *world) concerns(c *call, workload string) bool {
	if c.create != nil {
		return c.create.Labels[spec.LabelService] == workload
	}
	return slices.ContainsFunc(w.checks.truth(), func(t engine.Container) bool { return t.ID == c.object && workloadOf(t) == workload })
}

// forget has the controller start anew, and checks that it has nothing to do: every
// path leads to the state that a start from scratch leads to.
func (w *world) forget() {
	again := map[string]bool{} // of a Job that nobody remembers, what was removed runs once more
	if job := w.written["job"].Workload; job != nil {
		for n := range job.Replicas {
			again[spec.ContainerName(w.pool.base.Name, job, n+1)] = true
		}
	}
	for _, c := range w.checks.truth() {
		delete(again, c.Name)
	}
	if len(again) > 0 {
		return
	}
	before := w.endpoints()
	clear(w.rows)
	clear(w.checks.rolledBack)
	w.restart()
	began := time.Now()
	for time.Since(began) < quiet {
		for _, c := range w.gate.waiting() {
			if c.op.Write() && !slices.Contains(othersOps, c.op) {
				w.fail("a new controller finds something to do: %s", w.name(c))
			}
		}
		w.turn()
	}
	if problem := w.asWritten(w.goal()); problem != "" {
		w.fail("to a new controller all is not as it is written: %s", problem)
	}
	if after := w.endpoints(); after != before {
		w.fail("a new controller publishes %s, and the one before it published %s", after, before)
	}
}

// endpoints are the published ones.
func (w *world) endpoints() string {
	var all []string
	for _, e := range w.ctl.State().Snapshot().Endpoints("") {
		all = append(all, fmt.Sprint(e.Replica, e.Addresses, e.Ports))
	}
	slices.Sort(all)
	return fmt.Sprint(all)
}

// turn answers what waits, or lets time pass.
func (w *world) turn() (wrote bool) {
	w.at++
	w.gate.next(w.at)
	acted, wrote := w.serve()
	if acted {
		w.idle = 100 * time.Millisecond
	} else {
		w.ask()
		time.Sleep(w.idle)
		most := 20 * time.Second // looks have half a minute
		if w.moods.disk || w.scaling != nil {
			most = 4 * time.Second // and writes to the disk five seconds, readings of what is used ten
		}
		w.idle = min(3*w.idle, most)
	}
	w.pass(settled)
	return wrote
}
