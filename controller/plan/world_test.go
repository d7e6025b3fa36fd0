package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
)

// noon is when every story begins.
var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// world is a workload and its containers as they would be on an engine: what a
// plan asks for is begun, and ends when a test has it end, as the test says.
type world struct {
	now        time.Time
	spec       *spec.Workload
	generation int64
	// replicas are the containers that exist.
	replicas []core.Replica
	rollout  core.Rollout
	status   core.Status

	dependencies                       []Dependency
	missing, missingFormer, dependents []string
	missingError                       string
	// image is what the image's name stands for.
	image string
	// neighbours may publish an ingress's host port.
	neighbours []core.Replica
	joined     []Joined
	joiners    []core.Replica
	// foreigners are another folder's containers.
	foreigners []core.Foreigner
	// hooks are the containers of hooks.
	hooks  []core.HookRun
	intent core.Intent
	// history has every spec that was in force since remembers was set.
	history   map[string]*spec.Workload
	remembers bool
	// subscribers follow the endpoints; acknowledged are the containers that
	// all of them have turned away from.
	subscribers  int
	published    map[string]bool
	acknowledged map[string]bool

	// networks are the IDs of the networks that exist.
	networks map[string]string
	// mounts are what new containers mount, by path; an anonymous volume where
	// there is no source.
	mounts map[string]string

	// underWay are the actions that have begun and not ended, in order.
	underWay []core.Action
	// healthCheck has new containers begin as starting.
	healthCheck bool
	made        int
}

// outcome is how an action ends.
type outcome int

const (
	done      outcome = iota
	failed            // nothing happened, and that is known
	replyless         // it was done and reported as failed
	halfway           // a container was created and did not start
	refused           // nothing happened, and trying again is of no use
)

func newWorld() *world {
	return &world{now: noon, mounts: map[string]string{}, history: map[string]*spec.Workload{}, acknowledged: map[string]bool{}}
}

// apply puts a spec in force.
func (w *world) apply(s *spec.Workload) {
	w.spec = s
	w.generation++
	if s != nil && w.remembers {
		w.history[s.Revision] = s
	}
}

// input is what the loop would hand to the planner. It shares nothing with w.
func (w *world) input() Input {
	in := Input{
		Now: w.now, Workload: "web", Generation: w.generation,
		Rollout: cloneRollout(w.rollout), Status: cloneStatus(w.status),
		Dependencies: slices.Clone(w.dependencies), Missing: resources(w.missing, w.missingError), MissingFormer: resources(w.missingFormer, ""), Dependents: slices.Clone(w.dependents),
		Networks: w.networks, ImageID: w.image, Intent: w.intent, History: maps.Clone(w.history),
		Subscribers: w.subscribers, Acknowledged: maps.Clone(w.acknowledged), Published: w.published,
		Neighbours: slices.Clone(w.neighbours), Foreigners: slices.Clone(w.foreigners),
		Joined: slices.Clone(w.joined), Joiners: slices.Clone(w.joiners),
	}
	if w.spec != nil {
		s := *w.spec
		s.Networks = slices.Clone(s.Networks)
		in.Spec = &s
	}
	for _, r := range w.replicas {
		r.Addresses = maps.Clone(r.Addresses)
		for _, a := range w.underWay {
			if a.ID == r.ID {
				r.InFlight = a.Kind
			}
		}
		in.Replicas = append(in.Replicas, r)
	}
	for _, run := range w.hooks {
		for _, a := range w.underWay {
			if a.ID == run.ID {
				run.InFlight = a.Kind
			}
		}
		in.HookRuns = append(in.HookRuns, run)
	}
	for _, a := range w.underWay {
		coming := core.Replica{Workload: "web", Number: a.Number, Revision: a.Revision, State: core.Created, InFlight: a.Kind}
		switch a.Kind {
		case core.CreateReplica:
			in.Replicas = append(in.Replicas, coming)
		case core.RunHook:
			in.HookRuns = append(in.HookRuns, core.HookRun{Replica: coming, Hook: a.Object})
		}
	}
	return in
}

func cloneRollout(r core.Rollout) core.Rollout {
	r.Attempts, r.Tries, r.Succeeded, r.Drains = maps.Clone(r.Attempts), maps.Clone(r.Tries), maps.Clone(r.Succeeded), maps.Clone(r.Drains)
	r.Done = maps.Clone(r.Done)
	return r
}

func cloneStatus(s core.Status) core.Status {
	s.Conditions = slices.Clone(s.Conditions)
	return s
}

// begin commits a plan and begins its actions.
func (w *world) begin(p Plan) {
	w.rollout, w.status = p.Rollout, p.Status
	w.published = map[string]bool{}
	for _, e := range p.Endpoints {
		w.published[e.ID] = true
	}
	w.underWay = append(w.underWay, p.Actions...)
}

// end ends the i-th action under way.
func (w *world) end(i int, how outcome, message string) {
	a := w.underWay[i]
	w.underWay = slices.Delete(w.underWay, i, i+1)
	if how != failed && how != refused {
		w.effect(a, how == halfway)
	}
	switch {
	case how == refused:
		w.rollout = Refused(ActionFailed(w.input(), a, message), a, message)
	case how != done:
		w.rollout = ActionFailed(w.input(), a, message)
	default:
		w.rollout = ActionSucceeded(w.rollout, a)
	}
}

// endAll ends all actions under way, in order.
func (w *world) endAll() {
	for len(w.underWay) > 0 {
		w.end(0, done, "")
	}
}

// effect does what the engine does for an action.
func (w *world) effect(a core.Action, half bool) {
	if a.Kind == core.CreateReplica {
		if w.spec == nil {
			return // the project is gone, and with it what to create from
		}
		w.made++
		r := core.Replica{
			Workload: "web", Number: a.Number, Name: fmt.Sprintf("shop-web-%d", a.Number), ID: fmt.Sprintf("made%d", w.made),
			Revision: a.Revision, ConfigHash: "hash-" + a.Revision, ImageID: w.image, State: core.Created, Created: w.now, RestartPolicy: restartPolicy(w.spec.RestartPolicy),
			Addresses: map[string]string{},
		}
		for _, id := range a.Joins {
			r.Joins = append(r.Joins, core.Join{Kind: core.JoinNetwork, ID: id})
		}
		for _, n := range w.spec.Networks {
			r.Addresses[n] = "10.0.0.1"
		}
		for _, target := range slices.Sorted(maps.Keys(w.mounts)) {
			m := core.Mount{Target: target, Source: w.mounts[target]}
			if m.Source == "" {
				m.Source, m.Anonymous = cmp.Or(a.Anonymous[target], fmt.Sprintf("anonymous%d", w.made)), true
			}
			r.Mounts = append(r.Mounts, m)
		}
		if !half {
			w.start(&r)
		}
		w.replicas = append(w.replicas, r)
		return
	}
	if a.Kind == core.RunHook {
		w.runHook(a, half)
		return
	}
	if i := slices.IndexFunc(w.hooks, func(run core.HookRun) bool { return run.ID == a.ID }); i >= 0 {
		switch r := &w.hooks[i].Replica; {
		case a.Kind == core.StopReplica:
			w.exit(r, 143)
		case a.Kind == core.RemoveReplica && !IsRunning(*r):
			w.hooks = slices.Delete(w.hooks, i, i+1)
		}
		return
	}
	i := slices.IndexFunc(w.replicas, func(r core.Replica) bool { return r.ID == a.ID })
	if i < 0 {
		return // someone removed it meanwhile
	}
	switch r := &w.replicas[i]; a.Kind {
	case core.StartReplica:
		if r.State == core.Exited {
			w.start(r)
		}
	case core.StopReplica:
		w.exit(r, 143)
		r.Interrupted = true
	case core.RemoveReplica:
		if !IsRunning(*r) {
			w.replicas = slices.Delete(w.replicas, i, i+1)
		}
	case core.UpdateReplica:
		r.RestartPolicy = a.RestartPolicy
	case core.ConnectReplica:
		for _, n := range a.Connect {
			r.Addresses[n] = "10.0.0.1"
		}
		for _, n := range a.Disconnect {
			delete(r.Addresses, n)
		}
	}
}

// runHook makes the container of a hook; its name belongs to the hook and the
// revision, so that of each there is one at most.
func (w *world) runHook(a core.Action, half bool) {
	name := fmt.Sprintf("shop-web-%s-%s", a.Object, a.Revision)
	if w.hook(name) != nil {
		return
	}
	w.made++
	run := core.HookRun{Hook: a.Object, Replica: core.Replica{
		Workload: "web", Name: name, ID: fmt.Sprintf("made%d", w.made), Revision: a.Revision, ImageID: w.image,
		State: core.Created, Created: w.now,
	}}
	if !half {
		run.State, run.StartedAt = core.Running, w.now
	}
	w.hooks = append(w.hooks, run)
}

// hook returns the container of a hook by its name, or nil.
func (w *world) hook(name string) *core.HookRun {
	for i, run := range w.hooks {
		if run.Name == name {
			return &w.hooks[i]
		}
	}
	return nil
}

func (w *world) start(r *core.Replica) {
	r.State, r.StartedAt, r.FinishedAt, r.ExitCode = core.Running, w.now, time.Time{}, 0
	r.Health, r.ReadySince, r.WasReady, r.HealthOutput = core.NoHealthCheck, w.now, true, ""
	if w.healthCheck {
		r.Health, r.ReadySince, r.WasReady = core.Starting, time.Time{}, false
	}
}

func (w *world) exit(r *core.Replica, code int) {
	if IsRunning(*r) {
		r.State, r.FinishedAt, r.ExitCode = core.Exited, w.now, code
		r.Health, r.ReadySince, r.WasReady, r.Broken = core.NoHealthCheck, time.Time{}, false, ""
		r.HealthOutput, r.Interrupted, r.Unwatched = "", false, false
	}
}

// report sets the result of a replica's health check.
func (w *world) report(r *core.Replica, h core.Health) {
	if !IsRunning(*r) || r.Health == h {
		return
	}
	r.Health, r.ReadySince = h, time.Time{}
	if IsReady(*r, nil) {
		r.ReadySince, r.WasReady = w.now, true
	}
}

// shift moves the clock on.
func (w *world) shift(d time.Duration) { w.now = w.now.Add(d) }

// find returns the container of a name, or the first of a number.
func (w *world) find(key string) *core.Replica {
	slices.SortStableFunc(w.replicas, func(a, b core.Replica) int { return cmp.Compare(a.Number, b.Number) })
	for i, r := range w.replicas {
		if r.Name == key || fmt.Sprint(r.Number) == key {
			return &w.replicas[i]
		}
	}
	return nil
}

// kubelet is how containers are restarted where nothing else is written.
var kubelet = spec.Restart{Condition: spec.RestartAny, Delay: 10 * time.Second, MaxDelay: 300 * time.Second, Window: 10 * time.Minute}

// defaults is a valid spec of a kind.
func defaults(kind spec.Kind) *spec.Workload {
	s := &spec.Workload{
		Name: "web", Kind: kind, Replicas: 1, Restart: kubelet, RestartPolicy: "no", Revision: "v1", ConfigHash: "hash-v1",
		Strategy: spec.Strategy{Type: spec.RollingUpdate, MaxSurge: 1}, OnFailure: spec.Rollback,
		ProgressDeadline: 10 * time.Minute, StopGrace: 10 * time.Second, Networks: []string{"shop_backend"},
	}
	switch kind {
	case spec.Database:
		s.Strategy = spec.Strategy{Type: spec.Recreate}
		s.ProgressDeadline, s.StopGrace = 2*time.Minute, 2*time.Minute
	case spec.Job:
		s.Strategy = spec.Strategy{Type: spec.Recreate}
		s.Restart.Condition, s.BackoffLimit = spec.RestartOnFailure, 6
	}
	return s
}

// resources are missing ones, each named "kind name".
func resources(names []string, err string) []core.Resource {
	var all []core.Resource
	for _, n := range names {
		kind, name, _ := strings.Cut(n, " ")
		all = append(all, core.Resource{Kind: core.ResourceKind(kind), Name: name, Attempt: core.Attempt{Error: err}})
	}
	return all
}

// vpn is a container of the service vpn.
func vpn(id string, state core.State, startedAt time.Time) Joined {
	return Joined{
		Replica: core.Replica{Workload: "vpn", Number: 1, ID: id, Name: "shop-vpn-1", State: state, StartedAt: startedAt},
		Current: true,
	}
}

// inNetworks has an entry for each network of the project shop, by its name in the engine.
func inNetworks(keys []string) map[string]string {
	in := map[string]string{}
	for _, key := range keys {
		in["shop_"+key] = "10.0.0.1"
	}
	return in
}

// holders are running containers that publish host port 8080.
func holders(names ...string) (all []core.Replica) {
	for _, name := range names {
		all = append(all, core.Replica{Name: name, State: core.Running, HostPorts: []string{"0.0.0.0:8080/tcp"}})
	}
	return all
}
