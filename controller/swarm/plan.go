package swarm

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/plan"
	"github.com/tendhq/tend/controller/plan/services"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/swarm/convert"
	"github.com/tendhq/tend/controller/swarm/manager"
	"github.com/tendhq/tend/state"
)

// planAll plans the project and each workload by what was seen, and writes down what
// follows.
func (l *loop) planAll(now time.Time) (actions []services.Action) {
	l.putReplicas()
	l.next = time.Time{}
	soonest := func(at time.Time) {
		if !at.IsZero() && (l.next.IsZero() || at.Before(l.next)) {
			l.next = at
		}
	}
	snap := l.store.Snapshot()
	all := l.gather(snap, now)
	names := l.seen.workloads()
	for _, row := range snap.Workloads() {
		names[row.Name] = true
	}
	for _, row := range snap.Statuses() {
		names[row.Workload] = true
	}
	for _, name := range l.inOrder(names) {
		if !l.keeps(name) {
			continue
		}
		if l.known[name].same(l.store.Snapshot(), all, name, now) {
			soonest(l.known[name].next)
			continue
		}
		l.beginScale(all, name, now)
		in := l.input(l.store.Snapshot(), all, name, now)
		p := services.Compute(in)
		l.remember(in, p)
		l.known[name] = knownOf(in, all, p)
		actions = append(actions, p.Actions...)
		soonest(p.Next)
	}
	// What a rollout that is complete now has left behind goes at once.
	p := services.ComputeProject(l.projectInput(l.store.Snapshot(), now))
	soonest(p.Next)
	return append(actions, p.Actions...)
}

// keeps reports whether tend decides over a workload.
func (l *loop) keeps(name string) bool {
	return l.project.Workloads[name] != nil || !slices.Contains(l.project.Disabled, name) && !slices.Contains(l.project.Unmanaged, name)
}

// inOrder has what others depend on before them, so that one round sees what it decides.
func (l *loop) inOrder(names map[string]bool) (all []string) {
	done := map[string]bool{}
	var visit func(name string)
	visit = func(name string) {
		if done[name] {
			return
		}
		done[name] = true
		if w := l.project.Workloads[name]; w != nil {
			for _, d := range w.DependsOn {
				visit(d.Name)
			}
		}
		if names[name] {
			all = append(all, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		visit(name)
	}
	return all
}

// putReplicas writes down which tasks there are.
func (l *loop) putReplicas() {
	l.store.Update(func(tx *state.Tx) {
		there := map[string]bool{}
		for _, r := range l.seen.shownReplicas(l.project.Name) {
			there[r.ID] = true
			if before, ok := tx.Replica(r.ID); !ok || !reflect.DeepEqual(before.Replica, r) {
				tx.PutReplica(&state.Replica{Replica: r})
			}
		}
		for _, row := range tx.Replicas("") {
			if !there[row.ID] {
				tx.DeleteReplica(row.ID)
			}
		}
	})
}

// projectInput gathers what the plan of the project's own objects depends on.
func (l *loop) projectInput(snap *state.Snapshot, now time.Time) services.ProjectInput {
	in := services.ProjectInput{
		Now: now, Project: l.project, Remove: l.remove, Foreign: l.foreign(), Tries: l.tries,
		Networks: l.seen.networks, Secrets: l.seen.secrets, Configs: l.seen.configs, Services: l.seen.services,
		WantedSecrets: map[string]string{}, WantedConfigs: map[string]string{},
	}
	for _, w := range l.project.Workloads {
		for _, s := range w.Template.Secrets {
			in.WantedSecrets[s.Source] = l.objectName("secret", s.Source, types.FileObjectConfig(l.project.Secrets[s.Source]))
		}
		for _, c := range w.Template.Configs {
			in.WantedConfigs[c.Source] = l.objectName("config", c.Source, types.FileObjectConfig(l.project.Configs[c.Source]))
		}
	}
	for _, row := range snap.Rollouts() {
		in.Rollouts = append(in.Rollouts, row.Rollout)
	}
	return in
}

// objectName is the name of a secret or config in the Swarm.
func (l *loop) objectName(kind, key string, o types.FileObjectConfig) string {
	if o.External {
		return cmp.Or(o.Name, key)
	}
	return convert.ObjectName(kind, l.project.Name, key, l.contents[kind+" "+key])
}

// gathered is what the plans of all workloads of a round depend on.
type gathered struct {
	foreign string
	objects convert.Objects
	held    map[string]string
	load    map[string]int
	nodes   []manager.Node
	// services, hooks and tasks are by workload.
	services map[string]*manager.Service
	hooks    map[string][]manager.Service
	tasks    map[string][]manager.Task
	// common tells two rounds apart in which a workload without changes may be planned
	// otherwise.
	common string
}

func (l *loop) gather(snap *state.Snapshot, now time.Time) *gathered {
	project := l.projectInput(snap, now)
	all := &gathered{
		foreign: project.Foreign, objects: project.Objects(), nodes: l.seen.nodes,
		services: map[string]*manager.Service{}, hooks: map[string][]manager.Service{}, tasks: map[string][]manager.Task{},
	}
	all.held, all.load = l.seen.held()
	for volume, node := range l.options.Volumes {
		all.held[volume] = cmp.Or(all.held[volume], node)
	}
	for i, s := range l.seen.services {
		switch name := s.Spec.Labels[spec.LabelService]; {
		case s.Spec.Labels[spec.LabelHook] != "":
			all.hooks[name] = append(all.hooks[name], s)
		default:
			all.services[name] = &l.seen.services[i]
		}
	}
	for _, t := range l.seen.tasks {
		all.tasks[workloadOf(t)] = append(all.tasks[workloadOf(t)], t)
	}
	for _, n := range l.seen.nodes {
		all.common += fmt.Sprintf("%s %s %s %s %v %v;", n.ID, n.State, n.Availability, n.Role, n.Labels, n.EngineLabels)
	}
	all.common += fmt.Sprint(all.objects.Networks, all.objects.Secrets, all.objects.Configs, l.remove, all.foreign, l.project.Elsewhere)
	return all
}

// known is a workload that had converged, and what that plan depended on.
type known struct {
	common     string
	generation int64
	replicas   int
	service    string
	version    uint64
	tasks      []manager.Task
	intent     core.Intent
	next       time.Time
}

// knownOf is what a plan depended on; the zero value, which is like nothing, where the
// workload is to be planned again anyway, as after a plan that has noted something.
func knownOf(in services.Input, all *gathered, p services.Plan) known {
	if !p.Status.Converged || in.Service == nil || in.Spec == nil || !reflect.DeepEqual(p.Rollout, in.Rollout) {
		return known{}
	}
	return known{
		common: all.common, generation: in.Generation, replicas: in.Spec.Replicas, service: in.Service.ID, version: in.Service.Version, tasks: in.Tasks, intent: in.Intent, next: p.Next,
	}
}

// same reports whether a workload would be planned as it was. It is asked of each workload
// after each look, and gathers nothing.
func (k known) same(snap *state.Snapshot, all *gathered, name string, now time.Time) bool {
	s := all.services[name]
	if k.service == "" || s == nil || k.service != s.ID || k.version != s.Version || k.common != all.common || len(all.hooks[name]) > 0 ||
		!k.next.IsZero() && !now.Before(k.next) || !slices.EqualFunc(k.tasks, all.tasks[name], sameTask) {
		return false
	}
	row, written := snap.Workload(name)
	if !written || k.generation != row.Generation || k.replicas != state.Scaled(row.Spec, snap.Scale(name)).Replicas {
		return false
	}
	var intent core.Intent
	if row, ok := snap.Intent(name); ok {
		intent = row.Intent
	}
	return reflect.DeepEqual(k.intent, intent)
}

// sameTask reports whether a task has not moved on. What it was made from never changes.
func sameTask(a, b manager.Task) bool {
	return a.ID == b.ID && a.State == b.State && a.DesiredState == b.DesiredState && a.NodeID == b.NodeID && a.Since.Equal(b.Since) &&
		a.Message == b.Message && a.Err == b.Err && a.ExitCode == b.ExitCode && a.ContainerID == b.ContainerID
}

// input gathers what the plan of a workload depends on.
func (l *loop) input(snap *state.Snapshot, all *gathered, name string, now time.Time) services.Input {
	in := services.Input{
		Now: now, Since: l.since, Project: l.project, Workload: name, Service: all.services[name], Hooks: all.hooks[name], Tasks: all.tasks[name],
		Nodes: all.nodes, Objects: all.objects, Held: all.held, Load: all.load,
		Foreign: all.foreign, History: map[string]*spec.Workload{}, Refused: l.tries[name], Taken: l.taken[name],
	}
	if row, ok := snap.Workload(name); ok {
		in.Spec, in.Generation = state.Scaled(row.Spec, snap.Scale(name)), row.Generation
	}
	if l.remove {
		in.Spec = nil
	}
	if row, ok := snap.Rollout(name); ok {
		in.Rollout = row.Rollout
	}
	if row, ok := snap.Status(name); ok {
		in.Status = row.Status
	}
	if row, ok := snap.Intent(name); ok {
		in.Intent = row.Intent
	}
	for _, row := range snap.Revisions(name) {
		in.History[row.Revision] = row.Spec
	}
	if in.Spec != nil {
		for _, d := range in.Spec.DependsOn {
			in.Dependencies = append(in.Dependencies, l.dependency(snap, d))
		}
	} else if !slices.Contains(l.project.Elsewhere, name) {
		in.Dependents = l.dependents(name)
	}
	return in
}

// dependency is the state of a workload that another one depends on, as it was planned
// last.
func (l *loop) dependency(snap *state.Snapshot, d spec.Dependency) plan.Dependency {
	on := plan.Dependency{Dependency: d}
	if slices.Contains(l.project.Elsewhere, d.Name) {
		on.Known, on.Running, on.Ready, on.Completed, on.Converged = true, 1, 1, true, true
		return on
	}
	row, ok := snap.Workload(d.Name)
	if !ok {
		return on
	}
	on.Known = true
	if s, ok := snap.Status(d.Name); ok && s.ObservedGeneration == row.Generation {
		on.Running, on.Ready, on.Completed, on.Converged = s.Ready, s.Ready, s.Completed(), s.Converged
	}
	if row.Spec.Kind == spec.Job {
		for _, t := range l.seen.tasks {
			if workloadOf(t) == d.Name && services.Over(t) && t.ContainerID != "" {
				on.Running++
			}
		}
	}
	return on
}

// dependents are the workloads that have services and depend on one.
func (l *loop) dependents(name string) (all []string) {
	running := l.seen.workloads()
	for _, other := range slices.Sorted(maps.Keys(l.project.Workloads)) {
		depends := slices.ContainsFunc(l.project.Workloads[other].DependsOn, func(d spec.Dependency) bool { return d.Name == name })
		if depends && other != name && running[other] {
			all = append(all, other)
		}
	}
	return all
}

// remember writes down what follows from a plan, and tells its events.
func (l *loop) remember(in services.Input, p services.Plan) {
	var events []*state.Event
	l.store.Update(func(tx *state.Tx) {
		if in.Spec == nil && p.Status.Converged {
			tx.Forget(in.Workload)
			return
		}
		if !reflect.DeepEqual(p.Rollout, in.Rollout) {
			tx.PutRollout(p.Rollout)
		}
		if !reflect.DeepEqual(p.Status, in.Status) {
			tx.PutStatus(p.Status)
		}
		for _, e := range p.Events {
			events = append(events, tx.AddEvent(e, in.Now))
		}
	})
	for _, e := range events {
		l.options.OnEvent(e)
	}
	l.options.OnStatus(p.Status)
}

// restored is the record of a workload; empty where there is none.
func restored(snap *state.Snapshot, name string) core.Rollout {
	if row, ok := snap.Rollout(name); ok {
		return row.Rollout
	}
	return core.Rollout{Workload: name}
}
