package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

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
	replicas []Replica
	rollout  Rollout
	status   Status

	dependencies        []Dependency
	missing, dependents []string

	// underWay are the actions that have begun and not ended, in order.
	underWay []Action
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
)

func newWorld() *world {
	return &world{now: noon}
}

// apply puts a spec in force.
func (w *world) apply(s *spec.Workload) {
	w.spec = s
	w.generation++
}

// input is what the loop would hand to the planner. It shares nothing with w.
func (w *world) input() Input {
	in := Input{
		Now: w.now, Workload: "web", Generation: w.generation,
		Rollout: cloneRollout(w.rollout), Status: cloneStatus(w.status),
		Dependencies: slices.Clone(w.dependencies), Missing: resources(w.missing), Dependents: slices.Clone(w.dependents),
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
	for _, a := range w.underWay {
		if a.Kind == CreateReplica {
			in.Replicas = append(in.Replicas, Replica{
				Workload: "web", Number: a.Number, Revision: a.Revision, State: Created, InFlight: CreateReplica,
			})
		}
	}
	return in
}

func cloneRollout(r Rollout) Rollout {
	r.Attempts, r.Tries, r.Succeeded = maps.Clone(r.Attempts), maps.Clone(r.Tries), maps.Clone(r.Succeeded)
	return r
}

func cloneStatus(s Status) Status {
	s.Conditions = slices.Clone(s.Conditions)
	return s
}

// begin commits a plan and begins its actions.
func (w *world) begin(p Plan) {
	w.rollout, w.status = p.Rollout, p.Status
	w.underWay = append(w.underWay, p.Actions...)
}

// end ends the i-th action under way.
func (w *world) end(i int, how outcome, message string) {
	a := w.underWay[i]
	w.underWay = slices.Delete(w.underWay, i, i+1)
	if how != failed {
		w.effect(a, how == halfway)
	}
	if how != done {
		w.rollout = StartFailed(w.rollout, a, message)
	}
}

// endAll ends all actions under way, in order.
func (w *world) endAll() {
	for len(w.underWay) > 0 {
		w.end(0, done, "")
	}
}

// effect does what the engine does for an action.
func (w *world) effect(a Action, half bool) {
	if a.Kind == CreateReplica {
		if w.spec == nil {
			return // the project is gone, and with it what to create from
		}
		w.made++
		r := Replica{
			Workload: "web", Number: a.Number, Name: fmt.Sprintf("shop-web-%d", a.Number), ID: fmt.Sprintf("made%d", w.made),
			Revision: a.Revision, ConfigHash: "hash-" + a.Revision, State: Created, Created: w.now,
			Addresses: map[string]string{},
		}
		for _, n := range w.spec.Networks {
			r.Addresses[n] = "10.0.0.1"
		}
		if !half {
			w.start(&r)
		}
		w.replicas = append(w.replicas, r)
		return
	}
	i := slices.IndexFunc(w.replicas, func(r Replica) bool { return r.ID == a.ID })
	if i < 0 {
		return // someone removed it meanwhile
	}
	switch r := &w.replicas[i]; a.Kind {
	case StartReplica:
		if r.State == Exited {
			w.start(r)
		}
	case StopReplica:
		w.exit(r, 143)
	case RemoveReplica:
		if !IsRunning(*r) {
			w.replicas = slices.Delete(w.replicas, i, i+1)
		}
	case AdoptReplica:
		r.EngineRestarts = false
	}
}

func (w *world) start(r *Replica) {
	r.State, r.StartedAt, r.FinishedAt, r.ExitCode = Running, w.now, time.Time{}, 0
	r.Health, r.ReadySince = NoHealthCheck, w.now
	if w.healthCheck {
		r.Health, r.ReadySince = Starting, time.Time{}
	}
}

func (w *world) exit(r *Replica, code int) {
	if IsRunning(*r) {
		r.State, r.FinishedAt, r.ExitCode = Exited, w.now, code
		r.Health, r.ReadySince, r.Broken = NoHealthCheck, time.Time{}, ""
	}
}

// report sets the result of a replica's health check.
func (w *world) report(r *Replica, h Health) {
	if !IsRunning(*r) || r.Health == h {
		return
	}
	r.Health, r.ReadySince = h, time.Time{}
	if IsReady(*r) {
		r.ReadySince = w.now
	}
}

// shift moves the clock on.
func (w *world) shift(d time.Duration) { w.now = w.now.Add(d) }

// find returns the container of a name, or the first of a number.
func (w *world) find(key string) *Replica {
	slices.SortStableFunc(w.replicas, func(a, b Replica) int { return cmp.Compare(a.Number, b.Number) })
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
		Name: "web", Kind: kind, Replicas: 1, Restart: kubelet, Revision: "v1", ConfigHash: "hash-v1",
		Strategy:         spec.Strategy{Type: spec.RollingUpdate, MaxSurge: 1},
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
func resources(names []string) []Resource {
	var all []Resource
	for _, n := range names {
		kind, name, _ := strings.Cut(n, " ")
		all = append(all, Resource{Kind: ResourceKind(kind), Name: name})
	}
	return all
}
