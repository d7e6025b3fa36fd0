package plan

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
)

// An image is checked against the data that it is to take over, where there may be any
// and it may be another one.
func TestADatabaseIsCheckedWhereItsDataComeToAnotherImage(t *testing.T) {
	for _, c := range []struct {
		name          string
		volume, image string // of the revision that comes
		check         bool
	}{
		{"another image on the same volume", "data", "new", true},
		{"the same image", "data", "old", false},
		{"another volume", "other", "new", false},
		{"a bind, or no volume", "", "new", true},
		{"an image that is not known", "data", "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := defaults(spec.Database)
			s.Revision, s.DataVolume, s.Backup = "v2", c.volume, spec.Backup{BeforeUpdate: true}
			in := Input{
				Now: noon, Project: "shop", Workload: "db", Spec: s, ImageID: c.image,
				Rollout:  core.Rollout{Workload: "db", Revision: "v1", Stable: "v1", Complete: true},
				Replicas: []core.Replica{{Workload: "db", Number: 1, Name: "shop-db-1", ID: "a", Revision: "v1", State: core.Running, ImageID: "old", ReadySince: noon.Add(-time.Hour), Mounts: []core.Mount{{Target: "/data", Source: "data"}}}},
			}
			var prepared []core.Action
			for _, a := range Compute(in).Actions {
				if a.Kind == core.PrepareUpdate {
					prepared = append(prepared, a)
				}
			}
			require.Len(t, prepared, 1)
			require.Equal(t, c.check, prepared[0].Check)
			require.True(t, prepared[0].Backup)
			require.Equal(t, "v2", prepared[0].Spec.Revision)
		})
	}
}

// What a container is called, and what it is made from, is decided with it.
func TestACreateSaysWhatIsMade(t *testing.T) {
	s := defaults(spec.Deployment)
	s.Name, s.Revision = "web", "v1"
	p := Compute(Input{Now: noon, Project: "shop", Workload: "web", Spec: s})
	require.NotEmpty(t, p.Actions)
	require.Equal(t, "shop-web-1", p.Actions[0].Object)
	require.Equal(t, s.Revision, p.Actions[0].Spec.Revision)
}

func TestADatabaseIsKeptAsLongAsItsSpecAsksForIt(t *testing.T) {
	running := core.Replica{Workload: "db", Number: 1, Name: "shop-db-1", ID: "a", Revision: "v1", State: core.Running, ReadySince: noon.Add(-time.Hour), Addresses: map[string]string{"shop_backend": "10.0.0.1"}}
	exited := running
	exited.State, exited.ExitCode = core.Exited, 1
	second := func(r core.Replica) core.Replica {
		r.Number, r.Name, r.ID = 2, "shop-db-2", "b"
		return r
	}
	for _, c := range []struct {
		name     string
		change   func(in *Input)
		actions  []core.ActionKind
		outcome  core.Outcome
		obstacle string
	}{
		{"it runs", func(*Input) {}, nil, core.OutcomeConverged, ""},
		{"none is wanted", func(in *Input) { in.Spec.Replicas = 0 }, []core.ActionKind{core.StopReplica}, core.OutcomeMoving, "revision v1: 1 of 0 replicas updated"},
		{"its image is missing, and it is as written", func(in *Input) {
			in.Missing = []core.Resource{{Kind: core.ImageResource, Name: "pg"}}
		}, nil, core.OutcomeConverged, ""},
		{"the next image is missing", func(in *Input) {
			in.Spec.Revision, in.Spec.ConfigHash = "v2", "h2"
			in.Missing = []core.Resource{{Kind: core.ImageResource, Name: "pg"}}
		}, nil, core.OutcomeWaiting, "waiting for image pg"},
		{"two run", func(in *Input) { in.Replicas = append(in.Replicas, second(running)) }, nil, core.OutcomeStalled, "shop-db-1 and shop-db-2 run on the volume"},
		{"two have exited", func(in *Input) { in.Replicas = []core.Replica{exited, second(exited)} }, nil, core.OutcomeStalled, "shop-db-1 is one of several containers"},
		{"the update was refused", func(in *Input) {
			in.Spec.Revision, in.Spec.OnFailure = "v2", spec.Pause
			in.Rollout.Revision, in.Rollout.Complete, in.Rollout.Refused = "v2", false, "Postgres 16 cannot read its data"
		}, nil, core.OutcomeStalled, "Postgres 16 cannot read its data"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := defaults(spec.Database)
			s.Name, s.Revision = "db", "v1"
			in := Input{
				Now: noon, Project: "shop", Workload: "db", Spec: s, Replicas: []core.Replica{running},
				Rollout: core.Rollout{Workload: "db", Revision: "v1", Stable: "v1", Complete: true},
				History: map[string]*spec.Workload{"v1": {Revision: "v1"}},
			}
			c.change(&in)
			p := Compute(in)
			var kinds []core.ActionKind
			for _, a := range p.Actions {
				kinds = append(kinds, a.Kind)
			}
			require.Equal(t, c.actions, kinds)
			require.Equal(t, c.outcome, p.Status.Outcome, p.Status.Obstacle)
			require.Contains(t, p.Status.Obstacle, c.obstacle)
		})
	}
}

// What was prepared or refused says nothing of another revision, nor of another image.
func TestWhatWasPreparedOrRefusedIsOfOneRevisionAndImage(t *testing.T) {
	r := core.Rollout{Revision: "v2", ImageID: "new"}
	for _, c := range []struct {
		revision, image   string
		prepared, refused bool
	}{{"v2", "new", true, true}, {"v2", "newer", false, false}, {"v3", "new", true, false}} {
		a := core.Action{Revision: c.revision, ImageID: c.image}
		require.Equal(t, c.prepared, prepared(r, a).Prepared == c.revision)
		require.Equal(t, c.refused, Refused(r, a, "why").Refused == "why")
	}
}
