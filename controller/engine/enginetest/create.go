package enginetest

import (
	"context"
	"sync"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/engine"
)

var createCases = []testCase{
	{"create makes a container and does not start it", func(f *fixture) {
		s := f.service(Runs)
		s.Restart = "always"
		s.Labels = types.Labels{"replaced": "yes"}
		id := f.create("1", s)
		image, err := f.Engine.Image(f.Context(), f.Image(Runs))
		require.NoError(f, err)
		c := f.inspect(id)
		require.False(f, c.Created.IsZero())
		c.Created, c.NetworkIDs = c.StartedAt, nil
		require.Equal(f, engine.Container{
			ID: id, Name: f.named("1"),
			Image: f.Image(Runs), ImageID: image.ID,
			Labels:        f.labels(),
			State:         engine.Created,
			RestartPolicy: "no",
			Networks:      map[string]string{"none": ""},
		}, c)
	}},
	{"create without the image is NotFound", func(f *fixture) {
		s := f.service(Runs)
		s.Image = "tend-enginetest/absent:1"
		_, err := f.Engine.Create(f.Context(), f.spec("1", s))
		f.fails(engine.NotFound, err)
		require.Empty(f, f.list())
	}},
	{"create without a network is NotFound", func(f *fixture) {
		f.network("a")
		for _, key := range []string{"0", "b"} { // sorted before and after the one that is there
			_, err := f.Engine.Create(f.Context(), f.spec("1", f.networked(Runs, "a", key)))
			f.fails(engine.NotFound, err)
		}
		require.Empty(f, f.list())
	}},
	{"create without a named volume is NotFound and makes none", func(f *fixture) {
		_, err := f.Engine.Create(f.Context(), f.spec("1", f.mounting("v")))
		f.fails(engine.NotFound, err)
		require.Empty(f, f.list())
		volumes, err := f.Engine.Volumes(f.Context(), f.Project, f.named("v"))
		require.NoError(f, err)
		require.Empty(f, volumes)
	}},
	{"create under a taken name is a Conflict", func(f *fixture) {
		f.create("1", f.service(Runs))
		_, err := f.Engine.Create(f.Context(), f.spec("1", f.service(Runs)))
		f.fails(engine.Conflict, err)
		require.Len(f, f.list(), 1)
	}},
	{"a removed container's name is free", func(f *fixture) {
		first := f.create("1", f.service(Runs))
		require.NoError(f, f.Engine.Remove(f.Context(), first, true))
		require.NotEqual(f, first, f.create("1", f.service(Runs)))
	}},
	{"of two creates under one name at once one is a Conflict", func(f *fixture) {
		var second sync.WaitGroup
		var errs [2]error
		second.Go(func() { _, errs[0] = f.Engine.Create(f.Context(), f.spec("1", f.service(Runs))) })
		_, errs[1] = f.Engine.Create(f.Context(), f.spec("1", f.service(Runs)))
		second.Wait()
		if errs[0] == nil {
			errs[0], errs[1] = errs[1], errs[0]
		}
		f.fails(engine.Conflict, errs[0])
		require.NoError(f, errs[1])
		require.Equal(f, []string{f.named("1")}, f.list())
	}},
	{"a renamed container is the same one, and its old name is free", func(f *fixture) {
		s := f.subscribe()
		id := f.create("1", f.service(Runs))
		f.Outsider.Rename(f.T, id, f.named("2"))
		require.Equal(f, f.named("2"), f.inspect(id).Name)
		f.create("1", f.service(Runs))
		require.Equal(f, []string{f.named("1"), f.named("2")}, f.list())
		s.expect(id, "create", "rename")
	}},
	{"a container has the grace that it was made with, in whole seconds", func(f *fixture) {
		s := f.service(Runs)
		grace := types.Duration(90*time.Second + 500*time.Millisecond)
		s.StopGracePeriod = &grace
		require.Equal(f, 90*time.Second, f.inspect(f.create("1", s)).StopTimeout)
	}},
	{"create under a bad name is Invalid", func(f *fixture) {
		_, err := f.Engine.Create(f.Context(), f.spec("a/b", f.service(Runs)))
		f.fails(engine.Invalid, err)
	}},
	{"create for a caller who has left does nothing", func(f *fixture) {
		ctx, cancel := context.WithCancel(f.Context())
		cancel()
		_, err := f.Engine.Create(ctx, f.spec("1", f.service(Runs)))
		f.fails(engine.Unknown, err)
		require.Empty(f, f.list())
	}},
	{"volumes are shown, and which of them nobody named", func(f *fixture) {
		id := f.create("1", f.mountingBoth())
		c := f.inspect(id)
		require.Equal(f, []string{f.named("v")}, c.NamedVolumes())
		require.Equal(f, []engine.Mount{
			{Target: "/anonymous", Source: anonymous(f, c), Volume: true, Anonymous: true},
			{Target: "/data", Source: f.named("v"), Volume: true},
		}, c.Mounts)
		f.start(id)
		require.Equal(f, c.Mounts, f.inspect(id).Mounts)
	}},
	{"an anonymous volume outlives its container, and is carried over to another", func(f *fixture) {
		s := f.mountingBoth()
		first := f.create("1", s)
		kept := anonymous(f, f.inspect(first))
		require.NoError(f, f.Engine.Remove(f.Context(), first, false))
		next := f.spec("1", s)
		next.Anonymous = map[string]string{"/anonymous": kept, "/elsewhere": kept}
		id, err := f.Engine.Create(f.Context(), next)
		require.NoError(f, err)
		require.Equal(f, kept, anonymous(f, f.inspect(id)))
		require.Len(f, f.inspect(id).Mounts, 2, "only where the service has an anonymous volume")
		require.NoError(f, f.Engine.Remove(f.Context(), id, false))
		require.NoError(f, f.Engine.RemoveVolume(f.Context(), kept))
	}},
	{"an anonymous volume that is gone is not carried over", func(f *fixture) {
		s := f.mountingBoth()
		first := f.create("1", s)
		gone := anonymous(f, f.inspect(first))
		require.NoError(f, f.Engine.Remove(f.Context(), first, true))
		next := f.spec("1", s)
		next.Anonymous = map[string]string{"/anonymous": gone}
		id, err := f.Engine.Create(f.Context(), next)
		require.NoError(f, err)
		require.NotEqual(f, gone, anonymous(f, f.inspect(id)))
	}},
	{"remove keeps named volumes", func(f *fixture) {
		f.volume("v")
		require.NoError(f, f.Engine.Remove(f.Context(), f.create("1", f.mounting("v")), true))
		volumes, err := f.Engine.Volumes(f.Context(), f.Project)
		require.NoError(f, err)
		require.Len(f, volumes, 1)
	}},
	{"secrets and configs with content are in their places", func(f *fixture) {
		s := f.service(Runs)
		s.Secrets = []types.ServiceSecretConfig{
			{Source: "plain"}, {Source: "plain", Target: "renamed"}, {Source: "plain", Target: "/etc/placed", UID: "5"},
		}
		s.Configs = []types.ServiceConfigObjConfig{{Source: "settings"}, {Source: "settings", Target: "/etc/app/settings"}}
		spec := f.spec("1", s)
		spec.Secrets = types.Secrets{"plain": {Content: "a secret"}}
		spec.Configs = types.Configs{"settings": {Content: "a setting"}}
		id, err := f.Engine.Create(f.Context(), spec)
		require.NoError(f, err)
		for path, content := range map[string]string{
			"/run/secrets/plain":   "a secret",
			"/run/secrets/renamed": "a secret",
			"/etc/placed":          "a secret",
			"/settings":            "a setting",
			"/etc/app/settings":    "a setting",
		} {
			require.Equal(f, content, f.Outsider.File(f.T, id, path), path)
		}
	}},
	{"content cannot be put into a read-only container", func(f *fixture) {
		s := f.service(Runs)
		s.ReadOnly = true
		s.Secrets = []types.ServiceSecretConfig{{Source: "plain"}}
		spec := f.spec("1", s)
		spec.Secrets = types.Secrets{"plain": {Content: "a secret"}}
		_, err := f.Engine.Create(f.Context(), spec)
		f.fails(engine.Invalid, err)
		require.Empty(f, f.list())
	}},
}

// mounting is a service that mounts a named volume.
func (f *fixture) mounting(volume string) types.ServiceConfig {
	s := f.service(Runs)
	s.Volumes = []types.ServiceVolumeConfig{{Type: types.VolumeTypeVolume, Source: volume, Target: "/data"}}
	return s
}

// networked is a service that joins networks.
func (f *fixture) networked(image string, keys ...string) types.ServiceConfig {
	s := f.service(image)
	s.NetworkMode = ""
	s.Networks = map[string]*types.ServiceNetworkConfig{}
	for _, key := range keys {
		s.Networks[key] = nil
	}
	return s
}

// mountingBoth is a service that mounts a named volume, which is made, and an
// anonymous one.
func (f *fixture) mountingBoth() types.ServiceConfig {
	f.volume("v")
	s := f.mounting("v")
	s.Volumes = append(s.Volumes, types.ServiceVolumeConfig{Type: types.VolumeTypeVolume, Target: "/anonymous"})
	return s
}

// anonymous is the name of a container's one anonymous volume.
func anonymous(f *fixture, c engine.Container) string {
	var names []string
	for _, m := range c.Mounts {
		if m.Anonymous {
			names = append(names, m.Source)
		}
	}
	require.Len(f, names, 1)
	return names[0]
}
