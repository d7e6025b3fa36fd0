package plan

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
)

// A replica is missed the more the more it does.
func TestReplicasAreOrderedByHowMuchTheyWouldBeMissed(t *testing.T) {
	of := func(c class) replica { return replica{class: c} }
	available := of(ready)
	available.available = true
	restarting := of(starting)
	restarting.State = core.Restarting
	for i, group := range [][]replica{
		{of(exited), of(leftover)}, {of(unhealthy), restarting}, {of(unready)}, {of(coming)}, {of(starting)}, {of(ready)}, {available},
	} {
		for _, r := range group {
			assert.Equal(t, i, useful(r), "%s %s", r.class, r.State)
		}
	}
}

// An endpoint is withdrawn before its replica is stopped, where somebody may send there.
func TestAReplicaIsDrainedWhereSomebodySendsThere(t *testing.T) {
	s := defaults(spec.Deployment)
	s.Replicas, s.Drain, s.Ports, s.Networks = 0, time.Second, []int{80}, nil
	r := core.Replica{Workload: "web", Number: 1, Name: "web-1", ID: "a", Revision: "v1", State: core.Running, StartedAt: noon, ReadySince: noon}
	plan := func(change func(*Input)) (drains bool, stops bool) {
		made := *s
		in := Input{Now: noon, Workload: "web", Spec: &made, Replicas: []core.Replica{r}, Subscribers: 1, Rollout: core.Rollout{Workload: "web", Revision: "v1", Stable: "v1", Complete: true}}
		change(&in)
		p := Compute(in)
		_, drains = p.Rollout.Drains["a"]
		return drains, len(p.Actions) > 0
	}
	for _, c := range []struct {
		name   string
		change func(*Input)
		drains bool
	}{
		{"one who follows the endpoints", func(*Input) {}, true},
		{"nobody", func(in *Input) { in.Subscribers = 0 }, false},
		{"no time for it", func(in *Input) { in.Spec.Drain = 0 }, false},
		{"a nanosecond for it", func(in *Input) { in.Spec.Drain = 1 }, true},
		{"no ports", func(in *Input) { in.Spec.Ports = nil }, false},
		{"no ports any more, and it is published", func(in *Input) {
			in.Spec.Ports, in.Published = nil, map[string]bool{"a": true}
		}, true},
		{"it has exited", func(in *Input) { in.Replicas[0].State = core.Exited }, false},
		{"it is about to be stopped", func(in *Input) { in.Replicas[0].InFlight = core.StopReplica }, false},
	} {
		drains, stops := plan(c.change)
		assert.Equal(t, c.drains, drains, c.name)
		if c.drains {
			assert.False(t, stops, c.name)
		}
	}
	_, stops := plan(func(in *Input) { in.Subscribers = 0 })
	assert.True(t, stops)
}
