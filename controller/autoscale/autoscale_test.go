package autoscale

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
)

// lived is a history of decisions under a load that comes and goes.
type lived struct {
	at       time.Time
	proposed int
	core.Scale
}

// live decides for an hour, under loads that t draws.
func live(t *rapid.T, a *spec.Autoscaling) (all []lived) {
	scale, current := core.Scale{}, rapid.IntRange(1, 30).Draw(t, "begins with")
	load := 0.0
	for at := now; at.Before(now.Add(time.Hour)); at = at.Add(Interval) {
		if rapid.IntRange(0, 5).Draw(t, "changes") == 0 {
			load = rapid.Float64Range(0, 40).Draw(t, "load")
		}
		in := Input{Now: at, Spec: a, Current: current, Before: scale, Readings: map[int]Reading{0: {Value: load}}}
		if rapid.IntRange(0, 20).Draw(t, "fails") == 0 {
			in.Readings[0] = Reading{Error: "away"}
		}
		for range current {
			in.Replicas = append(in.Replicas, Replica{Ready: true})
		}
		scale = Decide(in)
		proposed := 0
		for _, m := range scale.Metrics {
			proposed = m.Replicas
		}
		all = append(all, lived{at, proposed, scale})
		current = scale.Replicas
	}
	return all
}

func drawn(t *rapid.T) *spec.Autoscaling {
	rules := func(name string) spec.ScalingRules {
		r := spec.ScalingRules{
			Window:       time.Duration(rapid.IntRange(0, 600).Draw(t, name+" window")) * time.Second,
			SelectPolicy: rapid.SampledFrom([]spec.PolicySelect{spec.MaxChange, spec.MinChange, spec.DisabledChange}).Draw(t, name+" select"),
			Tolerance:    0.1,
		}
		for range rapid.IntRange(1, 2).Draw(t, name+" policies") {
			p := spec.ScalingPolicy{Amount: spec.Amount{Count: rapid.IntRange(1, 5).Draw(t, "count")}, Period: time.Duration(rapid.IntRange(15, 120).Draw(t, "period")) * time.Second}
			if rapid.Bool().Draw(t, "percent") {
				p.Amount = spec.Amount{Percent: rapid.IntRange(1, 200).Draw(t, "percentage")}
			}
			r.Policies = append(r.Policies, p)
		}
		return r
	}
	least := rapid.IntRange(1, 10).Draw(t, "least")
	return &spec.Autoscaling{
		MinReplicas: least, MaxReplicas: least + rapid.IntRange(0, 20).Draw(t, "more"),
		Metrics: []spec.Metric{{Type: spec.Prometheus, AverageValue: 1}},
		ScaleUp: rules("up"), ScaleDown: rules("down"),
	}
}

func TestTheNumberStaysWithinItsBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := drawn(t)
		for _, d := range live(t, a) {
			assert.GreaterOrEqual(t, d.Replicas, a.MinReplicas)
			assert.LessOrEqual(t, d.Replicas, a.MaxReplicas)
			assert.NotEmpty(t, d.Message)
		}
	})
}

// Within a window no number is left that was asked for in it, and none is taken that was
// not asked for throughout.
func TestTheNumberDoesNotFlapWithinTheWindows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := drawn(t)
		all := live(t, a)
		for i := 1; i < len(all); i++ {
			before, now := all[i-1], all[i]
			for _, d := range all[:i+1] {
				if now.Replicas < before.Replicas && d.at.After(now.at.Add(-a.ScaleDown.Window)) && d.Reason != core.MetricsMissing {
					assert.GreaterOrEqual(t, now.Replicas, min(d.proposed, before.Replicas), "it shrinks below what was asked for at %s", d.at)
				}
				if now.Replicas > before.Replicas && d.at.After(now.at.Add(-a.ScaleUp.Window)) && d.Reason != core.MetricsMissing && len(d.Metrics) > 0 {
					assert.LessOrEqual(t, now.Replicas, max(d.proposed, before.Replicas, a.MinReplicas), "it grows beyond what was asked for at %s", d.at)
				}
			}
		}
	})
}

func TestNothingShrinksWhileAMetricIsMissing(t *testing.T) {
	in := Input{
		Now: now, Current: 4, Replicas: []Replica{{Ready: true}, {Ready: true}, {Ready: true}, {Ready: true}},
		Spec: &spec.Autoscaling{
			MinReplicas: 1, MaxReplicas: 10, ScaleUp: spec.DefaultScaleUp, ScaleDown: spec.ScalingRules{SelectPolicy: spec.MaxChange, Policies: spec.DefaultScaleDown.Policies},
			Metrics: []spec.Metric{{Type: spec.Prometheus, Query: "a", AverageValue: 1}, {Type: spec.Prometheus, Query: "b", AverageValue: 1}},
		},
		Readings: map[int]Reading{0: {Value: 1}, 1: {Error: "the server is away"}},
	}
	kept := Decide(in)
	assert.Equal(t, 4, kept.Replicas)
	assert.Equal(t, core.MetricsMissing, kept.Reason)
	assert.Equal(t, `"b" cannot be read: the server is away`, kept.Message)
	in.Readings[0] = Reading{Value: 8}
	assert.Equal(t, 8, Decide(in).Replicas, "what can be read has it grow")
	in.Readings[0], in.Readings[1] = Reading{Value: 1}, Reading{Value: 2}
	assert.Equal(t, 2, Decide(in).Replicas)
}
