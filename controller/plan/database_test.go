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
