package controller

import (
	"maps"
	"slices"
	"time"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/plan"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/state"
)

// input gathers all that the plan of a workload may depend on.
func (r *reconciler) input(snap *state.Snapshot, key string, now time.Time) plan.Input {
	in := plan.Input{Now: now, Project: r.project.Name, Workload: key, Replicas: r.replicas(snap, key), HookRuns: r.hookRuns(snap, key)}
	if row, ok := snap.Workload(key); ok {
		in.Spec, in.Generation = state.Scaled(row.Spec, snap.Scale(key)), row.Generation
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
	in.Subscribers = r.subscribers.count(now) + r.followers(snap, key)
	in.Acknowledged = map[string]bool{}
	for id, index := range r.withdrawn[key] {
		in.Acknowledged[id] = r.subscribers.acknowledged(index, now) && r.released(snap, key, id)
	}
	in.Published = map[string]bool{}
	for _, e := range snap.Endpoints(key) {
		in.Published[e.ID] = true
	}
	in.Foreigners = r.foreigners(snap, key)
	in.History = map[string]*spec.Workload{}
	for _, row := range snap.Revisions(key) {
		in.History[row.Revision] = row.Spec
	}
	in.Joined = r.joined(snap, in)
	in.Joiners, in.HookJoiners = r.joiners(snap, in)
	if in.Spec == nil {
		if slices.Contains(r.project.Elsewhere, key) {
			return in // what depends on it finds it there
		}
		in.Dependents = r.dependentsOf(snap, key)
		for _, name := range in.Dependents {
			r.tie(key, name)
		}
		return in
	}
	for _, d := range in.Spec.DependsOn {
		in.Dependencies = append(in.Dependencies, r.dependency(snap, d))
	}
	in.Networks = map[string]string{}
	for _, need := range needs(snap, in.Spec) {
		switch {
		case !need.Present:
			in.Missing = append(in.Missing, need)
		case need.Kind == core.ImageResource && need.Name == in.Spec.Image:
			in.ImageID = need.ID
		}
		if need.Kind == core.NetworkResource && need.Known {
			in.Networks[need.Name] = need.ID
		}
	}
	for _, need := range formerImages(snap, key) {
		if !need.Present && !slices.Contains(in.Missing, need) {
			in.MissingFormer = append(in.MissingFormer, need)
		}
	}
	if row, ok := snap.Intent(key); ok {
		in.Intent = row.Intent
	}
	if in.Spec.Kind == spec.Ingress {
		in.Neighbours = r.neighboursOf(snap, in.Spec)
	}
	return in
}

// replicas lists a workload's containers with the actions under way on them, those that are
// being created, and those that are being started and are gone: what came of a start is
// known when it has ended.
func (r *reconciler) replicas(snap *state.Snapshot, key string) []core.Replica {
	coming := map[int]core.Action{}
	for _, a := range r.flights[key] {
		if a.Kind == core.CreateReplica {
			coming[a.Number] = a
		}
	}
	rows := snap.Replicas(key)
	all := slices.Grow([]core.Replica(nil), len(rows)+len(coming))
	for _, row := range rows {
		replica := snap.Addressed(snap.Probed(row.Replica))
		replica.Orphan = r.isOrphan(snap, row.Replica)
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
		all = append(all, core.Replica{Workload: key, Number: n, Revision: a.Revision, State: core.Created, InFlight: a.Kind})
	}
	for _, id := range slices.Sorted(maps.Keys(r.flights[key])) {
		a := r.flights[key][id]
		if gone := !slices.ContainsFunc(rows, func(row *state.Replica) bool { return row.ID == id }); gone && a.Kind == core.StartReplica {
			all = append(all, core.Replica{Workload: key, Name: a.Object, ID: id, Number: a.Number, Revision: a.Revision, State: core.Created, InFlight: a.Kind})
		}
	}
	return all
}

// hookRuns lists the containers of a workload's hooks with the actions under
// way on them, and those that are being created.
func (r *reconciler) hookRuns(snap *state.Snapshot, key string) []core.HookRun {
	var all []core.HookRun
	coming := map[string]core.Action{}
	for _, a := range r.flights[key] {
		if a.Kind == core.RunHook {
			coming[a.Object+" "+a.Revision] = a
		}
	}
	for _, row := range snap.HookRuns(key) {
		run := row.HookRun
		run.Orphan = r.isOrphan(snap, row.Replica)
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
		all = append(all, core.HookRun{Hook: a.Object, Replica: core.Replica{Workload: key, Revision: a.Revision, State: core.Created, InFlight: a.Kind}})
	}
	return all
}

// dependency is the state of a workload that another one depends on.
func (r *reconciler) dependency(snap *state.Snapshot, d spec.Dependency) plan.Dependency {
	out := plan.Dependency{Dependency: d}
	if slices.Contains(r.project.Elsewhere, d.Name) {
		out.Known, out.Running, out.Ready, out.Completed, out.Converged = true, 1, 1, true, true
		return out
	}
	on, managed := snap.Workload(d.Name)
	job := managed && on.Spec.Kind == spec.Job
	out.Known = managed || slices.Contains(r.project.Unmanaged, d.Name)
	for _, row := range snap.Replicas(d.Name) {
		if plan.IsRunning(row.Replica) || job && !row.StartedAt.IsZero() {
			out.Running++
		}
		if plan.IsReady(snap.Probed(row.Replica), snap.Made(d.Name, row.Revision)) {
			out.Ready++
		}
		if !managed && row.State == core.Exited && row.ExitCode == 0 {
			out.Completed = true
		}
	}
	if s, ok := snap.Status(d.Name); ok {
		row, written := snap.Workload(d.Name)
		out.Converged = s.Converged && written && s.ObservedGeneration == row.Generation
		out.Completed = s.Completed()
	}
	return out
}

// needs lists the resources of a workload.
func needs(snap *state.Snapshot, w *spec.Workload) []core.Resource {
	images := w.Images()
	rows := make([]core.Resource, 0, len(w.Networks)+len(w.Volumes)+len(images))
	data := dataVolumes(snap, w)
	need := func(kind core.ResourceKind, name string) {
		if row, ok := snap.Resource(kind, name); ok {
			res := row.Resource
			if kind == core.VolumeResource && slices.Contains(data, name) {
				res.DataOf = w.Name
			}
			rows = append(rows, res)
		}
	}
	for _, n := range w.Networks {
		need(core.NetworkResource, n)
	}
	for _, v := range w.Volumes {
		need(core.VolumeResource, v)
	}
	for _, image := range images {
		need(core.ImageResource, image)
	}
	return rows
}

// formerImages lists the images of the former revisions that a workload may go back to.
func formerImages(snap *state.Snapshot, key string) (images []core.Resource) {
	for _, old := range former(snap, key) {
		for _, image := range old.Images() {
			if row, ok := snap.Resource(core.ImageResource, image); ok && !slices.Contains(images, row.Resource) {
				images = append(images, row.Resource)
			}
		}
	}
	return images
}

// unknown reports whether a resource of a workload has not been looked up yet.
func unknown(snap *state.Snapshot, key string) bool {
	row, written := snap.Workload(key)
	return written && slices.ContainsFunc(needs(snap, row.Spec), func(r core.Resource) bool { return !r.Settled() })
}

// dataVolumes returns the volumes that a Database was on when it last worked, and those
// that its known containers mount. It returns none for another kind.
func dataVolumes(snap *state.Snapshot, w *spec.Workload) (volumes []string) {
	if w.Kind != spec.Database {
		return nil
	}
	for _, row := range snap.Replicas(w.Name) {
		for _, m := range row.Mounts {
			volumes = append(volumes, m.Source)
		}
	}
	if rollout, ok := snap.Rollout(w.Name); ok {
		if worked, ok := snap.Revision(w.Name, rollout.Stable); ok {
			volumes = append(volumes, worked.Spec.Volumes...)
		}
	}
	return volumes
}

// joined are the containers of the services that a workload's containers join, at any
// revision, or have joined, at one that nobody remembers.
func (r *reconciler) joined(snap *state.Snapshot, in plan.Input) (all []plan.Joined) {
	var services []string
	if in.Spec != nil {
		services = in.Spec.Joins()
	}
	for _, former := range in.History {
		services = append(services, former.Joins()...)
	}
	for _, r := range in.Replicas {
		for _, j := range r.Joins {
			if row, ok := snap.Replica(j.ID); ok {
				services = append(services, row.Workload)
			}
		}
	}
	slices.Sort(services)
	for _, service := range slices.Compact(services) {
		rollout, _ := snap.Rollout(service)
		kept, paused := kept(snap, service), paused(snap, service)
		for _, row := range snap.Replicas(service) {
			j := plan.Joined{Replica: row.Replica, Current: kept == nil || paused || plan.IsCurrent(row.Replica, kept)}
			j.InFlight = r.flights[service][row.ID].Kind
			if rollout != nil {
				_, j.Draining = rollout.Drains[row.ID]
			}
			all = append(all, j)
		}
	}
	return all
}

// kept is the spec that a workload is kept at: what is written, or a former one to which it
// was rolled back; nil where tend keeps no such workload.
func kept(snap *state.Snapshot, name string) *spec.Workload {
	written, managed := snap.Workload(name)
	if !managed {
		return nil
	}
	status, planned := snap.Status(name)
	if !planned || status.ObservedGeneration != written.Generation {
		return written.Spec
	}
	if former, ok := snap.Revision(name, status.UpdateRevision); ok {
		return former.Spec
	}
	return written.Spec
}

// paused reports whether the rollout of a workload is paused.
func paused(snap *state.Snapshot, name string) bool {
	written, managed := snap.Workload(name)
	if !managed {
		return false
	}
	var asked core.Intent
	if row, ok := snap.Intent(name); ok {
		asked = row.Intent
	}
	return asked.Pauses(written.Spec)
}

// joiners are the containers of other workloads that have joined a workload's, also where
// their services are written to join others by now, or not at all.
func (r *reconciler) joiners(snap *state.Snapshot, in plan.Input) (all []core.Replica, hooks []core.HookRun) {
	runs := snap.HookRuns("")
	for _, joined := range in.Replicas {
		for _, row := range snap.Joiners(joined.ID) {
			if r.decides(snap, row.Replica) {
				all = append(all, row.Replica)
				r.tie(in.Workload, row.Workload)
			}
		}
		for _, row := range runs {
			if slices.ContainsFunc(row.Joins, func(j core.Join) bool { return j.ID == joined.ID }) && r.decides(snap, row.Replica) {
				hooks = append(hooks, row.HookRun)
				r.tie(in.Workload, row.Workload)
			}
		}
	}
	return all, hooks
}

// tie notes that containers of one workload have joined another's, or go before them, so
// that a change of either has both planned.
func (r *reconciler) tie(joined, joiner string) {
	if slices.Contains(r.joinersOf[joined], joiner) {
		return
	}
	r.joinersOf[joined] = append(r.joinersOf[joined], joiner)
	r.joinedBy[joiner] = append(r.joinedBy[joiner], joined)
	r.mark(joiner)
}

// foreigners are the containers of another folder that are in a workload's way.
func (r *reconciler) foreigners(snap *state.Snapshot, key string) (all []core.Foreigner) {
	w := r.project.Workloads[key]
	for _, row := range snap.Foreigners() {
		onVolume := func(name string) bool {
			return slices.Contains(row.Volumes, name) && !r.project.Volumes[name].External // an external volume is shared on purpose
		}
		if row.Workload == key || w != nil && (w.ContainerName == row.Name || slices.ContainsFunc(w.Volumes, onVolume)) {
			all = append(all, row.Foreigner)
		}
	}
	return all
}

// isOrphan reports whether a container is of a service that is not written, and that
// tend has not kept: tend did not make the container and does not remember the service,
// or it did so with other Compose files.
func (r *reconciler) isOrphan(snap *state.Snapshot, c core.Replica) bool {
	if r.removeOrphans || r.project.Workloads[c.Workload] != nil {
		return false
	}
	kept := c.Revision != "" || len(snap.Revisions(c.Workload)) > 0
	return !kept || !r.project.SharesFiles(c.ConfigFiles)
}

// decides reports whether tend decides over a container.
func (r *reconciler) decides(snap *state.Snapshot, c core.Replica) bool {
	return r.managed(c.Workload) && !r.isOrphan(snap, c)
}

// dependentsOf names the workloads that have containers which depend on key. It leaves
// out those that tend leaves alone, which would be waited for without end.
func (r *reconciler) dependentsOf(snap *state.Snapshot, key string) []string {
	var names []string
	for _, row := range snap.Replicas("") {
		if r.decides(snap, row.Replica) && slices.Contains(row.DependsOn, key) && !slices.Contains(names, row.Workload) {
			names = append(names, row.Workload)
		}
	}
	slices.Sort(names)
	return names
}
