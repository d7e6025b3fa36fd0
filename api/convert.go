package api

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/plan"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/state"
)

// toWorkload makes the object of a workload; status is nil where it was not
// looked at yet, and scale where the autoscaler has decided nothing.
func toWorkload(row *state.Workload, status *state.Status, scale *state.Scale) Workload {
	w := Workload{
		TypeMeta: typeMeta(string(row.Spec.Kind)),
		Metadata: Metadata{Name: row.Name, Generation: row.Generation},
		Spec:     toSpec(state.Scaled(row.Spec, scale)),
		Status:   WorkloadStatus{Conditions: []Condition{}},
	}
	if status != nil {
		w.Status = toStatus(status.Status)
	}
	if row.Spec.Global != nil && status != nil {
		w.Spec.Replicas = status.Desired // as many as there are nodes for it
	}
	if row.Spec.Autoscaled() && scale != nil {
		w.Status.Autoscaling = toAutoscaling(row.Spec.Autoscaling, scale.Scale)
	}
	return w
}

func toAutoscaling(a *spec.Autoscaling, scale core.Scale) *Autoscaling {
	to := &Autoscaling{
		MinReplicas: a.MinReplicas, MaxReplicas: a.MaxReplicas, DesiredReplicas: a.Bound(scale.Replicas),
		Reason: scale.Reason, Message: scale.Message, Metrics: []AutoscalingMetric{},
	}
	if !scale.ScaledAt.IsZero() {
		at := scale.ScaledAt.UTC()
		to.LastScaleTime = &at
	}
	for _, m := range scale.Metrics {
		to.Metrics = append(to.Metrics, AutoscalingMetric{Name: m.Name, Current: m.Current, Target: m.Target, Replicas: m.Replicas, Error: m.Error})
	}
	return to
}

func toSpec(w *spec.Workload) WorkloadSpec {
	s := WorkloadSpec{
		Revision:             w.Revision,
		Replicas:             w.Replicas,
		Strategy:             Strategy{Type: string(w.Strategy.Type), Reason: w.Strategy.Reason},
		MinReadySeconds:      w.MinReady.Seconds(),
		RevisionHistoryLimit: w.RevisionHistoryLimit,
		Paused:               w.Paused,
		Restart: Restart{
			Condition:       string(w.Restart.Condition),
			Reason:          w.Restart.Reason,
			DelaySeconds:    w.Restart.Delay.Seconds(),
			MaxDelaySeconds: w.Restart.MaxDelay.Seconds(),
			WindowSeconds:   w.Restart.Window.Seconds(),
			MaxAttempts:     w.Restart.MaxAttempts,
		},
		StopGracePeriodSeconds: w.StopGrace.Seconds(),
		Template:               Template{Image: w.Image},
	}
	if w.Strategy.Type == spec.RollingUpdate {
		s.Strategy.RollingUpdate = &RollingUpdate{MaxSurge: w.Strategy.MaxSurge, MaxUnavailable: w.Strategy.MaxUnavailable}
	}
	if w.Kind == spec.Job {
		s.BackoffLimit, s.ActiveDeadlineSeconds = &w.BackoffLimit, w.ActiveDeadline.Seconds()
	} else {
		s.ProgressDeadlineSeconds = w.ProgressDeadline.Seconds()
	}
	if w.Backend != nil {
		s.Backend = &Backend{Service: w.Backend.Service, HTTP: w.Backend.HTTP}
	}
	for _, d := range w.DependsOn {
		s.DependsOn = append(s.DependsOn, Dependency{
			Name: d.Name, Condition: string(d.Condition), Required: d.Required, Restart: d.Restart,
		})
	}
	return s
}

func toStatus(p core.Status) WorkloadStatus {
	s := WorkloadStatus{
		ObservedGeneration:  p.ObservedGeneration,
		Replicas:            p.Replicas,
		ReadyReplicas:       p.Ready,
		AvailableReplicas:   p.Available,
		UpdatedReplicas:     p.Updated,
		UnavailableReplicas: p.Unavailable,
		CurrentRevision:     p.CurrentRevision,
		UpdateRevision:      p.UpdateRevision,
		Conditions:          []Condition{},
		Converged:           p.Converged,
		Paused:              p.Paused,
		Outcome:             string(p.Outcome),
		Obstacle:            p.Obstacle,
		Remedy:              p.Remedy,
		WaitsFor:            p.WaitsFor,
		Blockers:            p.Blockers(),
		WantedRevision:      p.WantedRevision,
	}
	if !p.Next.At.IsZero() {
		s.Next = &Change{At: p.Next.At.UTC(), What: p.Next.What}
	}
	if !p.Deadline.IsZero() {
		deadline := p.Deadline.UTC()
		s.Deadline = &deadline
	}
	for _, c := range p.Conditions {
		status := "False"
		if c.Status {
			status = "True"
		}
		s.Conditions = append(s.Conditions, Condition{
			Type: string(c.Type), Status: status, Reason: c.Reason, Message: c.Message, LastTransitionTime: c.Since.UTC(),
		})
	}
	return s
}

// replicas lists the containers of a workload, or of all where it is empty, by
// workload and number.
func replicas(snap *state.Snapshot, workload string) List[Replica] {
	var items []Replica
	for _, row := range snap.Replicas(workload) {
		items = append(items, toReplica(snap, row.Replica))
	}
	slices.SortFunc(items, func(a, b Replica) int {
		return cmp.Or(
			cmp.Compare(a.Spec.Workload, b.Spec.Workload),
			cmp.Compare(a.Spec.Number, b.Spec.Number),
			cmp.Compare(a.Metadata.Name, b.Metadata.Name),
		)
	})
	return NewList(items)
}

func toReplica(snap *state.Snapshot, r core.Replica) Replica {
	said := statusOf(snap, r)
	out := Replica{
		TypeMeta: typeMeta(ReplicaKind),
		Metadata: Metadata{Name: r.Name},
		Spec:     ReplicaSpec{Workload: r.Workload, Number: r.Number, Revision: r.Revision, Image: r.Image},
		Status: ReplicaStatus{
			ContainerID: r.ID,
			State:       string(r.State),
			Health:      string(said.Health),
			Ready:       said.Ready,
			Phase:       string(said.Phase),
			Blocker:     said.Blocker,
			Restarts:    said.Restarts,
			StartedAt:   r.StartedAt.UTC(),
			Addresses:   snap.Addressed(r).Addresses,
			Ports:       r.Ports,
			Node:        said.Node,
		},
	}
	if r.State == core.Exited || r.State == core.Dead {
		out.Status.ExitCode = &r.ExitCode
	}
	return out
}

// statusOf returns what the planner says of a container. The planner does not plan for
// a service that tend leaves alone; then the engine's word counts.
func statusOf(snap *state.Snapshot, r core.Replica) core.ReplicaStatus {
	if row, ok := snap.Status(r.Workload); ok {
		if said, ok := row.Replica(r.ID); ok {
			return said
		}
	}
	return core.ReplicaStatus{Health: r.Health, Ready: plan.IsReady(r, nil)}
}

// toEndpoints makes the endpoints of one workload, by replica.
func toEndpoints(rows []*state.Endpoint) []Endpoint {
	out := []Endpoint{}
	for _, row := range rows {
		e := Endpoint{Replica: row.Replica, Revision: row.Revision, Addresses: row.Addresses, Ports: row.Ports}
		if e.Addresses == nil {
			e.Addresses = map[string]string{}
		}
		if e.Ports == nil {
			e.Ports = []int{}
		}
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b Endpoint) int { return cmp.Compare(a.Replica, b.Replica) })
	return out
}

// revisions lists a workload's revisions, oldest first.
func revisions(snap *state.Snapshot, workload, inForce string) List[Revision] {
	running := map[string]int{}
	for _, row := range snap.Replicas(workload) {
		running[row.Revision]++
	}
	var items []Revision
	for _, row := range snap.Revisions(workload) {
		items = append(items, Revision{
			TypeMeta: typeMeta(RevisionKind),
			Metadata: Metadata{Name: row.Revision},
			Spec:     RevisionSpec{Workload: workload, Number: row.Number, Image: row.Spec.Image, CreatedAt: row.At.UTC()},
			Status:   RevisionStatus{InForce: row.Revision == inForce, Replicas: running[row.Revision]},
		})
	}
	return NewList(items)
}

func toEvent(e *state.Event) Event {
	return Event{
		TypeMeta:       typeMeta(EventKind),
		Metadata:       Metadata{Name: eventName(e.ID)},
		Type:           string(e.Type),
		Workload:       e.Workload,
		Reason:         e.Reason,
		Message:        e.Message,
		Actor:          e.Actor,
		Count:          e.Count,
		FirstTimestamp: e.First.UTC(),
		LastTimestamp:  e.Last.UTC(),
	}
}

func eventName(id uint64) string { return strconv.FormatUint(id, 10) }
