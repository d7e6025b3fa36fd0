package observe

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/model"
	"github.com/tendhq/tend/state"
)

// counting is an engine that counts how often networks, volumes and images are asked for.
type counting struct {
	*model.Engine
	networks, volumes, images int
}

func (c *counting) Image(ctx context.Context, ref string) (engine.Image, error) {
	c.images++
	return c.Engine.Image(ctx, ref)
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

func TestAnImageThatANameStandsForAnewIsSeenAtOnceAndNothingIsAskedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &counting{Engine: model.New()}
		defer func() { require.NoError(t, e.Close()) }()
		first := e.AddImage("image", model.Behavior{})
		store := state.New(func([]state.Change) {})
		store.Update(func(tx *state.Tx) { tx.PutResource(core.Resource{Kind: core.ImageResource, Name: "image"}) })
		o := New(e, store, "p", Folders{}, zap.NewNop(), func(context.Context, error) {})
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { o.Run(ctx) })
		defer running.Wait()
		defer cancel()
		standsFor := func() string {
			synctest.Wait()
			image, _ := store.Snapshot().Resource(core.ImageResource, "image")
			return image.ID
		}
		require.Equal(t, first, standsFor())
		asked := e.images
		time.Sleep(relistEvery - time.Second)
		require.Equal(t, first, standsFor())
		require.Equal(t, asked, e.images)
		second := e.AddImage("image", model.Behavior{})
		require.Equal(t, second, standsFor())
	})
}

// Else an engine on which somebody builds without end is asked without end, too, or the
// containers are looked at late.
func TestEventsOfImagesThatDoNotEndCostALookEachSecondAndHoldUpNoContainer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &counting{Engine: model.New()}
		defer func() { require.NoError(t, e.Close()) }()
		store := state.New(func([]state.Change) {})
		store.Update(func(tx *state.Tx) { tx.PutResource(core.Resource{Kind: core.ImageResource, Name: "image"}) })
		o := New(e, store, "p", Folders{}, zap.NewNop(), func(context.Context, error) {})
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { o.Run(ctx) })
		defer running.Wait()
		defer cancel()
		const seconds = 60
		for i := range seconds * 100 {
			e.AddImage("image", model.Behavior{})
			time.Sleep(time.Second / 100)
			if i%100 != 50 {
				continue
			}
			name := fmt.Sprintf("web-%03d", i)
			id, err := e.Create(t.Context(), engine.ContainerSpec{Name: name, Labels: labelsOf(name), Service: types.ServiceConfig{Image: "image", NetworkMode: "none"}})
			require.NoError(t, err)
			require.NoError(t, e.Start(t.Context(), id))
			synctest.Wait()
			_, seen := store.Snapshot().Replica(id)
			require.True(t, seen)
		}
		last := e.AddImage("image", model.Behavior{})
		time.Sleep(2 * time.Second)
		synctest.Wait()
		require.LessOrEqual(t, e.images, 1+maxResourceLooks+seconds+2)
		image, _ := store.Snapshot().Resource(core.ImageResource, "image")
		require.Equal(t, last, image.ID)
	})
}
