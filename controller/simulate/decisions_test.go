package simulate

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/plan"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/state"
)

// decision is an action that was decided, and what was in force then: by that it
// is judged when it is asked for, and not by what people want meanwhile.
type decision struct {
	core.Action
	at      time.Time
	written variant // without a workload where that was taken away
	// misled is true where the controller did not know better.
	misled bool
	// followed is true where somebody had the endpoints in force.
	followed bool
	// held is true where the controller held the container for ready.
	held bool
	// data is what reads the data of a Database, where the controller remembers a
	// revision that did.
	data build
}

// decided checks a plan, at the moment in which it is made.
func (v *invariants) decided(in plan.Input, p plan.Plan) {
	v.news = true
	d := decision{at: time.Now(), written: v.w.of(in.Workload), misled: v.lies[in.Workload], followed: !v.forgotten()}
	v.planned = v.w.engine.AppendTruth(v.planned[:0])
	snap, truth := v.w.ctl.State().Snapshot(), v.planned
	if !v.w.ctl.Linked() && len(p.Actions) > 0 {
		v.blame("%s is planned while the engine does not answer", in.Workload)
	}
	if d.written.Workload != nil {
		for _, name := range d.written.Volumes {
			if data := v.holder[name].data; v.remembered(snap) == data {
				d.data = data
			}
		}
	}
	for _, r := range in.Replicas {
		v.reaches[r.ID] = !slices.ContainsFunc(networksOf(in.Workload), func(n string) bool { return r.Addresses[n] == "" })
		for _, m := range r.Mounts {
			if m.Anonymous && in.Workload != joiner && r.State != core.Created && r.InFlight != core.CreateReplica { // what is being made was decided before
				v.anonymous[mountPoint{workload: in.Workload, number: fmt.Sprint(r.Number), target: m.Target}] = m.Source
			}
		}
	}
	v.underWay[in.Workload] += len(p.Actions)
	creating := map[string]string{} // the revisions of what is to be made, by name
	for _, a := range p.Actions {
		d.Action, d.held = a, held(snap, a.ID)
		v.decisions[object(a)] = d
		switch a.Kind {
		case core.CreateReplica:
			creating[object(a)] = a.Revision
			if len(in.Rollout.Anonymous) > 0 && !in.Spec.SurgeAsked && a.Number > in.Spec.Replicas {
				v.blame("%s begins with an empty volume, and %d replicas are wanted, which have theirs", object(a), in.Spec.Replicas)
			}
		case core.StopReplica:
			v.startsNot(d, snap)
			v.toldToEnd[runOf(truth, a.ID)] = true
		}
	}
	if len(creating) > 0 {
		v.mayCreate(d, snap, truth, creating)
	}
	v.mayTake(in, p, d, snap, truth)
	v.leavesNewest(p, d, truth)
	v.leavesUnhealthy(in, p, d)
	v.justly(in, p, snap)
	v.tried(in, p)
	v.repairs(in, p)
	v.leavesDone(in, p, d)
	v.leavesPorts(in.Replicas, p.Actions, d, snap)
	v.inOrder(in, p, snap, truth)
	v.withinBounds(in, d)
}

// leavesNewest checks that nothing is replaced for its image that was made from what
// the image's name stands for.
func (v *invariants) leavesNewest(p plan.Plan, d decision, truth []engine.Container) {
	if d.written.Workload == nil {
		return
	}
	for _, a := range p.Actions {
		if !strings.Contains(a.Cause, "is another image now") {
			continue
		}
		newest := v.w.image(d.written.Image)
		i := slices.IndexFunc(truth, func(c engine.Container) bool { return c.ID == a.ID })
		if i >= 0 && newest != "" && truth[i].Labels[spec.LabelImage] == newest {
			v.blame("%s is replaced for its image, and that is the one that its name stands for", a.Object)
		}
	}
}

// leavesUnhealthy checks that no replica is stopped for a health check that it has never
// passed: that may well be the check's fault.
func (v *invariants) leavesUnhealthy(in plan.Input, p plan.Plan, d decision) {
	if d.written.Workload == nil || d.written.Kind != spec.Deployment {
		return
	}
	for _, a := range p.Actions {
		i := slices.IndexFunc(in.Replicas, func(r core.Replica) bool { return r.ID == a.ID })
		if i < 0 || a.Kind != core.StopReplica {
			continue
		}
		r := in.Replicas[i]
		switch forHealth := strings.HasPrefix(a.Cause, r.Name+" has not passed its health check"); {
		case !forHealth:
			v.stoppedElse[r.ID] = true
		case !r.WasReady:
			v.blame("%s has never been healthy, and is stopped for that", r.Name)
		}
	}
}

// leavesDone checks that what has ended with 0 and by itself is not started again, unless
// tend had told it to end at the same moment and cannot know which came first,
// where its service runs until then, however often tend is.
func (v *invariants) leavesDone(in plan.Input, p plan.Plan, d decision) {
	if d.written.Workload == nil || d.written.Kind != spec.Deployment || d.written.Restart.Condition != spec.RestartOnFailure {
		return
	}
	for _, r := range in.Replicas {
		if r.State == core.Exited && r.ExitCode == 0 && !r.Interrupted && !r.Unwatched && !v.stopped[r.ID] && !v.unheard[r.ID] && r.InFlight != core.StopReplica && !in.Rollout.Attempts[r.Number].Ours {
			v.ended[r.ID] = r.StartedAt
		}
		started := slices.ContainsFunc(p.Actions, func(a core.Action) bool { return a.Kind == core.StartReplica && a.ID == r.ID })
		if since, ok := v.ended[r.ID]; ok && since.Equal(r.StartedAt) && started {
			v.blame("%s is started again, and has ended with 0", r.Name)
		}
	}
}

// repairs checks that what somebody other than tend has stopped is not taken for a
// crash, where this run of the controller was told of it.
func (v *invariants) repairs(in plan.Input, p plan.Plan) {
	failure := p.Status.Condition(core.ReplicaFailure)
	if failure == nil || failure.Reason != "CrashLoopBackOff" {
		return
	}
	for _, r := range in.Replicas {
		attempt := in.Rollout.Attempts[r.Number]
		if r.Interrupted && r.StartedAt.After(v.w.started) && v.decisions[r.ID].Kind == core.StartReplica && attempt.Error == "" && !attempt.Ours &&
			strings.HasPrefix(failure.Message, r.Name+" ") && r.Kind != spec.Job {
			v.blame("%s was stopped by a person, and waits: %s", r.Name, failure.Message)
		}
	}
}

// object names what an action acts on: a container by its ID, or by its name
// where it does not exist yet.
func object(a core.Action) string {
	switch a.Kind {
	case core.CreateReplica:
		return nameOfReplica(a.Workload, fmt.Sprint(a.Number))
	case core.RunHook:
		return fmt.Sprintf("%s-%s-%s-%s", project, a.Workload, a.Object, a.Revision[:min(8, len(a.Revision))])
	}
	return a.ID
}

// remembered is what the database's revision that worked last could read, if the
// controller knows of one.
func (v *invariants) remembered(snap *state.Snapshot) build {
	if rollout, ok := snap.Rollout("db"); ok {
		if row, ok := snap.Revision("db", rollout.Stable); ok {
			return servers[row.Spec.Image]
		}
	}
	return build{}
}

// startsNot checks that a database is not stopped while it starts.
func (v *invariants) startsNot(d decision, snap *state.Snapshot) {
	row, ok := snap.Replica(d.ID)
	patience := 2 * time.Minute // of a service that nobody wants any more
	if d.written.Workload != nil {
		patience = d.written.ProgressDeadline
	}
	if ok && row.Kind == spec.Database && row.State == core.Running && row.Health == core.Starting && time.Since(row.StartedAt) < patience {
		v.blame("%s is stopped, and has not started yet", row.Name)
	}
}

// mayCreate checks that replicas may be made: no more than there are to be, not
// while the rollout is paused, after what they depend on, and after the hooks.
func (v *invariants) mayCreate(d decision, snap *state.Snapshot, truth []engine.Container, creating map[string]string) {
	for name := range creating {
		v.creating[name] = true
	}
	job := d.written.Workload != nil && d.written.Kind == spec.Job // each number is replaced on its own
	names := map[string]bool{}
	others, begun := map[string]bool{}, map[string]bool{} // the revisions of what runs, and of what exists or comes
	for name := range v.creating {
		other := v.decisions[name]
		if _, now := creating[name]; !now && other.Workload == d.Workload {
			begun[other.Revision] = true
		}
		if other.Workload == d.Workload && (!job || other.Revision == d.written.Revision && !other.at.Before(v.rewritten[d.Workload])) {
			names[name] = true
		}
	}
	for i := range truth {
		c := &truth[i]
		if v.replicaOf(c) != d.Workload {
			continue
		}
		row, known := snap.Replica(c.ID)
		if !known && !v.made[nameOf(*c)] {
			continue
		}
		left := known && missesNetwork(snap, row.Replica, func(name string) bool { _, joined := row.Addresses[name]; return joined })
		switch {
		case c.State == engine.Exited && (v.decisions[c.ID].Kind == core.RemoveReplica || v.irremovable[c.ID] || left): // it is not waited for
		case job && c.State == engine.Running && revision(*c) == d.written.Revision, !job && (c.State == engine.Running || c.State == engine.Exited):
			names[nameOf(*c)] = true
		}
		begun[revision(*c)] = true
		if alive(*c) && !v.doomed[c.ID] && !draining(snap, *c) { // a drain from before a pause, or a restart, goes on
			others[revision(*c)] = true
		}
	}
	if d.written.Workload == nil {
		v.blame("replicas of %s are made, and it is not written", d.Workload)
		return
	}
	if limit := d.written.Replicas + d.written.Strategy.MaxSurge; len(names) > limit && !d.misled {
		v.blame("%d replicas of %s come to exist, and at most %d are to: %s", len(names), d.Workload, limit, strings.Join(slices.Sorted(maps.Keys(names)), ", "))
	}
	rollout, ok := snap.Rollout(d.Workload)
	stable := ok && rollout.Stable == d.Revision
	grows := len(names) <= d.written.Replicas // what is scaled while it is paused is made of both revisions
	for _, wanted := range creating {
		grows = grows && begun[wanted]
		delete(others, wanted)
		stable = stable || ok && rollout.Stable == wanted
	}
	if len(others) > 0 && v.paused(snap, d.Workload) && !stable && !grows && !d.misled {
		v.blame("the rollout of %s is paused, and goes on", d.Workload)
	}
	for _, dependency := range d.written.DependsOn {
		if dependency.Condition == spec.DependencyHealthy && !v.seenReady(dependency.Name, snap) {
			v.blame("replicas of %s are made, and nobody said that %s is ready", d.Workload, dependency.Name)
		}
	}
	for _, wanted := range creating {
		if !d.misled && !v.hooked(d, rollout, wanted) {
			v.blame("a replica of %s is made, and the hook of its revision has not run", d.Workload)
		}
	}
}

// seenReady reports whether a replica is ready by the last that the controller was told
// of it and has taken in.
func (v *invariants) seenReady(workload string, snap *state.Snapshot) bool {
	looking := v.lookedAt()
	for id, views := range v.views {
		if slices.ContainsFunc(views, func(c view) bool { return c.workload == workload && (looking[id] || c.ready(snap)) }) {
			return true
		}
	}
	return false
}

// paused reports whether a workload's rollout is.
func (v *invariants) paused(snap *state.Snapshot, workload string) bool {
	if row, ok := snap.Intent(workload); ok && row.Paused != nil {
		return *row.Paused
	}
	written := v.w.of(workload)
	return written.Workload != nil && written.Paused
}

// hooked reports whether a revision's hook has succeeded. One that was rolled out
// before needs none again.
func (v *invariants) hooked(d decision, rollout *state.Rollout, wanted string) bool {
	if len(d.written.PreRollout) == 0 || wanted != d.written.Revision || rollout == nil || rollout.Stable == wanted || rollout.Hooked == wanted {
		return true
	}
	for _, views := range v.views {
		if slices.ContainsFunc(views, func(c view) bool {
			return workloadOf(c.of) == d.Workload && c.revision == wanted && (c.of.Labels[spec.LabelHook] == "" || c.exited && c.of.ExitCode == 0)
		}) {
			return true
		}
	}
	for name := range v.creating {
		other := v.decisions[name]
		if other.Workload == d.Workload && other.Revision == wanted && other.written.Workload != nil && len(other.written.PreRollout) == 0 {
			return true // one of the revision is being made since before there was a hook
		}
	}
	return false
}

// mayTake checks that enough replicas stay ready where a ready one is to be
// stopped, in a rolling update as well as while the rollout is paused: the wanted
// number, less the replicas whose loss the controller cannot know yet.
func (v *invariants) mayTake(in plan.Input, p plan.Plan, d decision, snap *state.Snapshot, truth []engine.Container) {
	going := map[string]bool{}
	for id, drain := range p.Rollout.Drains {
		going[id], v.drained[id] = true, drain.Since
		if _, before := in.Rollout.Drains[id]; !before {
			readies := slices.ContainsFunc(truth, func(c engine.Container) bool { return c.ID == id && ready(c) })
			told := slices.ContainsFunc(v.views[id], func(c view) bool { return c.ready(snap) }) &&
				slices.ContainsFunc(in.Replicas, func(r core.Replica) bool { return r.ID == id && r.State == core.Running }) // by the latest look
			v.unfollowed[id] = !d.followed || in.Spec != nil && in.Spec.Drain == 0 || !v.published[id] && !(readies && told)
		}
	}
	for _, a := range p.Actions {
		if a.Kind == core.StopReplica {
			going[a.ID] = true
		}
	}
	taken := ""
	for i := range truth {
		c := &truth[i]
		_, before := in.Rollout.Drains[c.ID]
		switch {
		case going[c.ID] && alive(*c):
			if !v.doomed[c.ID] && !before && ready(*c) && held(snap, c.ID) && !v.follows(*c, snap) {
				taken = c.Name
			}
			v.doomed[c.ID] = true
		case v.replicaOf(c) == in.Workload && v.decisions[c.ID].Kind != core.StopReplica:
			delete(v.doomed, c.ID) // its workload was taken away meanwhile, and its drain is forgotten
		}
	}
	w := d.written.Workload
	if taken == "" || w == nil || w.Kind != spec.Deployment || w.Strategy.Type != spec.RollingUpdate && !v.paused(snap, in.Workload) {
		return
	}
	left := 0
	for i := range truth {
		c := &truth[i]
		if v.replicaOf(c) == in.Workload && !v.doomed[c.ID] && (ready(*c) || held(snap, c.ID) || v.done(*c, d.written)) {
			left++
		}
	}
	for _, row := range snap.Replicas(in.Workload) {
		i := slices.IndexFunc(truth, func(c engine.Container) bool { return c.ID == row.ID })
		counts := held(snap, row.ID)
		if i >= 0 {
			was := truth[i] // nobody is told of one that has ended and is dead since
			was.State = engine.State(row.State)
			counts = truth[i].State == engine.Dead && v.done(was, d.written)
		}
		if counts && !v.doomed[row.ID] {
			left++
		}
	}
	floor := w.Replicas - w.Strategy.MaxUnavailable
	if v.paused(snap, in.Workload) {
		floor = w.Replicas
	}
	if left < floor {
		v.blame("of %s the ready replica %s is taken away, and %d are left of the %d that are to be", in.Workload, taken, left, floor)
	}
}

// decisionOn is the last decision on a container, by its ID, or by its name where
// it was made since.
func (v *invariants) decisionOn(id, name string) (decision, bool) {
	if d, ok := v.decisions[id]; ok {
		return d, ok
	}
	d, ok := v.decisions[cmp.Or(name, id)]
	return d, ok
}
