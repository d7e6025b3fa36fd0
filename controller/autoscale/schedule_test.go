package autoscale

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
)

// working are five replicas on working days, by the clock of Berlin.
var working = spec.Metric{Type: spec.Cron, Schedule: spec.Schedule{
	Start: "0 8 * * 1-5", End: "30 18 * * 1-5", TimeZone: "Europe/Berlin", Replicas: 5,
}}

func decided(t *testing.T, at string, current int, load float64) core.Scale {
	t.Helper()
	when, err := time.Parse(time.RFC3339, at)
	require.NoError(t, err)
	in := Input{
		Now: when, Current: current, Readings: map[int]Reading{1: {Value: load}},
		Spec: &spec.Autoscaling{
			MinReplicas: 2, MaxReplicas: 10, Metrics: []spec.Metric{working, {Type: spec.Prometheus, Query: "load", AverageValue: 1}},
			ScaleUp: spec.DefaultScaleUp, ScaleDown: spec.ScalingRules{SelectPolicy: spec.MaxChange, Policies: spec.DefaultScaleDown.Policies},
		},
	}
	for range current {
		in.Replicas = append(in.Replicas, Replica{Ready: true})
	}
	return Decide(in)
}

func TestAScheduleIsOnFromItsStartToItsEnd(t *testing.T) {
	for at, want := range map[string]int{
		"2026-11-27T07:59:59+01:00": 2, // Friday
		"2026-11-27T08:00:00+01:00": 5,
		"2026-11-27T07:00:00Z":      5, // the same
		"2026-11-27T18:29:59+01:00": 5,
		"2026-11-27T18:30:00+01:00": 2,
		"2026-11-28T12:00:00+01:00": 2, // Saturday
		"2026-11-30T08:00:00+01:00": 5, // Monday
		"2026-07-01T06:00:00Z":      5, // in summer
		"2026-07-01T05:59:00Z":      2,
		"2026-03-30T06:00:00Z":      5, // the first working day of summer time
	} {
		assert.Equal(t, want, decided(t, at, 3, 0).Replicas, at)
	}
}

func TestAScheduleMayGoOverMidnightAndTheEndOfAWeek(t *testing.T) {
	s := spec.Schedule{Start: "0 22 * * 5", End: "0 6 * * 1", TimeZone: "America/New_York", Replicas: 1}
	for at, want := range map[string]bool{
		"2026-11-27T21:59:00-05:00": false,
		"2026-11-27T22:00:00-05:00": true,
		"2026-11-29T12:00:00-05:00": true,
		"2026-11-30T05:59:00-05:00": true,
		"2026-11-30T06:00:00-05:00": false,
	} {
		when, err := time.Parse(time.RFC3339, at)
		require.NoError(t, err)
		on, until, err := s.At(when)
		require.NoError(t, err)
		assert.Equal(t, want, on, at)
		assert.True(t, until.After(when), at)
	}
}

func TestAMetricMayAskForMoreThanTheSchedule(t *testing.T) {
	assert.Equal(t, 8, decided(t, "2026-11-27T12:00:00+01:00", 5, 8).Replicas)
	assert.Equal(t, 4, decided(t, "2026-11-28T12:00:00+01:00", 5, 4).Replicas)
}

func TestADecisionBySchedulesSaysUntilWhen(t *testing.T) {
	assert.Equal(t, `the schedule "0 8 * * 1-5" to "30 18 * * 1-5" (Europe/Berlin) is on until Fri 2026-11-27 18:30, and the target is 5 replicas while it is on, which asks for 5`,
		decided(t, "2026-11-27T12:00:00+01:00", 5, 0).Message)
	assert.Equal(t, `the schedule "0 8 * * 1-5" to "30 18 * * 1-5" (Europe/Berlin) is off until Mon 2026-11-30 08:00, and the target is 5 replicas while it is on, which asks for 2`,
		decided(t, "2026-11-28T12:00:00+01:00", 2, 0).Message)
}
