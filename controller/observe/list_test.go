package observe

import (
	"context"
	"io"
	"testing"
	"testing/synctest"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/model"
	"github.com/tendhq/tend/state"
)

// forgetful is an engine whose lists are empty.
type forgetful struct{ *model.Engine }

func (f forgetful) Containers(ctx context.Context, project string) ([]engine.Container, error) {
	_, err := f.Engine.Containers(ctx, project)
	return nil, err
}

// Else the next plan would make again what exists: for a database that is a second
// server on its volume, where somebody has given the first one another name.
func TestWhatAListLeavesOutIsGoneOnlyWhenItIsNotFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := model.New()
		defer func() { require.NoError(t, e.Close()) }()
		e.AddImage("image", model.Behavior{})
		id, err := e.Create(t.Context(), engine.ContainerSpec{Name: "web-001", Labels: labelsOf("web-001"), Service: types.ServiceConfig{Image: "image", NetworkMode: "none"}})
		require.NoError(t, err)
		store := state.New(func([]state.Change) {})
		look := func(e engine.Engine) {
			o := New(e, store, "p", Folders{}, zap.NewNop(), func(context.Context, error) {})
			require.NoError(t, o.Relist(t.Context()))
		}
		look(e)
		require.Len(t, store.Snapshot().Replicas("web"), 1)
		look(forgetful{e})
		require.Len(t, store.Snapshot().Replicas("web"), 1)
		e.RemoveBehind(id)
		look(forgetful{e})
		require.Empty(t, store.Snapshot().Replicas("web"))
	})
}

// talkative is an engine that takes its time to tell what a container has printed.
type talkative struct {
	*model.Engine
	asked, tell chan struct{}
}

func (t talkative) Logs(ctx context.Context, id string, o engine.LogOptions, stdout, stderr io.Writer) error {
	close(t.asked)
	<-t.tell
	return t.Engine.Logs(ctx, id, o, stdout, stderr)
}

// A container that was seen before it was removed must not come back with that look,
// however many lists have been without it meanwhile.
func TestALookFromBeforeARemovalTellsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := talkative{Engine: model.New(), asked: make(chan struct{}), tell: make(chan struct{})}
		defer func() { require.NoError(t, e.Close()) }()
		e.AddImage("image", model.Behavior{Exits: true, Code: 1})
		id, err := e.Create(t.Context(), engine.ContainerSpec{Name: "web-001", Labels: labelsOf("web-001"), Service: types.ServiceConfig{Image: "image", NetworkMode: "none"}})
		require.NoError(t, err)
		require.NoError(t, e.Start(t.Context(), id))
		synctest.Wait()
		store := state.New(func([]state.Change) {})
		o := New(e, store, "p", Folders{}, zap.NewNop(), func(context.Context, error) {})
		earlier := make(chan error)
		go func() { earlier <- o.Refresh(t.Context(), id) }()
		<-e.asked
		e.RemoveBehind(id)
		require.NoError(t, o.Refresh(t.Context(), id))
		require.NoError(t, o.Relist(t.Context()))
		close(e.tell)
		require.NoError(t, <-earlier)
		require.Empty(t, store.Snapshot().Replicas("web"))
	})
}
