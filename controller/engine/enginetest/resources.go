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
	{"an image is found by its ID, and containers are made from it", func(f *fixture) {
		image, err := f.Engine.Image(f.Context(), f.Image(Runs))
		require.NoError(f, err)
		same, err := f.Engine.Image(f.Context(), image.ID)
		require.NoError(f, err)
		require.Equal(f, engine.Image{ID: image.ID, Ref: image.ID}, same)
		s := f.service(Runs)
		s.Image = image.ID
		c := f.inspect(f.create("1", s))
		require.Equal(f, image.ID, c.Image)
		require.Equal(f, image.ID, c.ImageID)
	}},
	{"a reference can come to mean another image, and containers keep theirs", func(f *fixture) {
		s := f.service(Runs)
		s.Image = f.named("moves") + ":1"
		f.Outsider.Tag(f.T, f.Image(Runs), s.Image)
		before := f.inspect(f.create("1", s))
		f.Outsider.Tag(f.T, f.Image(Exits), s.Image)
		image, err := f.Engine.Image(f.Context(), s.Image)
		require.NoError(f, err)
		require.NotEqual(f, before.ImageID, image.ID)
		require.Equal(f, before, f.inspect(before.ID))
		require.Equal(f, image.ID, f.inspect(f.create("2", s)).ImageID)
		_, err = f.Engine.Image(f.Context(), before.ImageID)
		require.NoError(f, err)
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
		require.Equal(f, f.labels(), volumes[0].Labels)
	}},
	{"containers share a volume, and each keeps it from being removed", func(f *fixture) {
		f.volume("v")
		first, second := f.create("1", f.mounting("v")), f.create("2", f.mounting("v"))
		f.start(first)
		f.start(second)
		f.stop(first)
		require.NoError(f, f.Engine.Remove(f.Context(), first, true))
		f.fails(engine.Conflict, f.Engine.RemoveVolume(f.Context(), f.named("v")))
		f.stop(second)
		f.fails(engine.Conflict, f.Engine.RemoveVolume(f.Context(), f.named("v")))
	}},
	{"removing a volume in use is a Conflict", func(f *fixture) {
		f.volume("v")
		id := f.create("1", f.mounting("v"))
		f.fails(engine.Conflict, f.Engine.RemoveVolume(f.Context(), f.named("v")))
		require.NoError(f, f.Engine.Remove(f.Context(), id, true))
		require.NoError(f, f.Engine.RemoveVolume(f.Context(), f.named("v")))
		require.NoError(f, f.Engine.RemoveVolume(f.Context(), f.named("v")), "one that is gone")
	}},
}
