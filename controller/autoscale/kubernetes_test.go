package autoscale

import (
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
)

// table are the cases of Kubernetes' own tests, which testdata names.
type table struct {
	Replicas []struct {
		Name          string
		Current, Want int
		Error         bool
		Tolerance     *[2]float64 // down, up
		Metric        struct {
			Type                string
			Utilization         int
			Value, AverageValue float64
		}
		Percent *int
		Value   float64
		Pods    []struct {
			Unready, Leaves, Coming bool
			Started                 *int // seconds ago
			Request                 int64
			Use                     *int64
		}
	}
	Limits []struct {
		Name                       string
		Min, Max, Current, Desired int
		Want                       int
		Reason                     string
		Changes                    []struct{ Ago, By int }
		ScaleUp, ScaleDown         *[5]int // pods, their period, percent, their period, window
	}
	Windows []struct {
		Name                    string
		Current, Proposed, Want int
		Up, Down                int
		Recommendations         []struct{ Ago, Replicas int }
	}
}

var now = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func ago(seconds int) time.Time { return now.Add(-time.Duration(seconds) * time.Second) }

func kubernetesTable(t *testing.T) (all table) {
	t.Helper()
	content, err := os.ReadFile("testdata/kubernetes.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(content, &all))
	require.NotEmpty(t, all.Replicas)
	return all
}

func TestMetricsAskForAsManyReplicasAsInKubernetes(t *testing.T) {
	for _, c := range kubernetesTable(t).Replicas {
		t.Run(c.Name, func(t *testing.T) {
			m := spec.Metric{Type: spec.Prometheus, Utilization: c.Metric.Utilization, Value: c.Metric.Value, AverageValue: c.Metric.AverageValue}
			if c.Metric.Type != "value" {
				m.Type = spec.MetricType(c.Metric.Type)
			}
			in := Input{
				Now: now, Current: c.Current, Readings: map[int]Reading{0: {Value: c.Value}},
				Spec:    &spec.Autoscaling{Metrics: []spec.Metric{m}, ScaleUp: spec.ScalingRules{Tolerance: 0.1}, ScaleDown: spec.ScalingRules{Tolerance: 0.1}},
				periods: periods{initialization: 2 * time.Minute, initialReadiness: 10 * time.Second},
			}
			if c.Tolerance != nil {
				in.Spec.ScaleDown.Tolerance, in.Spec.ScaleUp.Tolerance = c.Tolerance[0], c.Tolerance[1]
			}
			for _, p := range c.Pods {
				r := Replica{Coming: p.Coming, Ready: !p.Unready, CPURequest: p.Request, MemoryRequest: p.Request}
				if p.Started != nil {
					r.StartedAt = ago(*p.Started)
				}
				if p.Use != nil {
					r.Use = &Use{Window: time.Minute, CPU: *p.Use, Memory: *p.Use}
				}
				if !p.Leaves {
					in.Replicas = append(in.Replicas, r)
				}
			}
			asked := in.ask(0, m)
			if c.Error {
				assert.NotEmpty(t, asked.Error)
				return
			}
			require.Empty(t, asked.Error)
			assert.Equal(t, c.Want, asked.Replicas)
			if c.Percent != nil {
				assert.Equal(t, number(float64(*c.Percent))+"%", asked.Current)
			}
		})
	}
}

func TestPoliciesLimitAsInKubernetes(t *testing.T) {
	rules := func(r [5]int) (rules spec.ScalingRules) {
		if r[0] != 0 {
			rules.Policies = append(rules.Policies, spec.ScalingPolicy{Amount: spec.Amount{Count: r[0]}, Period: time.Duration(r[1]) * time.Second})
		}
		if r[2] != 0 {
			rules.Policies = append(rules.Policies, spec.ScalingPolicy{Amount: spec.Amount{Percent: r[2]}, Period: time.Duration(r[3]) * time.Second})
		}
		return rules
	}
	for _, c := range kubernetesTable(t).Limits {
		t.Run(c.Name, func(t *testing.T) {
			a := &spec.Autoscaling{MinReplicas: c.Min, MaxReplicas: c.Max, ScaleUp: spec.DefaultScaleUp, ScaleDown: spec.DefaultScaleDown}
			if c.ScaleUp != nil {
				a.ScaleUp = rules(*c.ScaleUp)
			}
			if c.ScaleDown != nil {
				a.ScaleDown = rules(*c.ScaleDown)
			}
			var changes []core.ScaleChange
			for _, e := range c.Changes {
				changes = append(changes, core.ScaleChange{At: ago(e.Ago), By: e.By})
			}
			wanted, reason, _ := Input{Now: now, Spec: a, Current: c.Current}.limit(changes, c.Desired)
			assert.Equal(t, c.Want, wanted)
			if wanted == c.Desired {
				reason = core.WithinRange
			}
			assert.Equal(t, c.Reason, reason)
		})
	}
}

func TestWindowsStabilizeAsInKubernetes(t *testing.T) {
	for _, c := range kubernetesTable(t).Windows {
		t.Run(c.Name, func(t *testing.T) {
			a := &spec.Autoscaling{ScaleUp: spec.ScalingRules{Window: time.Duration(c.Up) * time.Second}, ScaleDown: spec.ScalingRules{Window: time.Duration(c.Down) * time.Second}}
			var recent []core.Recommendation
			for _, r := range c.Recommendations {
				recent = append(recent, core.Recommendation{At: ago(r.Ago), Replicas: r.Replicas})
			}
			assert.Equal(t, c.Want, Input{Now: now, Spec: a, Current: c.Current}.stabilize(recent, c.Proposed))
		})
	}
}
