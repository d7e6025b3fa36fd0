package controller

import (
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/plan"
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
	project *spec.Project
	// withdrawn are the endpoints that were withdrawn before a stop: the index
	// of the withdrawal, by workload and container ID.
	withdrawn map[string]map[string]uint64
	// dependents are the workloads that depend on each.
	dependents map[string][]string
	// remove asks that every workload be taken away.
	remove bool
	// flights are the actions under way, by key and object.
	flights map[string]map[string]plan.Action
	// mark has keys planned soon.
	mark func(keys ...string)
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
			a.Object = spec.ContainerName(r.project, r.project.Workloads[key], a.Number)
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
	if row, ok := snap.Workload(key); ok && !known(snap, row.Spec) {
		return nil, time.Time{} // planned when the look at its resources has ended
	}
	in := r.input(snap, key, now)
	p := plan.Compute(in)
	if in.Spec == nil && len(in.Replicas) == 0 {
		r.store.Update(func(tx *state.Tx) { tx.DeleteStatus(key) })
		return nil, time.Time{}
	}
	r.store.Update(func(tx *state.Tx) {
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
	return p.Actions, p.Next
}

// input gathers what the plan of a workload may depend on.
func (r *reconciler) input(snap *state.Snapshot, key string, now time.Time) plan.Input {
	in := plan.Input{Now: now, Workload: key, Replicas: r.replicas(snap, key)}
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
	if in.Spec == nil {
		in.Dependents = dependents(snap, key)
		return in
	}
	for _, d := range in.Spec.DependsOn {
		in.Dependencies = append(in.Dependencies, r.dependency(snap, d))
	}
	in.Missing = missing(snap, in.Spec)
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
		replica := row.Replica
		if a, ok := r.flights[key][replica.ID]; ok {
			replica.InFlight = a.Kind
		}
		if a, ok := coming[replica.Number]; ok {
			replica.InFlight = a.Kind // it exists already, and its create has not returned
			delete(coming, replica.Number)
		}
		all = append(all, replica)
	}
	for n, a := range coming {
		all = append(all, plan.Replica{Workload: key, Number: n, Revision: a.Revision, State: plan.Created, InFlight: a.Kind})
	}
	return all
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
		if plan.IsReady(row.Replica) {
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

// known says whether the engine was asked for all that a workload needs.
func known(snap *state.Snapshot, w *spec.Workload) bool {
	return !slices.ContainsFunc(needs(snap, w), func(r plan.Resource) bool { return !r.Known })
}

// missing names what the workload needs and the engine does not have.
func missing(snap *state.Snapshot, w *spec.Workload) []string {
	var names []string
	for _, r := range needs(snap, w) {
		if !r.Present {
			names = append(names, r.Problem())
		}
	}
	return names
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
				tx.PutRollout(plan.StartFailed(row.Rollout, a, err.Error()))
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
		for name, w := range p.Workloads {
			row, ok := tx.Workload(name)
			switch {
			case !ok:
				tx.PutWorkload(&state.Workload{Name: name, Generation: 1, Spec: w})
			case !reflect.DeepEqual(row.Spec, w):
				next := &state.Workload{Name: name, Generation: row.Generation + 1, Spec: w}
				tx.PutWorkload(next)
				changes = append(changes, specChanged(row, next))
			}
		}
		r.setResources(tx, p)
	})
	for _, e := range changes {
		r.event(e, now)
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

// draining are the workloads of which a replica's endpoint was withdrawn and
// not yet acknowledged.
func (r *reconciler) draining() []string {
	var keys []string
	for key := range r.withdrawn {
		keys = append(keys, key)
	}
	return keys
}

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
