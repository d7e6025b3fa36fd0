package controller

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/tendhq/tend/controller/autoscale"
	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/ingresses"
	"github.com/tendhq/tend/controller/plan"
	"github.com/tendhq/tend/controller/prometheus"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/usage"
	"github.com/tendhq/tend/state"
)

// requestsOver is the time over which requests per second are counted.
const requestsOver = 30 * time.Second

// Readings are what was read of the metrics of each workload, by their place.
type Readings map[string]map[int]autoscale.Reading

// autoscale decides anew how many replicas are wanted of the workloads that are scaled by
// metrics, when it is time. While the engine is away nothing is decided.
func (l *loop) autoscale(ctx context.Context, now time.Time) {
	names := l.reconciler.autoscaled
	if len(names) == 0 || now.Before(l.scaleAt) {
		return
	}
	l.scaleAt = now.Add(autoscale.Interval)
	if l.reconciler.remove || !l.Linked() {
		return
	}
	queries := map[string][]spec.Metric{}
	for _, name := range names {
		metrics := l.reconciler.project.Workloads[name].Autoscaling.Metrics
		if slices.ContainsFunc(metrics, func(m spec.Metric) bool { return m.Type == spec.Prometheus }) {
			queries[name] = metrics
		}
	}
	if len(queries) == 0 {
		l.scale(nil, now)
		return
	}
	c := l.Controller
	l.busy.Go(func() {
		read := AskPrometheus(ctx, queries)
		c.do(func(l *loop) { l.scale(read, time.Now()) })
	})
}

// AskPrometheus reads those of the metrics of workloads that Prometheus has, one after the
// other.
func AskPrometheus(ctx context.Context, metrics map[string][]spec.Metric) Readings {
	all := Readings{}
	for _, name := range slices.Sorted(maps.Keys(metrics)) {
		all[name] = map[int]autoscale.Reading{}
		for i, m := range metrics[name] {
			if m.Type != spec.Prometheus {
				continue
			}
			value, err := prometheus.Query(ctx, m.URL, m.Query)
			read := autoscale.Reading{Value: value}
			if err != nil {
				read.Error = err.Error()
			}
			all[name][i] = read
		}
	}
	return all
}

// scale decides the number of replicas of each autoscaled workload, writes it down, and marks
// the workloads whose number has changed as dirty.
func (l *loop) scale(read Readings, now time.Time) {
	samples := l.sampler.Latest()
	for _, name := range l.reconciler.autoscaled {
		snap := l.store.Snapshot()
		row, written := snap.Workload(name)
		before := snap.Scale(name)
		if !written || before == nil {
			continue // it begins when it is planned for the first time
		}
		in := l.reconciler.scaleInput(snap, row.Spec, samples, read[name], now)
		in.Before, in.Current = before.Scale, before.Replicas
		next, told := autoscale.Next(name, in)
		if !reflect.DeepEqual(next, in.Before) {
			l.store.Update(func(tx *state.Tx) { tx.PutScale(&state.Scale{Workload: name, Scale: next}) })
		}
		if told.Reason != "" {
			l.reconciler.event(told, now)
		}
		if next.Replicas != in.Current {
			l.metrics.Scaled(name, next.Replicas-in.Current)
			l.mark(name)
		}
	}
}

// beginScale has the autoscaler of a workload begin.
func (r *reconciler) beginScale(snap *state.Snapshot, key string, now time.Time) *state.Snapshot {
	row, written := snap.Workload(key)
	if !written || !row.Spec.Autoscaled() || snap.Scale(key) != nil {
		return snap
	}
	n := 0
	for _, c := range snap.Replicas(key) {
		if c.Number > 0 { // else it is no replica of tend's
			n++
		}
	}
	r.store.Update(func(tx *state.Tx) { tx.PutScale(&state.Scale{Workload: key, Scale: autoscale.Begin(row.Spec, n, now)}) })
	return r.store.Snapshot()
}

// scaleInput gathers all that the number of a workload's replicas may depend on.
func (r *reconciler) scaleInput(snap *state.Snapshot, w *spec.Workload, samples map[string]usage.Sample, read map[int]autoscale.Reading, now time.Time) autoscale.Input {
	in := autoscale.Input{Now: now, Spec: w.Autoscaling, Readings: map[int]autoscale.Reading{}}
	maps.Copy(in.Readings, read)
	for i, m := range w.Autoscaling.Metrics {
		if m.Type == spec.Requests {
			in.Readings[i] = r.requests(snap, w.Name, now)
		}
	}
	drains := map[string]core.Drain{}
	if row, ok := snap.Rollout(w.Name); ok {
		drains = row.Drains
	}
	for _, c := range r.replicas(snap, w.Name) {
		_, leaves := drains[c.ID]
		switch {
		case leaves, c.InFlight == core.StopReplica, c.InFlight == core.RemoveReplica:
		case plan.IsRunning(c):
			in.Replicas = append(in.Replicas, withUse(snap, c, w, samples))
		case c.State == core.Created:
			in.Replicas = append(in.Replicas, autoscale.Replica{Coming: true, CPURequest: w.CPURequest(), MemoryRequest: w.MemoryRequest()})
		}
	}
	return in
}

// withUse is a replica that runs, with what it uses.
func withUse(snap *state.Snapshot, c core.Replica, w *spec.Workload, samples map[string]usage.Sample) autoscale.Replica {
	made := snap.Made(c.Workload, c.Revision)
	if made == nil {
		made = w
	}
	r := autoscale.Replica{
		Ready: plan.IsReady(c, made), StartedAt: c.StartedAt, ChangedAt: c.StartedAt,
		CPURequest: made.CPURequest(), MemoryRequest: made.MemoryRequest(),
	}
	if r.Ready && !c.ReadySince.IsZero() {
		r.ChangedAt = c.ReadySince
	}
	if s, sampled := samples[c.ID]; sampled && s.Window > 0 {
		r.Use = &autoscale.Use{At: s.At, Window: s.Window, CPU: int64(s.Cores * 1000), Memory: s.Memory}
	}
	return r
}

// requests are those per second that came in at the ingresses of a service.
func (r *reconciler) requests(snap *state.Snapshot, service string, now time.Time) (read autoscale.Reading) {
	all := r.ingresses.Samples()
	for _, name := range r.ingressesOf[service] {
		ingress, written := snap.Workload(name)
		if !written {
			continue
		}
		rate, known := rate(all[name], ingress.Spec.Backend.HTTP, now)
		if !known {
			return autoscale.Reading{Error: fmt.Sprintf("the ingress %s has not told what it counts for %s", name, requestsOver)}
		}
		read.Value += rate
	}
	return read
}

// rate is how much an ingress has counted in a second of late: requests, or connections
// where it does not speak HTTP. It is not known where too little was told.
func rate(samples []ingresses.Sample, http bool, now time.Time) (perSecond float64, known bool) {
	recent := slices.DeleteFunc(samples, func(s ingresses.Sample) bool { return now.Sub(s.At) > requestsOver })
	if len(recent) < 2 {
		return 0, false
	}
	from, to := recent[0], recent[len(recent)-1]
	counted := to.Total.Connections - from.Total.Connections
	if http {
		counted = to.Total.Requests - from.Total.Requests
	}
	if counted < 0 { // its counters have begun anew
		return 0, false
	}
	return float64(counted) / to.At.Sub(from.At).Seconds(), true
}
