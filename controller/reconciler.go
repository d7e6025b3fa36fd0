package controller

import (
	"errors"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/plan"
	"github.com/tendhq/tend/controller/postgres"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/state"
)

// projectKey stands for the project's own resources in the queue; no workload
// has an empty name.
const projectKey = ""

// reconciler turns the state into plans, one key at a time, and remembers which
// actions are under way. It has no goroutine and no clock of its own, and is
// not safe for concurrent use: the loop owns it.
type reconciler struct {
	store *state.Store
	// project is the last good one; nil before the first.
	project     *spec.Project
	subscribers *subscribers
	// began is when the engine was first listed, or listed again.
	began time.Time
	// withdrawn are the endpoints that were withdrawn before a stop: the index
	// of the withdrawal, by workload and container ID.
	withdrawn map[string]map[string]uint64
	// dependents are the workloads that depend on each.
	dependents map[string][]string
	// remove asks that every workload be taken away.
	remove bool
	// restored are the workloads of which something was remembered from before
	// a restart, and not yet compared with what exists.
	restored map[string]bool
	// flights are the actions under way, by key and object.
	flights map[string]map[string]plan.Action
	// mark has keys planned soon.
	mark func(keys ...string)
	// record is told each plan of a workload.
	record func(plan.Input, plan.Plan)
	// emit passes an event on after it was written down.
	emit func(*state.Event)
}

// object names what an action acts on. A container that does not exist yet
// goes by its number.
func object(a plan.Action) string {
	if a.ID != "" {
		return a.ID
	}
	if a.Kind == plan.CreateReplica {
		return "#" + strconv.Itoa(a.Number)
	}
	return string(a.Kind) + " " + a.Object
}

// managed says whether tend decides over a workload's containers. The project
// must have been read.
func (r *reconciler) managed(workload string) bool {
	if _, ok := r.project.Workloads[workload]; ok {
		return true
	}
	return workload != spec.ControllerService &&
		!slices.Contains(r.project.Unmanaged, workload) && !slices.Contains(r.project.Disabled, workload)
}

// plan plans a key, commits what follows, and returns the actions, which count
// as under way from now on. next is when to plan again though nothing changed.
func (r *reconciler) plan(key string, now time.Time) (actions []plan.Action, next time.Time) {
	switch {
	case r.project == nil:
		return nil, time.Time{}
	case key == projectKey:
		actions, next = r.planProject(now)
	case r.managed(key):
		actions, next = r.planWorkload(key, now)
	}
	for i, a := range actions {
		if a.Kind == plan.CreateReplica { // the planner knows no project, hence no names
			a.Object = spec.ContainerName(r.project, r.workload(key, a.Revision), a.Number)
			actions[i] = a
		}
		if r.flights[key] == nil {
			r.flights[key] = map[string]plan.Action{}
		}
		r.flights[key][object(a)] = a
	}
	return actions, next
}

func (r *reconciler) planProject(now time.Time) ([]plan.Action, time.Time) {
	if r.remove {
		return nil, time.Time{} // nothing is made for what is to be taken away
	}
	in := plan.ProjectInput{Now: now}
	for _, res := range r.store.Snapshot().Resources() {
		for _, a := range r.flights[projectKey] {
			if a.Object == res.Name && a.Kind == res.Action() {
				res = &state.Resource{Resource: res.Resource}
				res.InFlight = a.Kind
			}
		}
		in.Resources = append(in.Resources, res.Resource)
	}
	p := plan.ComputeProject(in)
	if len(p.Resources) > 0 {
		r.store.Update(func(tx *state.Tx) {
			for _, res := range p.Resources {
				tx.PutResource(res)
			}
		})
	}
	return p.Actions, p.Next
}

func (r *reconciler) planWorkload(key string, now time.Time) ([]plan.Action, time.Time) {
	snap := r.store.Snapshot()
	if until := r.began.Add(probeTimeout); now.Before(until) && r.unprobed(snap, key) {
		return nil, until // or as soon as the probes have been answered
	}
	if r.restored[key] {
		delete(r.restored, key)
		snap = r.compare(snap, key, now)
	}
	in := r.input(snap, key, now)
	p := plan.Compute(in)
	r.record(in, p)
	if in.Spec == nil && len(in.Replicas) == 0 {
		r.mark(r.leaving(snap)...) // what it depended on may go now
	}
	if in.Spec == nil && len(in.Replicas) == 0 && len(in.HookRuns) == 0 {
		r.store.Update(func(tx *state.Tx) {
			tx.Forget(key)
			tx.PutEndpoints(key, nil)
		})
		delete(r.withdrawn, key)
		return nil, time.Time{}
	}
	r.store.Update(func(tx *state.Tx) {
		tx.PutEndpoints(key, p.Endpoints)
		r.noteWithdrawn(tx, key, p.Rollout.Drains)
		if !reflect.DeepEqual(p.Rollout, in.Rollout) {
			tx.PutRollout(p.Rollout)
		}
		if !reflect.DeepEqual(p.Status, in.Status) {
			tx.PutStatus(p.Status)
		}
	})
	if p.Status.Converged != in.Status.Converged || p.Status.Completed() != in.Status.Completed() {
		r.mark(r.neighbours(key)...)
	}
	for _, e := range p.Events {
		r.event(e, now)
	}
	next := p.Next
	if at := r.subscribers.next(now); len(p.Rollout.Drains) > 0 && !at.IsZero() && (next.IsZero() || at.Before(next)) {
		next = at
	}
	return p.Actions, next
}

// compare brings what is remembered of a workload from before a restart to what
// exists now.
func (r *reconciler) compare(snap *state.Snapshot, key string, now time.Time) *state.Snapshot {
	r.store.Update(func(tx *state.Tx) {
		if row, ok := tx.Rollout(key); ok {
			tx.PutRollout(plan.Restored(row.Rollout, r.replicas(snap, key), now))
		}
		if row, ok := tx.Intent(key); ok && row.RestartedAt.After(now) {
			asked := *row
			asked.RestartedAt = now // the clock was wrong; nothing can be made after it
			tx.PutIntent(&asked)
		}
	})
	return r.store.Snapshot()
}

// noteWithdrawn notes at which index the endpoints of draining replicas were
// withdrawn: whoever asks for what follows it has turned away from them.
func (r *reconciler) noteWithdrawn(tx *state.Tx, key string, drains map[string]plan.Drain) {
	before := r.withdrawn[key]
	delete(r.withdrawn, key)
	for id := range drains {
		if r.withdrawn[key] == nil {
			r.withdrawn[key] = map[string]uint64{}
		}
		index, known := before[id]
		if !known {
			index = tx.EndpointsIndex()
			r.mark(key) // everyone may have it in force already, where it was not ready
		}
		r.withdrawn[key][id] = index
	}
}

// input gathers what the plan of a workload may depend on.
func (r *reconciler) input(snap *state.Snapshot, key string, now time.Time) plan.Input {
	in := plan.Input{Now: now, Workload: key, Replicas: r.replicas(snap, key), HookRuns: r.hookRuns(snap, key)}
	if row, ok := snap.Workload(key); ok {
		in.Spec, in.Generation = row.Spec, row.Generation
	}
	if r.remove {
		in.Spec = nil
	}
	if row, ok := snap.Rollout(key); ok {
		in.Rollout = row.Rollout
	}
	if row, ok := snap.Status(key); ok {
		in.Status = row.Status
	}
	in.Subscribers = r.subscribers.count(now)
	in.Acknowledged = map[string]bool{}
	for id, index := range r.withdrawn[key] {
		in.Acknowledged[id] = r.subscribers.acknowledged(index, now)
	}
	if in.Spec == nil {
		in.Dependents = dependents(snap, key)
		return in
	}
	for _, d := range in.Spec.DependsOn {
		in.Dependencies = append(in.Dependencies, r.dependency(snap, d))
	}
	for _, need := range needs(snap, in.Spec) {
		if !need.Present {
			in.Missing = append(in.Missing, need)
		}
	}
	if row, ok := snap.Intent(key); ok {
		in.Intent = row.Intent
	}
	in.History = map[string]*spec.Workload{}
	for _, row := range snap.Revisions(key) {
		in.History[row.Revision] = row.Spec
	}
	return in
}

// replicas lists a workload's containers with the actions under way on them,
// and those that are being created.
func (r *reconciler) replicas(snap *state.Snapshot, key string) []plan.Replica {
	var all []plan.Replica
	coming := map[int]plan.Action{}
	for _, a := range r.flights[key] {
		if a.Kind == plan.CreateReplica {
			coming[a.Number] = a
		}
	}
	for _, row := range snap.Replicas(key) {
		replica := r.probed(snap, row.Replica)
		if a, ok := r.flights[key][replica.ID]; ok {
			replica.InFlight = a.Kind
		}
		if a, ok := coming[replica.Number]; ok {
			replica.InFlight = a.Kind // it exists already, and its create has not returned
			delete(coming, replica.Number)
		}
		all = append(all, replica)
	}
	for _, n := range slices.Sorted(maps.Keys(coming)) {
		a := coming[n]
		all = append(all, plan.Replica{Workload: key, Number: n, Revision: a.Revision, State: plan.Created, InFlight: a.Kind})
	}
	return all
}

// hookRuns lists the containers of a workload's hooks with the actions under
// way on them, and those that are being created.
func (r *reconciler) hookRuns(snap *state.Snapshot, key string) []plan.HookRun {
	var all []plan.HookRun
	coming := map[string]plan.Action{}
	for _, a := range r.flights[key] {
		if a.Kind == plan.RunHook {
			coming[a.Object+" "+a.Revision] = a
		}
	}
	for _, row := range snap.HookRuns(key) {
		run := row.HookRun
		if a, ok := r.flights[key][run.ID]; ok {
			run.InFlight = a.Kind
		}
		if a, ok := coming[run.Hook+" "+run.Revision]; ok {
			run.InFlight = a.Kind
			delete(coming, run.Hook+" "+run.Revision)
		}
		all = append(all, run)
	}
	for _, hook := range slices.Sorted(maps.Keys(coming)) {
		a := coming[hook]
		all = append(all, plan.HookRun{Hook: a.Object, Replica: plan.Replica{Workload: key, Revision: a.Revision, State: plan.Created, InFlight: a.Kind}})
	}
	return all
}

// probed is a replica with what tend's own probes say of it, where there are
// any: then the container's health check does not count.
func (r *reconciler) probed(snap *state.Snapshot, replica plan.Replica) plan.Replica {
	w := r.workload(replica.Workload, replica.Revision)
	if w == nil || !w.Probes.Any() || replica.State != plan.Running {
		return replica
	}
	replica.Health, replica.ReadySince, replica.HealthOutput, replica.WasReady = plan.Starting, time.Time{}, "", false
	row, ok := snap.Probe(replica.ID)
	if !ok || !row.StartedAt.Equal(replica.StartedAt) {
		return replica // nothing is known of this run yet
	}
	replica.WasReady, replica.HealthOutput = row.WasReady, row.Message
	switch {
	case !row.Live:
		replica.Health = plan.Unhealthy
	case !row.Started || !row.Ready && !row.WasReady:
		replica.Health = plan.Starting
	case !row.Ready:
		replica.Health = plan.Unready
	default:
		replica.Health, replica.ReadySince = plan.Healthy, row.Since
	}
	return replica
}

// workload is what a container of a revision was or is to be made from: the
// workload as it is written, or an earlier revision of it. It is nil where that
// is not known.
func (r *reconciler) workload(name, revision string) *spec.Workload {
	w := r.project.Workloads[name]
	if w == nil || revision == "" || revision == w.Revision {
		return w
	}
	if row, ok := r.store.Snapshot().Revision(name, revision); ok {
		return w.WithTemplateOf(row.Spec)
	}
	return nil
}

// dependency is the state of a workload that another one depends on.
func (r *reconciler) dependency(snap *state.Snapshot, d spec.Dependency) plan.Dependency {
	out := plan.Dependency{Dependency: d}
	_, managed := snap.Workload(d.Name)
	out.Known = managed || slices.Contains(r.project.Unmanaged, d.Name)
	for _, row := range snap.Replicas(d.Name) {
		if plan.IsRunning(row.Replica) {
			out.Running++
		}
		if plan.IsReady(r.probed(snap, row.Replica)) {
			out.Ready++
		}
		if !managed && row.State == plan.Exited && row.ExitCode == 0 {
			out.Completed = true
		}
	}
	if s, ok := snap.Status(d.Name); ok {
		out.Converged = s.Converged
		out.Completed = s.Completed()
	}
	return out
}

// needs lists the resources of a workload.
func needs(snap *state.Snapshot, w *spec.Workload) []plan.Resource {
	var rows []plan.Resource
	need := func(kind plan.ResourceKind, name string) {
		if row, ok := snap.Resource(kind, name); ok {
			rows = append(rows, row.Resource)
		}
	}
	for _, n := range w.Networks {
		need(plan.NetworkResource, n)
	}
	for _, v := range w.Volumes {
		need(plan.VolumeResource, v)
	}
	need(plan.ImageResource, w.Image)
	return rows
}

// dependents names the workloads that have containers which depend on key.
func dependents(snap *state.Snapshot, key string) []string {
	var names []string
	for _, row := range snap.Replicas("") {
		if slices.Contains(row.DependsOn, key) && !slices.Contains(names, row.Workload) {
			names = append(names, row.Workload)
		}
	}
	slices.Sort(names)
	return names
}

// finish notes that an action has ended. What it did must have been observed.
func (r *reconciler) finish(key string, a plan.Action, err error, now time.Time) {
	delete(r.flights[key], object(a))
	if err == nil {
		r.event(succeeded(a), now)
		if row, ok := r.store.Snapshot().Rollout(key); ok && (a.Kind == plan.PrepareUpdate || a.Kind == plan.CheckUpdate) {
			r.store.Update(func(tx *state.Tx) { tx.PutRollout(plan.Prepared(row.Rollout, a)) })
		}
		return
	}
	r.event(failed(a, err), now)
	r.store.Update(func(tx *state.Tx) {
		switch {
		case key == projectKey:
			for _, row := range tx.Resources() {
				if row.Name == a.Object && row.Action() == a.Kind && !row.Present {
					row := row.Resource
					row.Attempt.Error = err.Error()
					tx.PutResource(row)
				}
			}
		default:
			if row, ok := tx.Rollout(key); ok {
				rollout := plan.StartFailed(row.Rollout, a, err.Error())
				if refusal, ok := errors.AsType[*postgres.Refusal](err); ok {
					rollout = plan.Refused(rollout, a, refusal.Reason)
				}
				tx.PutRollout(rollout)
			}
		}
	})
}

// setProject puts a new desired state in force.
func (r *reconciler) setProject(p *spec.Project, now time.Time) {
	var changes []plan.Event
	r.project = p
	r.dependents = map[string][]string{}
	for name, w := range p.Workloads {
		for _, d := range w.DependsOn {
			r.dependents[d.Name] = append(r.dependents[d.Name], name)
		}
	}
	r.store.Update(func(tx *state.Tx) {
		for _, row := range tx.Workloads() {
			if _, ok := p.Workloads[row.Name]; !ok {
				tx.DeleteWorkload(row.Name)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(p.Workloads)) {
			w := p.Workloads[name]
			before, generation := lastWritten(tx, name)
			for _, row := range tx.Revisions(name) {
				if !p.Policy.Allows(row.Spec) { // from a time of another policy: nothing goes back to it
					tx.DeleteRevision(name, row.Revision)
				}
			}
			changed := before == nil || !state.SameSpec(before, w)
			if _, ok := tx.Workload(name); ok && !changed {
				continue
			}
			if changed {
				generation++
			}
			next := &state.Workload{Name: name, Generation: generation, Spec: w}
			tx.PutWorkload(next)
			remember(tx, next, now)
			if changed && before != nil {
				changes = append(changes, specChanged(before, next))
			}
		}
		r.setResources(tx, p)
	})
	for _, e := range changes {
		r.event(e, now)
	}
	r.mark(slices.Collect(maps.Keys(r.restored))...)
}

// lastWritten is what was written of a workload before, also before a restart;
// nil where nothing was.
func lastWritten(tx *state.Tx, name string) (w *spec.Workload, generation int64) {
	if row, ok := tx.Workload(name); ok {
		return row.Spec, row.Generation
	}
	if history := tx.Revisions(name); len(history) > 0 {
		last := history[len(history)-1]
		return last.Spec, last.Generation
	}
	return nil, 0
}

// remember keeps a revision in the workload's history, and forgets the oldest
// ones beyond the limit, but for those that a rollout may go back to.
func remember(tx *state.Tx, row *state.Workload, now time.Time) {
	w := row.Spec
	history := tx.Revisions(w.Name)
	number := 1
	if n := len(history); n > 0 {
		last := history[n-1]
		number = last.Number + 1
		if last.Revision == w.Revision {
			number, now = last.Number, last.At // only its policy has changed
		}
	}
	tx.PutRevision(&state.Revision{Workload: w.Name, Revision: w.Revision, Number: number, Generation: row.Generation, Spec: w, At: now})

	rollout, _ := tx.Rollout(w.Name)
	history = slices.DeleteFunc(tx.Revisions(w.Name), func(r *state.Revision) bool {
		return r.Revision == w.Revision || rollout != nil && r.Revision == rollout.Stable
	})
	for _, r := range history[:max(len(history)-w.RevisionHistoryLimit, 0)] {
		tx.DeleteRevision(w.Name, r.Revision)
	}
}

// setResources writes down which networks, volumes and images are needed.
func (r *reconciler) setResources(tx *state.Tx, p *spec.Project) {
	needed := map[string]plan.Resource{}
	add := func(res plan.Resource) { needed[res.String()] = res }
	for _, n := range p.Networks {
		add(plan.Resource{Kind: plan.NetworkResource, Name: n.Name, External: n.External, ConfigHash: n.ConfigHash})
	}
	for _, v := range p.Volumes {
		add(plan.Resource{Kind: plan.VolumeResource, Name: v.Name, External: v.External, ConfigHash: v.ConfigHash})
	}
	for _, w := range p.Workloads {
		add(plan.Resource{Kind: plan.ImageResource, Name: w.Image, NoPull: w.PullPolicy == types.PullPolicyNever})
	}
	for _, row := range tx.Resources() {
		if _, ok := needed[row.String()]; !ok {
			tx.DeleteResource(row.Kind, row.Name)
		}
	}
	for _, res := range needed {
		if row, ok := tx.Resource(res.Kind, res.Name); ok {
			res.Known, res.Present, res.ID, res.ActualHash, res.Attempt = row.Known, row.Present, row.ID, row.ActualHash, row.Attempt
			if res == row.Resource {
				continue
			}
		}
		tx.PutResource(res)
	}
}

// neighbours are the workloads whose plan may depend on a workload's state:
// those that depend on it, and while things are taken away those it depends on.
func (r *reconciler) neighbours(key string) []string {
	if r.project == nil || key == projectKey {
		return nil
	}
	keys := slices.Clone(r.dependents[key])
	if w, ok := r.project.Workloads[key]; ok {
		for _, d := range w.DependsOn {
			keys = append(keys, d.Name)
		}
	}
	return keys
}

// leaving are the workloads that have containers and are no longer written.
func (r *reconciler) leaving(snap *state.Snapshot) []string {
	var keys []string
	for _, row := range snap.Replicas("") {
		if r.project.Workloads[row.Workload] == nil {
			keys = append(keys, row.Workload)
		}
	}
	return keys
}

// draining are the workloads of which a replica's endpoint was withdrawn and
// not yet acknowledged.
func (r *reconciler) draining() []string { return slices.Sorted(maps.Keys(r.withdrawn)) }

// event writes an event down and passes it on.
func (r *reconciler) event(e plan.Event, now time.Time) {
	var row *state.Event
	r.store.Update(func(tx *state.Tx) { row = tx.AddEvent(e, now) })
	r.emit(row)
}

// relook says whether only looking again can tell what an action did.
func relook(err error) bool {
	return err != nil && engine.ClassOf(err) == engine.Unknown
}
