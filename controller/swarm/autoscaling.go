package swarm

import (
	"context"
	"reflect"
	"time"

	"github.com/tendhq/tend/controller"
	"github.com/tendhq/tend/controller/autoscale"
	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/plan"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/state"
)

// autoscale has it decided anew, until ctx ends, how many replicas are wanted of the
// workloads that are scaled by metrics.
func (c *Controller) autoscale(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(autoscale.Interval):
		}
		metrics := map[string][]spec.Metric{}
		for _, row := range c.store.Snapshot().Workloads() {
			if row.Spec.Autoscaled() {
				metrics[row.Name] = row.Spec.Autoscaling.Metrics
			}
		}
		if len(metrics) > 0 {
			read := controller.AskPrometheus(ctx, metrics)
			c.do(func(l *loop) { l.scale(read, time.Now()) })
		}
	}
}

// scale decides the number of replicas of each workload whose metrics were read, and writes
// it down. While the Swarm is away nothing is decided.
func (l *loop) scale(read controller.Readings, now time.Time) {
	if l.remove || l.linked() != nil {
		return
	}
	for name, readings := range read {
		snap := l.store.Snapshot()
		row, written := snap.Workload(name)
		before := snap.Scale(name)
		if !written || !row.Spec.Autoscaled() || before == nil {
			continue // it begins when it is planned for the first time
		}
		in := autoscale.Input{Now: now, Spec: row.Spec.Autoscaling, Current: before.Replicas, Readings: readings, Before: before.Scale}
		for _, r := range snap.Replicas(name) {
			switch {
			case plan.IsRunning(r.Replica):
				in.Replicas = append(in.Replicas, autoscale.Replica{Ready: plan.IsReady(r.Replica, nil), StartedAt: r.StartedAt, ChangedAt: r.StartedAt})
			case r.State == core.Created:
				in.Replicas = append(in.Replicas, autoscale.Replica{Coming: true})
			}
		}
		next, told := autoscale.Next(name, in)
		if !reflect.DeepEqual(next, in.Before) {
			l.store.Update(func(tx *state.Tx) { tx.PutScale(&state.Scale{Workload: name, Scale: next}) })
		}
		if told.Reason != "" {
			l.event(told)
		}
		if next.Replicas != in.Current {
			l.metrics.Scaled(name, next.Replicas-in.Current)
		}
	}
}

// beginScale has the autoscaler of a workload begin.
func (l *loop) beginScale(all *gathered, name string, now time.Time) {
	snap := l.store.Snapshot()
	row, written := snap.Workload(name)
	if !written || !row.Spec.Autoscaled() || snap.Scale(name) != nil {
		return
	}
	there := 0
	if s := all.services[name]; s != nil && s.Spec.Mode.Replicated != nil && s.Spec.Mode.Replicated.Replicas != nil {
		there = int(*s.Spec.Mode.Replicated.Replicas)
	}
	l.store.Update(func(tx *state.Tx) {
		tx.PutScale(&state.Scale{Workload: name, Scale: autoscale.Begin(row.Spec, there, now)})
	})
}
