package enginetest

import (
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/engine"
)

var resourceCases = []testCase{
	{"a local image has an ID", func(f *fixture) {
		image, err := f.Engine.Image(f.Context(), f.Image(Runs))
		require.NoError(f, err)
		require.Equal(f, f.Image(Runs), image.Ref)
		require.Regexp(f, `^sha256:[0-9a-f]{64}$`, image.ID)
	}},
	{"an absent image is NotFound", func(f *fixture) {
		_, err := f.Engine.Image(f.Context(), "tend-enginetest/absent:1")
		f.fails(engine.NotFound, err)
	}},
	{"volumes are listed by project and by name", func(f *fixture) {
		f.volume("v")
		other := engine.VolumeSpec{Name: f.named("other")}
		require.NoError(f, f.Engine.CreateVolume(f.Context(), other))
		defer func() { require.NoError(f, f.Engine.RemoveVolume(f.Context(), other.Name)) }()

		volumes, err := f.Engine.Volumes(f.Context(), f.Project)
		require.NoError(f, err)
		require.Equal(f, []engine.Volume{{Name: f.named("v"), Driver: "local", Labels: f.labels()}}, volumes)

		volumes, err = f.Engine.Volumes(f.Context(), f.Project, other.Name, f.named("othe"), f.named("none"))
		require.NoError(f, err)
		require.Len(f, volumes, 2)
	}},
	{"a volume that is there is left as it is", func(f *fixture) {
		f.volume("v")
		require.NoError(f, f.Engine.CreateVolume(f.Context(), engine.VolumeSpec{Name: f.named("v")}))
		volumes, err := f.Engine.Volumes(f.Context(), f.Project)
		require.NoError(f, err)
		require.Len(f, volumes, 1)
	}},
	{"removing a volume in use is a Conflict", func(f *fixture) {
		f.volume("v")
		id := f.create("1", f.mounting("v"))
		f.fails(engine.Conflict, f.Engine.RemoveVolume(f.Context(), f.named("v")))
		require.NoError(f, f.Engine.Remove(f.Context(), id))
		require.NoError(f, f.Engine.RemoveVolume(f.Context(), f.named("v")))
		require.NoError(f, f.Engine.RemoveVolume(f.Context(), f.named("v")), "one that is gone")
	}},
}
