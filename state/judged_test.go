package state

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/plan"
	"github.com/tendhq/tend/controller/spec"
)

func TestAReplicaIsReadyByTheProbesOfItsRevision(t *testing.T) {
	begun := time.Unix(1_000_000, 0)
	probed := &spec.Workload{Name: "web", Revision: "probed", Networks: []string{"front"}, Probes: spec.Probes{Readiness: &spec.Probe{}}}
	plain := &spec.Workload{Name: "web", Revision: "plain", Networks: []string{"front"}}
	passed := Probe{ID: "a", Workload: "web", Probe: core.Probe{StartedAt: begun, Started: true, Ready: true, Live: true, WasReady: true}}
	failed := passed
	failed.Ready = false
	earlier := passed
	earlier.StartedAt = begun.Add(-time.Minute)
	joined := map[string]string{"front": "172.20.0.2"}
	for _, c := range []struct {
		name    string
		written *spec.Workload
		replica core.Replica
		probe   *Probe
		ready   bool
	}{
		{"no probes, and a health check that passes", plain, core.Replica{Revision: "plain", Health: core.Healthy, Addresses: joined}, nil, true},
		{"no probes, and a health check that fails", plain, core.Replica{Revision: "plain", Health: core.Unhealthy, Addresses: joined}, nil, false},
		{"a probe that passes, and a health check that fails", probed, core.Replica{Revision: "probed", Health: core.Unhealthy, Addresses: joined}, &passed, true},
		{"a probe that fails, and a health check that passes", probed, core.Replica{Revision: "probed", Health: core.Healthy, Addresses: joined}, &failed, false},
		{"a probe that nobody has asked", probed, core.Replica{Revision: "probed", Health: core.Healthy, Addresses: joined}, nil, false},
		{"a probe that passed in an earlier run", probed, core.Replica{Revision: "probed", Health: core.Healthy, Addresses: joined}, &earlier, false},
		{"an earlier revision without probes", probed, core.Replica{Revision: "plain", Health: core.Healthy, Addresses: joined}, nil, true},
		{"a service that is not written any more, by what its probes said last", nil, core.Replica{Revision: "probed", Health: core.Healthy}, &failed, false},
		{"a revision of which nothing is remembered, and a health check that fails", plain, core.Replica{Revision: "probed", Health: core.Unhealthy, Addresses: joined}, &passed, false},
		{"a network that it has left", plain, core.Replica{Revision: "plain"}, nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			store := New(func([]Change) {})
			store.Update(func(tx *Tx) {
				tx.PutRevision(&Revision{Workload: "web", Revision: "plain", Spec: plain})
				if c.written != nil {
					tx.PutWorkload(&Workload{Name: "web", Spec: c.written})
				}
				if c.probe != nil {
					tx.PutProbe(c.probe)
				}
			})
			c.replica.Workload, c.replica.ID, c.replica.State, c.replica.StartedAt = "web", "a", core.Running, begun
			snap := store.Snapshot()
			require.Equal(t, c.ready, plan.IsReady(snap.Probed(c.replica), snap.Made("web", c.replica.Revision)))
		})
	}
}

// Adding a probe for a container that docker compose made does not withdraw it before the probe
// is answered.
func TestAReplicaThatServesIsReadyUntilItsProbesAreAnswered(t *testing.T) {
	store := New(func([]Change) {})
	store.Update(func(tx *Tx) {
		tx.PutWorkload(&Workload{Name: "web", Spec: &spec.Workload{Name: "web", Revision: "v1", Probes: spec.Probes{Readiness: &spec.Probe{}}}})
		tx.PutEndpoints("web", []core.Endpoint{{Workload: "web", ID: "a"}})
	})
	r := core.Replica{Workload: "web", ID: "a", State: core.Running, Health: core.Healthy, StartedAt: time.Unix(1_000_000, 0)}
	ready := func() bool { return plan.IsReady(store.Snapshot().Probed(r), nil) }
	require.True(t, ready())
	answer := core.Probe{StartedAt: r.StartedAt, Started: true, Live: true}
	store.Update(func(tx *Tx) { tx.PutProbe(&Probe{ID: "a", Workload: "web", Probe: answer}) })
	require.False(t, ready(), "it was asked")
	r.StartedAt = r.StartedAt.Add(time.Minute)
	require.False(t, ready(), "another run is asked first")
}
