package plan

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
)

// A start that the engine refuses, as what it was to join has ended meanwhile, says nothing
// about the replica; one that fails beside a container that runs on does.
func TestAStartIsNotCountedWhereWhatItJoinsHasEnded(t *testing.T) {
	tried := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	replica := core.Replica{ID: "web1", Number: 1, Joins: []core.Join{{Kind: core.JoinPID, ID: "v1"}}}
	sharer := core.Replica{ID: "web1", Number: 1, Joins: []core.Join{{Kind: core.JoinVolumes, ID: "v1"}}}
	start := core.Action{Kind: core.StartReplica, Number: 1, ID: "web1"}
	create := core.Action{Kind: core.CreateReplica, Number: 1, Joins: map[string]string{"vpn": "v1"}}
	ran := vpn("v1", core.Running, tried.Add(-time.Hour))
	for _, c := range []struct {
		name    string
		action  core.Action
		replica core.Replica
		joined  []Joined
		counted bool
	}{
		{"it runs on", start, replica, []Joined{ran}, true},
		{"it has ended", start, replica, []Joined{vpn("v1", core.Exited, tried.Add(-time.Hour))}, false},
		{"it was started again", start, replica, []Joined{vpn("v1", core.Running, tried.Add(time.Second))}, false},
		{"it is gone", start, replica, nil, true},
		{"a create, and it is gone", create, core.Replica{}, nil, false},
		{"only its volumes are shared", start, sharer, nil, true},
		{"a create, and it runs on", create, core.Replica{}, []Joined{ran}, true},
		{"a create, and it has ended", create, core.Replica{}, []Joined{vpn("v1", core.Exited, tried)}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := Input{Joined: c.joined, Replicas: []core.Replica{c.replica}}
			in.Rollout.Attempts = map[int]core.Attempt{1: {Count: 2, At: tried}}
			after := ActionFailed(in, c.action, "it is not running").Attempts[1]
			require.Equal(t, c.counted, after.Count == 2 && after.Unstarted == 1, "%+v", after)
		})
	}
}

// What a container has of another whose volumes it shares is that one's: it neither has its
// replicas follow one another, nor goes to the next container of its number.
func TestAnothersVolumesAreNotAReplicasOwn(t *testing.T) {
	theirs := core.Mount{Target: "/cache", Source: "c1", Anonymous: true}
	own := core.Mount{Target: "/var", Source: "c2", Anonymous: true}
	joins := []core.Join{{Kind: core.JoinNetwork, ID: "v1"}, {Kind: core.JoinVolumes, ID: "v1"}}
	joined := vpn("v1", core.Running, time.Time{})
	joined.Mounts = []core.Mount{theirs}
	for _, c := range []struct {
		name   string
		joins  []core.Join
		joined []Joined
		own    map[int]map[string]string
	}{
		{"its volumes are shared", joins, []Joined{joined}, map[int]map[string]string{1: {"/var": "c2"}}},
		{"it is gone", joins, nil, nil},
		{"only its network is shared", joins[:1], []Joined{joined}, map[int]map[string]string{1: {"/cache": "c1", "/var": "c2"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := Input{Joined: c.joined, Replicas: []core.Replica{{ID: "web1", Number: 1, State: core.Running, Joins: c.joins, Mounts: []core.Mount{theirs, own}}}}
			require.Equal(t, c.own, classify(in).known.Anonymous)
		})
	}
}

// A ready replica is not stopped for being too many while others go with the container that
// they have joined.
func TestAReplicaIsKeptWhereOthersFollowWhatTheyHaveJoined(t *testing.T) {
	in := Input{
		Workload: "web", Spec: &spec.Workload{Name: "web", Kind: spec.Deployment, Revision: "v1", Replicas: 1, Strategy: spec.Strategy{Type: spec.RollingUpdate}},
		Joined: []Joined{vpn("v1", core.Running, time.Time{}), vpn("v2", core.Running, time.Time{})},
	}
	in.Joined[0].Draining = true
	for n, id := range []string{"v1", "v2"} {
		in.Replicas = append(in.Replicas, core.Replica{ID: id + "-web", Name: id + "-web", Number: n + 1, Revision: "v1", State: core.Running, Joins: []core.Join{{Kind: core.JoinNetwork, ID: id}}})
	}
	p := Compute(in)
	require.Len(t, p.Actions, 1)
	require.Equal(t, "v1-web", p.Actions[0].ID)
}
