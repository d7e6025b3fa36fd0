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

// The next container joins the first one of what runs and stays, and one of the revision
// that is written joins none that would go.
func TestWhatTheNextContainerJoins(t *testing.T) {
	of := func(id string, number int, change func(*Joined)) Joined {
		j := vpn(id, core.Running, time.Time{})
		j.Number = number
		change(&j)
		return j
	}
	as := func(*Joined) {}
	old := func(j *Joined) { j.Current = false }
	other := func(j *Joined) { j.Workload = "proxy" }
	exited := func(j *Joined) { j.State = core.Exited }
	leaving := func(j *Joined) { j.Draining = true }
	for _, c := range []struct {
		name   string
		joined []Joined
		next   string // of the revision that is written
		former string // of another one
	}{
		{"the first", []Joined{of("b", 2, as), of("a", 1, as), of("c", 3, as)}, "a", "a"},
		{"of two of one number the one that is found", []Joined{of("a", 1, as), of("b", 1, as)}, "a", "a"},
		{"another service", []Joined{of("a", 1, other), of("b", 2, as)}, "b", "b"},
		{"one that has ended", []Joined{of("a", 1, exited), of("b", 2, as)}, "b", "b"},
		{"one that leaves", []Joined{of("a", 1, leaving), of("b", 2, as)}, "b", "b"},
		{"one of another revision", []Joined{of("a", 1, old), of("b", 2, as)}, "b", "a"},
		{"none", nil, "", ""},
	} {
		in := Input{Spec: &spec.Workload{Revision: "v2"}, Joined: c.joined}
		for revision, want := range map[string]string{"v2": c.next, "v1": c.former} {
			got := ""
			if j := in.toJoin("vpn", &spec.Workload{Revision: revision}); j != nil {
				got = j.ID
			}
			require.Equal(t, want, got, "%s, at %s", c.name, revision)
		}
	}
}

// An exited container waits for the one whose namespace it shares.
func TestWhatAnExitedContainerWaitsFor(t *testing.T) {
	leaving := vpn("v1", core.Running, time.Time{})
	leaving.InFlight = core.RemoveReplica
	for _, c := range []struct {
		kind   core.JoinKind
		joined Joined
		waits  bool
	}{
		{core.JoinNetwork, vpn("v1", core.Running, time.Time{}), false},
		{core.JoinNetwork, vpn("v1", core.Exited, time.Time{}), true},
		{core.JoinNetwork, leaving, true},
		{core.JoinNetwork, vpn("v2", core.Exited, time.Time{}), false},
		{core.JoinVolumes, vpn("v1", core.Exited, time.Time{}), false},
		{core.JoinVolumes, leaving, false},
	} {
		in := Input{Joined: []Joined{c.joined}}
		awaited := in.awaitsJoined(core.Replica{Name: "web-1", Joins: []core.Join{{Kind: c.kind, ID: "v1"}}})
		require.Equal(t, c.waits, awaited == "waiting for shop-vpn-1 to run, which web-1 has joined", "%+v", c)
		require.Equal(t, c.waits, awaited != "")
	}
}

// Those that have joined a container go before it, but for what has ended or only comes.
func TestWhoFollowsWhatTheyHaveJoined(t *testing.T) {
	leaving := vpn("v1", core.Running, time.Time{})
	leaving.Draining = true
	joins := []core.Join{{Kind: core.JoinNetwork, ID: "v1"}}
	for _, kind := range []spec.Kind{spec.Deployment, spec.Job} {
		for _, c := range []struct {
			name    string
			replica core.Replica
			follows bool
		}{
			{"it runs", core.Replica{State: core.Running}, true},
			{"it has crashed", core.Replica{State: core.Exited, ExitCode: 1}, true},
			{"it is being made", core.Replica{State: core.Created, Created: noon, InFlight: core.CreateReplica}, false},
			{"it is done", core.Replica{State: core.Exited}, false},
			{"it is being removed", core.Replica{State: core.Removing}, false},
		} {
			r := c.replica
			r.Workload, r.ID, r.Name, r.Number, r.Revision, r.Joins = "web", "a", "web-1", 1, "v1", joins
			s := defaults(kind)
			s.Networks, s.Restart.Condition = nil, spec.RestartOnFailure
			p := Compute(Input{Now: noon, Workload: "web", Spec: s, Replicas: []core.Replica{r}, Joined: []Joined{leaving}})
			gone := false
			for _, a := range p.Actions {
				gone = gone || a.ID == "a" && a.Cause == "shop-vpn-1 goes, which web-1 has joined"
			}
			require.Equal(t, c.follows, gone, "%s: %s: %v", kind, c.name, p.Actions)
		}
	}
}

func TestWhoHasJoinedIsToldInOrder(t *testing.T) {
	joined := []core.Join{{Kind: core.JoinPID, ID: "a"}}
	in := Input{Joiners: []core.Replica{
		{Name: "tail-2", State: core.Running, Joins: joined}, {Name: "tail-1", State: core.Paused, Joins: joined},
		{Name: "tail-3", State: core.Exited, Joins: joined}, {Name: "tail-4", State: core.Running},
	}}
	require.Equal(t, []string{"tail-1", "tail-2"}, in.joinersOf(replica{Replica: core.Replica{ID: "a"}}))
}
