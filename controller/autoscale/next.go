package autoscale

import (
	"fmt"
	"time"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
)

// missingFor is for how long metrics may be missing before an event tells, as there are none
// yet when tend or a replica has just been started.
const missingFor = time.Minute

// Begin is the decision before the first one: as many replicas as there are, so that a tend
// that has lost its state changes nothing, and as many as are written where there are none.
func Begin(w *spec.Workload, there int, now time.Time) core.Scale {
	begin := core.Scale{Replicas: w.Replicas, Message: "it begins with what is written", Since: now}
	if there > 0 {
		begin.Replicas, begin.Message = there, "it begins with as many as there are"
	}
	begin.Replicas = w.Autoscaling.Bound(begin.Replicas)
	return begin
}

// Next is the next decision about a workload, with the event that tells of it; the event has
// no reason where there is nothing to tell.
func Next(workload string, in Input) (next core.Scale, told core.Event) {
	next = Decide(in)
	if next.Since = in.Before.Since; next.Reason != in.Before.Reason {
		next.Since, next.Warned = in.Now, false
	}
	missing := next.Reason == core.MetricsMissing && !next.Warned && in.Now.Sub(next.Since) >= missingFor
	next.Warned = next.Warned || missing
	switch {
	case next.Replicas != in.Current:
		told = core.Event{
			Type: core.Normal, Workload: workload, Reason: "Autoscaled",
			Message: fmt.Sprintf("from %d to %d replicas: %s", in.Current, next.Replicas, next.Message),
		}
	case missing:
		told = core.Event{
			Type: core.Warning, Workload: workload, Reason: "MetricsMissing",
			Message: fmt.Sprintf("the number of replicas stays at %d: %s", next.Replicas, next.Message),
		}
	}
	return next, told
}
