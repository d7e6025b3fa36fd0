package observe

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/model"
	"github.com/tendhq/tend/state"
)

// counting is an engine that counts how often networks and volumes are asked for.
type counting struct {
	*model.Engine
	networks, volumes int
}

func (c *counting) Networks(ctx context.Context, project string, names ...string) ([]engine.Network, error) {
	c.networks++
	return c.Engine.Networks(ctx, project, names...)
}

func (c *counting) Volumes(ctx context.Context, project string, names ...string) ([]engine.Volume, error) {
	c.volumes++
	return c.Engine.Volumes(ctx, project, names...)
}

// The engine lists the volumes and networks of all projects, however many those are.
func TestOnlyWhatIsNeededIsAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &counting{Engine: model.New()}
		defer func() { require.NoError(t, e.Close()) }()
		store := state.New(func([]state.Change) {})
		o := New(e, store, "p", Folders{}, zap.NewNop(), func(context.Context, error) {})
		need := func(kind core.ResourceKind) {
			store.Update(func(tx *state.Tx) { tx.PutResource(core.Resource{Kind: kind, Name: "x"}) })
			require.NoError(t, o.Relist(t.Context()))
		}
		need(core.ImageResource)
		require.Zero(t, e.networks+e.volumes)
		need(core.NetworkResource)
		require.Equal(t, []int{1, 0}, []int{e.networks, e.volumes})
		need(core.VolumeResource)
		require.Equal(t, []int{2, 1}, []int{e.networks, e.volumes})
	})
}
