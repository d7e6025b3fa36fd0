// Package autoscale decides how many replicas are wanted of a workload whose spec has
// autoscaling. Decide is pure: the same input gives the same decision, and the clock is an
// input. The rules are those of Kubernetes' HorizontalPodAutoscaler; where they differ by
// design stands in docs/reference/autoscaling.md.
package autoscale

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
)

// Interval is the time between two decisions, that of Kubernetes' controller manager.
const Interval = 15 * time.Second

// Input is all that a decision may depend on.
type Input struct {
	Now  time.Time
	Spec *spec.Autoscaling
	// Current is how many replicas are wanted now, and at least one.
	Current int
	// Replicas are the containers of the workload, without those that leave.
	Replicas []Replica
	// Readings are what was read of the metrics that are not of single replicas, by their
	// place in Spec.Metrics.
	Readings map[int]Reading
	// Before is the last decision.
	Before core.Scale

	periods periods
}

// periods are those in which the CPU of a replica that is not ready says nothing of the load.
type periods struct{ initialization, initialReadiness time.Duration }

// kubernetes are the defaults of its controller manager.
var kubernetes = periods{initialization: 5 * time.Minute, initialReadiness: 30 * time.Second}

// Replica is a container, what it was given and what it uses.
type Replica struct {
	// Coming is true while it does not run yet.
	Coming bool
	// Ready is whether it is ready, since ChangedAt; it was started at StartedAt.
	Ready                bool
	StartedAt, ChangedAt time.Time
	// CPURequest and MemoryRequest are what it is given, in thousandths of a core and in
	// bytes; 0 where its spec does not say.
	CPURequest, MemoryRequest int64
	// Use is its last sample; nil where there is none.
	Use *Use
}

// Use is what a replica used: thousandths of a core on average over Window, until At, and
// bytes of memory then.
type Use struct {
	At          time.Time
	Window      time.Duration
	CPU, Memory int64
}

// Reading is a metric's value, or why there is none.
type Reading struct {
	Value float64
	Error string
}

// Decide returns the next decision.
func Decide(in Input) core.Scale {
	in.periods = kubernetes
	next := in.Before
	next.Replicas = in.Spec.Bound(in.Current)
	next.Recommendations = slices.DeleteFunc(slices.Clone(in.Before.Recommendations), func(r core.Recommendation) bool {
		return r.At.Before(in.Now.Add(-max(in.Spec.ScaleUp.Window, in.Spec.ScaleDown.Window)))
	})
	next.Changes = slices.DeleteFunc(slices.Clone(in.Before.Changes), func(c core.ScaleChange) bool {
		return c.At.Before(in.Now.Add(-max(longestPeriod(in.Spec.ScaleUp), longestPeriod(in.Spec.ScaleDown))))
	})
	if len(in.Before.Recommendations) == 0 {
		// Nothing is known of before, so that what there is counts as recommended.
		next.Recommendations = append(next.Recommendations, core.Recommendation{At: in.Now, Replicas: next.Replicas})
	}
	if next.Replicas != in.Current {
		return in.bounded(next)
	}
	var proposed int
	next.Metrics, proposed = in.propose()
	if unread := in.unread(next.Metrics, proposed); unread != "" {
		next.Reason, next.Message = core.MetricsMissing, unread
		return next
	}
	why := in.highest(next.Metrics, proposed)
	stable := in.stabilize(next.Recommendations, proposed)
	next.Recommendations = append(next.Recommendations, core.Recommendation{At: in.Now, Replicas: proposed})
	wanted, reason, limit := in.limit(next.Changes, stable)
	switch {
	case wanted != stable:
		next.Reason, next.Message = reason, fmt.Sprintf("%s, and %s", why, limit)
	case stable > proposed:
		next.Reason = core.ScaleDownStabilized
		next.Message = fmt.Sprintf("%s, and the highest recommendation of the last %s was %d", why, in.Spec.ScaleDown.Window, stable)
	case stable < proposed:
		next.Reason = core.ScaleUpStabilized
		next.Message = fmt.Sprintf("%s, and the lowest recommendation of the last %s was %d", why, in.Spec.ScaleUp.Window, stable)
	default:
		next.Reason, next.Message = core.WithinRange, why
	}
	return in.changed(next, wanted)
}

// bounded is the decision where the number of before is no longer allowed.
func (in Input) bounded(next core.Scale) core.Scale {
	next.Reason, next.Message = core.TooManyReplicas, fmt.Sprintf("maxReplicas is %d", in.Spec.MaxReplicas)
	if in.Current < in.Spec.MinReplicas {
		next.Reason, next.Message = core.TooFewReplicas, fmt.Sprintf("minReplicas is %d", in.Spec.MinReplicas)
	}
	return in.changed(next, next.Replicas)
}

// changed notes a change of the wanted number.
func (in Input) changed(next core.Scale, wanted int) core.Scale {
	next.Replicas = wanted
	if wanted != in.Current {
		next.ScaledAt = in.Now
		next.Changes = append(next.Changes, core.ScaleChange{At: in.Now, By: wanted - in.Current})
	}
	return next
}

// propose returns how many replicas each metric asks for, and the most of these.
func (in Input) propose() (metrics []core.ScaleMetric, most int) {
	for i, m := range in.Spec.Metrics {
		asked := in.ask(i, m)
		metrics = append(metrics, asked)
		if asked.Error == "" {
			most = max(most, asked.Replicas)
		}
	}
	return metrics, most
}

// unread says why no decision can be made: no metric can be read, or one cannot and the
// others ask for fewer replicas; empty where one can.
func (in Input) unread(metrics []core.ScaleMetric, proposed int) string {
	var errs []string
	for _, m := range metrics {
		if m.Error != "" {
			errs = append(errs, fmt.Sprintf("%s cannot be read: %s", m.Name, m.Error))
		}
	}
	if len(errs) == 0 || len(errs) < len(metrics) && proposed >= in.Current {
		return ""
	}
	return strings.Join(errs, "; ")
}

// highest tells of the metric that asks for the most replicas.
func (in Input) highest(metrics []core.ScaleMetric, proposed int) string {
	for _, m := range metrics {
		if m.Error == "" && m.Replicas == proposed {
			return fmt.Sprintf("%s is %s, and the target is %s, which asks for %d", m.Name, m.Current, m.Target, m.Replicas)
		}
	}
	return "no metric asks for a replica"
}

// stabilize brings a recommendation within those of the stabilisation windows: no more than
// the lowest that would let it grow, and no less than the highest that would let it shrink.
func (in Input) stabilize(recent []core.Recommendation, proposed int) int {
	up, down := proposed, proposed
	for _, r := range recent {
		if r.At.After(in.Now.Add(-in.Spec.ScaleUp.Window)) {
			up = min(up, r.Replicas)
		}
		if r.At.After(in.Now.Add(-in.Spec.ScaleDown.Window)) {
			down = max(down, r.Replicas)
		}
	}
	return min(max(in.Current, up), down)
}

// limit bounds a number by the policies and by the least and the most replicas.
func (in Input) limit(changes []core.ScaleChange, stable int) (wanted int, reason, why string) {
	switch {
	case stable > in.Current:
		allowed := max(in.Current, in.limitUp(changes))
		if in.Spec.MaxReplicas > allowed {
			return min(stable, allowed), core.ScaleUpLimit, fmt.Sprintf("behavior.scaleUp allows %d now", allowed)
		}
		return min(stable, in.Spec.MaxReplicas), core.TooManyReplicas, fmt.Sprintf("maxReplicas is %d", in.Spec.MaxReplicas)
	case stable < in.Current:
		allowed := min(in.Current, in.limitDown(changes))
		if in.Spec.MinReplicas < allowed {
			return max(stable, allowed), core.ScaleDownLimit, fmt.Sprintf("behavior.scaleDown allows %d now", allowed)
		}
		return max(stable, in.Spec.MinReplicas), core.TooFewReplicas, fmt.Sprintf("minReplicas is %d", in.Spec.MinReplicas)
	}
	return stable, core.WithinRange, ""
}

// limitUp is how many replicas the policies let there be at most.
func (in Input) limitUp(changes []core.ScaleChange) int {
	return in.choose(in.Spec.ScaleUp, func(p spec.ScalingPolicy, before int) int {
		return before + p.Amount.Count + int(math.Ceil(float64(before*p.Amount.Percent)/100))
	}, changes, slices.Max[[]int])
}

// limitDown is how many replicas the policies let there be at least.
func (in Input) limitDown(changes []core.ScaleChange) int {
	return in.choose(in.Spec.ScaleDown, func(p spec.ScalingPolicy, before int) int {
		return before - p.Amount.Count - int(math.Ceil(float64(before*p.Amount.Percent)/100))
	}, changes, slices.Min[[]int])
}

// choose returns the number of replicas that the policies allow. By selectPolicy either the
// policy with the largest change counts, which far picks, or the one with the smallest. A
// policy counts from the number of replicas at the beginning of its period.
func (in Input) choose(rules spec.ScalingRules, allows func(p spec.ScalingPolicy, before int) int, changes []core.ScaleChange, far func([]int) int) int {
	if rules.SelectPolicy == spec.DisabledChange {
		return in.Current
	}
	var allowed []int
	for _, p := range rules.Policies {
		before := in.Current
		for _, c := range changes {
			if c.At.After(in.Now.Add(-p.Period)) {
				before -= c.By
			}
		}
		n := allows(p, before)
		if rules.SelectPolicy == spec.MinChange {
			n = -n // the nearest is the furthest of the opposites
		}
		allowed = append(allowed, n)
	}
	if rules.SelectPolicy == spec.MinChange {
		return -far(allowed)
	}
	return far(allowed)
}

// longestPeriod is for how long changes are looked back at.
func longestPeriod(rules spec.ScalingRules) (longest time.Duration) {
	for _, p := range rules.Policies {
		longest = max(longest, p.Period)
	}
	return longest
}
