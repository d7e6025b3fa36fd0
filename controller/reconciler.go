package controller

import (
	"errors"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/ingresses"
	"github.com/tendhq/tend/controller/plan"
	"github.com/tendhq/tend/controller/postgres"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/state"
)

// projectKey stands for the project's own resources in the queue, as no workload has an
// empty name.
const projectKey = ""

// reconciler turns the state into plans, one key at a time, and remembers which
// actions are under way. It has no goroutine and no clock of its own, and is
// not safe for concurrent use: the loop owns it.
type reconciler struct {
	store *state.Store
	// project is the last good one; nil before the first.
	project     *spec.Project
	subscribers *subscribers
	ingresses   *ingresses.Ingresses
	// ingressesOf are the workloads that hold the host ports of each service, or did.
	ingressesOf map[string][]string
	// started is when this controller was made: what is pulled whenever tend starts is
	// pulled after it.
	started time.Time
	// began is when the engine was first listed.
	began time.Time
	// withdrawn holds the endpoints that were withdrawn before a stop: the index of the
	// withdrawal, by workload and container ID.
	withdrawn map[string]map[string]uint64
	// autoscaled are the workloads whose number of replicas follows metrics.
	autoscaled []string
	// dependents are the workloads that depend on each.
	dependents map[string][]string
	// joinersOf are the workloads with containers that have joined one of each, or had;
	// joinedBy are those that each has joined.
	joinersOf, joinedBy map[string][]string
	// remove asks that every workload be taken away.
	remove bool
	// removeOrphans asks that orphans be taken away too.
	removeOrphans bool
	// restored holds the workloads whose record was restored after a restart and has
	// not been compared with what exists.
	restored map[string]bool
	// flights are the actions under way, by key and object.
	flights map[string]map[string]core.Action
	// unsure is true while a resource may be needed that nobody has looked up.
	unsure bool
	// mark has keys planned soon.
	mark func(keys ...string)
	// record is called with each plan of a workload.
	record  func(plan.Input, plan.Plan)
	metrics *Metrics
	// emit passes an event on after it was written down.
	emit func(*state.Event)
}

// object names the object of an action. A container that does not exist yet goes by its
// number.
func object(a core.Action) string {
	if a.ID != "" {
		return a.ID
	}
	if a.Kind == core.CreateReplica {
		return "#" + strconv.Itoa(a.Number)
	}
	return string(a.Kind) + " " + a.Object
}

// managed reports whether tend decides over a workload's containers. The project must
// have been read.
func (r *reconciler) managed(workload string) bool {
	if _, ok := r.project.Workloads[workload]; ok {
		return true
	}
	if service := spec.ServiceOf(workload); slices.Contains(r.project.Disabled, service) {
		return false
	}
	return workload != spec.ControllerService &&
		!slices.Contains(r.project.Unmanaged, workload)
}

// plan plans a key, commits what follows, and returns the actions, which count as under
// way from now on. next is when to plan again though nothing has changed.
func (r *reconciler) plan(key string, now time.Time) (actions []core.Action, next time.Time) {
	switch {
	case r.project == nil:
		return nil, time.Time{}
	case key == projectKey:
		r.pinAnew(now)
		actions, next = r.planProject(now)
	case r.managed(key):
		actions, next = r.planWorkload(key, now)
	}
	for _, a := range actions {
		if r.flights[key] == nil {
			r.flights[key] = map[string]core.Action{}
		}
		r.flights[key][object(a)] = a
	}
	return actions, next
}

func (r *reconciler) planProject(now time.Time) ([]core.Action, time.Time) {
	if r.remove {
		return nil, time.Time{} // nothing is made for what is to be taken away
	}
	in := plan.ProjectInput{Now: now}
	snap := r.store.Snapshot()
	held := map[string]string{} // by volume, the workload that has its data there
	for _, w := range snap.Workloads() {
		for _, volume := range dataVolumes(snap, w.Spec) {
			held[volume] = w.Name
		}
	}
	for _, row := range snap.Resources() {
		res := row.Resource
		if res.Kind == core.VolumeResource {
			res.DataOf = held[res.Name]
		}
		for _, a := range r.flights[projectKey] {
			if a.Object == res.Name && (a.Kind == res.Action() || a.Kind == core.AskRegistry) {
				res.InFlight = a.Kind
			}
		}
		in.Resources = append(in.Resources, res)
	}
	r.retention(snap, &in)
	p := plan.ComputeProject(in)
	if len(p.Resources)+len(p.Images) > 0 {
		r.store.Update(func(tx *state.Tx) {
			for _, res := range p.Resources {
				tx.PutResource(res)
			}
			for _, i := range p.Images {
				tx.PutImage(i)
			}
		})
	}
	return p.Actions, p.Next
}

// retention adds the repositories whose old images are pruned to the input. Where there is
// one, it adds the images on the machine and those of all revisions, too.
func (r *reconciler) retention(snap *state.Snapshot, in *plan.ProjectInput) {
	in.Keep = map[string]int{}
	workloads := snap.Workloads()
	for _, w := range workloads {
		if w.Spec.KeepImages <= 0 {
			continue
		}
		if _, repository := spec.Name(w.Spec.Image); repository != "" {
			in.Keep[repository] = max(in.Keep[repository], w.Spec.KeepImages)
		}
	}
	if len(in.Keep) == 0 {
		return
	}
	for _, w := range workloads {
		for _, revision := range snap.Revisions(w.Name) {
			in.History = append(in.History, revision.Spec.Images()...)
		}
	}
	for _, row := range snap.Images() {
		i := row.LocalImage
		for _, a := range r.flights[projectKey] {
			i.InFlight = i.InFlight || a.Kind == core.RemoveImage && a.ID == i.ID
		}
		in.Images = append(in.Images, i)
	}
}

func (r *reconciler) planWorkload(key string, now time.Time) ([]core.Action, time.Time) {
	snap := r.store.Snapshot()
	if _, planned := snap.Status(key); !planned {
		if until := r.began.Add(probeTimeout); now.Before(until) && r.unprobed(snap, key) {
			return nil, until // or as soon as the probes have been answered
		}
		if unknown(snap, key) {
			return nil, time.Time{} // it is planned when its resources have been looked up
		}
	}
	if r.restored[key] {
		delete(r.restored, key)
		snap = r.compare(snap, key, now)
	}
	snap = r.beginScale(snap, key, now)
	snap = r.needFormer(snap, key)
	in := r.input(snap, key, now)
	p := plan.Compute(in)
	r.record(in, p)
	if in.Spec == nil && len(in.Replicas) == 0 && spec.ServiceOf(key) == key {
		r.mark(r.leaving(snap)...) // the workloads that it depended on may go now; an ingress depends on none
	}
	if in.Spec == nil && len(in.Replicas) == 0 && len(in.HookRuns) == 0 && len(in.Foreigners) == 0 {
		r.store.Update(func(tx *state.Tx) {
			tx.Forget(key)
			tx.PutEndpoints(key, nil)
		})
		delete(r.withdrawn, key)
		r.metrics.forget(key)
		return nil, time.Time{}
	}
	var events []*state.Event
	r.store.Update(func(tx *state.Tx) {
		tx.PutEndpoints(key, p.Endpoints)
		r.noteWithdrawn(tx, key, p.Rollout.Drains)
		if !reflect.DeepEqual(p.Rollout, in.Rollout) {
			tx.PutRollout(p.Rollout)
		}
		if !slices.Equal(former(&tx.Snapshot, key), former(snap, key)) {
			r.setResources(tx, r.project)
		}
		if !reflect.DeepEqual(p.Status, in.Status) {
			tx.PutStatus(p.Status)
		}
		for _, e := range p.Events {
			events = append(events, tx.AddEvent(e, now))
		}
	})
	if len(p.Rollout.Drains) != len(in.Rollout.Drains) {
		r.mark(r.joinersOf[key]...) // those that have joined what drains go first
	}
	if p.Status.Converged != in.Status.Converged || p.Status.Completed() != in.Status.Completed() {
		r.mark(r.neighbours(key)...)
	}
	for _, e := range events {
		r.emit(e)
	}
	r.metrics.decided(in, p)
	next := p.Next
	if at := r.subscribers.next(now); len(p.Rollout.Drains) > 0 && !at.IsZero() && (next.IsZero() || at.Before(next)) {
		next = at
	}
	return p.Actions, next
}

// compare corrects the record of a workload from before a restart by what exists now.
func (r *reconciler) compare(snap *state.Snapshot, key string, now time.Time) *state.Snapshot {
	r.store.Update(func(tx *state.Tx) {
		if row, ok := tx.Rollout(key); ok {
			tx.PutRollout(plan.Restored(row.Rollout, r.replicas(snap, key), now))
		}
		if row, ok := tx.Intent(key); ok && row.RestartedAt.After(now) {
			asked := *row
			asked.RestartedAt = now // the clock was wrong; no container can be made after a time that has not come
			tx.PutIntent(&asked)
		}
	})
	return r.store.Snapshot()
}

// noteWithdrawn notes the index at which the endpoints of draining replicas were
// withdrawn. A subscriber that asks for what follows that index has turned away from
// them.
func (r *reconciler) noteWithdrawn(tx *state.Tx, key string, drains map[string]core.Drain) {
	before := r.withdrawn[key]
	delete(r.withdrawn, key)
	for id := range drains {
		if r.withdrawn[key] == nil {
			r.withdrawn[key] = map[string]uint64{}
		}
		index, known := before[id]
		if !known {
			index = tx.EndpointsIndex()
			r.mark(key) // all have acknowledged the index already where the endpoint was not published
		}
		r.withdrawn[key][id] = index
	}
}

// actionEnded notes that an action has ended. Its effect must have been observed.
func (r *reconciler) actionEnded(e ended, now time.Time) {
	key, a, err := e.key, e.action, e.err
	delete(r.flights[key], object(a))
	if len(r.flights[key]) == 0 {
		delete(r.flights, key)
	}
	if key == projectKey {
		r.resourceActed(e, now)
		return
	}
	if warning := e.result.Warning; warning != "" {
		r.event(warned(a, warning), now)
	}
	if err == nil {
		r.event(succeeded(a), now)
		if a.Kind == core.StartReplica {
			r.metrics.restarted(key, 1)
		}
		if row, ok := r.store.Snapshot().Rollout(key); ok {
			if next := plan.ActionSucceeded(row.Rollout, a); !reflect.DeepEqual(next, row.Rollout) {
				r.store.Update(func(tx *state.Tx) { tx.PutRollout(next) })
			}
		}
		return
	}
	r.event(failed(a, err), now)
	snap := r.store.Snapshot()
	r.store.Update(func(tx *state.Tx) {
		if _, ok := tx.Rollout(key); ok {
			rollout := plan.ActionFailed(r.input(snap, key, now), a, err.Error())
			if refusal, ok := errors.AsType[*postgres.Refusal](err); ok {
				rollout = plan.Refused(rollout, a, refusal.Reason)
			}
			tx.PutRollout(rollout)
		}
	})
}

// resourceActed notes that an action on a resource of the project has ended. That a
// registry was asked is no news, and that it does not answer is news once.
func (r *reconciler) resourceActed(e ended, now time.Time) {
	asked, before := e.action.Kind == core.AskRegistry, ""
	r.store.Update(func(tx *state.Tx) {
		if row, ok := tx.Image(e.action.ID); ok && e.err != nil {
			row := row.LocalImage
			row.Attempt.Error = e.err.Error()
			tx.PutImage(row)
		}
		for _, row := range tx.Resources() {
			if row.Name == e.action.Object && (asked || row.Action() == e.action.Kind) {
				before = row.RegistryError
				tx.PutResource(plan.ResourceActed(row.Resource, e.action, e.result.Registry, e.err, now))
			}
		}
	})
	switch {
	case e.err != nil && (!asked || before != e.err.Error()):
		r.event(failed(e.action, e.err), now)
	case e.err == nil && !asked:
		r.event(succeeded(e.action), now)
	}
}

// neighbours are the workloads whose plan may depend on a workload's state: those that
// depend on it or have joined it, those that it has joined, and while workloads are taken
// away those that it depends on.
func (r *reconciler) neighbours(key string) []string {
	if r.project == nil || key == projectKey {
		return nil
	}
	keys := slices.Concat(r.dependents[key], r.ingressesOf[spec.ServiceOf(key)])
	for _, name := range slices.Concat(r.joinersOf[key], r.joinedBy[key]) {
		// What is gone has the others planned, which would have it planned without end.
		if r.project.Workloads[name] != nil || len(r.store.Snapshot().Replicas(name)) > 0 {
			keys = append(keys, name)
		}
	}
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

// draining are the workloads with a drain under way.
func (r *reconciler) draining() []string { return slices.Sorted(maps.Keys(r.withdrawn)) }

// event writes an event down and passes it on.
func (r *reconciler) event(e core.Event, now time.Time) {
	var row *state.Event
	r.store.Update(func(tx *state.Tx) { row = tx.AddEvent(e, now) })
	r.emit(row)
}

// needsList reports whether only a full list can tell what an action did.
func needsList(err error) bool {
	return err != nil && engine.ClassOf(err) == engine.Unknown
}
