package docker_test

import (
	"archive/tar"
	"bytes"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/docker"
)

// creator creates containers of a project of its own, on the real engine.
type creator struct {
	*testing.T
	outsider
	engine  *docker.Engine
	project string
	image   string
}

func newCreator(t *testing.T) *creator {
	t.Helper()
	c := &creator{T: t, outsider: newOutsider(t), project: newProject()}
	c.image = c.buildImages(t)("runs")
	var err error
	c.engine, err = docker.New("")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.engine.Close()) })
	t.Cleanup(func() { c.clean(t, c.project) })
	return c
}

func (c *creator) spec(s types.ServiceConfig) engine.ContainerSpec {
	s.Name, s.Image = "s", c.image
	return engine.ContainerSpec{
		Name: c.project + "-1", Project: c.project, Service: s, WorkingDir: c.TempDir(),
		Labels:   map[string]string{engine.ProjectLabel: c.project},
		Networks: map[string]string{"a": c.project + "-a"},
		Volumes:  map[string]string{"v": c.project + "-v"},
	}
}

func (c *creator) labels() map[string]string {
	return map[string]string{engine.ProjectLabel: c.project}
}

func TestALogIsRotatedWhereNobodyHasSaid(t *testing.T) {
	c := newCreator(t)
	info, err := c.cli.Info(t.Context())
	require.NoError(t, err)
	made := func(logging *types.LoggingConfig) container.LogConfig {
		id, err := c.engine.Create(t.Context(), c.spec(types.ServiceConfig{NetworkMode: "none", Logging: logging}))
		require.NoError(t, err)
		inspect, err := c.cli.ContainerInspect(t.Context(), id)
		require.NoError(t, err)
		require.NoError(t, c.engine.Remove(t.Context(), id, true))
		return inspect.HostConfig.LogConfig
	}
	want := container.LogConfig{Type: info.LoggingDriver, Config: map[string]string{}}
	if info.LoggingDriver == "json-file" {
		want.Config = map[string]string{"max-size": "10m", "max-file": "5"}
	}
	require.Equal(t, want, made(nil))
	require.Empty(t, made(&types.LoggingConfig{Driver: "json-file"}).Config)
	require.Equal(t, map[string]string{"max-size": "1m"}, made(&types.LoggingConfig{Options: types.Options{"max-size": "1m"}}).Config)
}

// As that of an ingress: who reads the logs of a whole project meets it.
func TestALogThatIsNotKeptIsEmpty(t *testing.T) {
	c := newCreator(t)
	id, err := c.engine.Create(t.Context(), c.spec(types.ServiceConfig{NetworkMode: "none", Logging: &types.LoggingConfig{Driver: "none"}}))
	require.NoError(t, err)
	var text bytes.Buffer
	require.NoError(t, c.engine.Logs(t.Context(), id, engine.LogOptions{}, &text, &text))
	require.Empty(t, text.String())
	require.NoError(t, c.engine.Remove(t.Context(), id, true))
}

// A file's owner is the one named, whoever the container's user is.
func TestCopiedSecretHasTheOwnerAndModeItNames(t *testing.T) {
	c := newCreator(t)
	mode := types.FileMode(0o400)
	spec := c.spec(types.ServiceConfig{
		NetworkMode: "none", User: "65532:65532",
		Secrets: []types.ServiceSecretConfig{{Source: "x", UID: "7", GID: "8", Mode: &mode}, {Source: "x", Target: "plain"}},
	})
	spec.Secrets = types.Secrets{"x": {Content: "a secret"}}
	id, err := c.engine.Create(t.Context(), spec)
	require.NoError(t, err)
	for path, want := range map[string]tar.Header{
		"/run/secrets/x":     {Uid: 7, Gid: 8, Mode: 0o400},
		"/run/secrets/plain": {Mode: 0o444},
	} {
		archive, _, err := c.cli.CopyFromContainer(t.Context(), id, path)
		require.NoError(t, err)
		got, err := tar.NewReader(archive).Next()
		require.NoError(t, err)
		require.Equal(t, []int64{int64(want.Uid), int64(want.Gid), want.Mode},
			[]int64{int64(got.Uid), int64(got.Gid), got.Mode & 0o777})
		require.NoError(t, archive.Close())
	}
}

func TestFullDiskIsExhaustedAndTheContainerNamed(t *testing.T) {
	c := newCreator(t)
	require.NoError(t, c.engine.CreateVolume(t.Context(), engine.VolumeSpec{
		Name: c.project + "-v", Labels: c.labels(),
		Config: types.VolumeConfig{DriverOpts: types.Options{"type": "tmpfs", "device": "tmpfs", "o": "size=64k"}},
	}))
	spec := c.spec(types.ServiceConfig{
		NetworkMode: "none",
		Volumes:     []types.ServiceVolumeConfig{{Type: types.VolumeTypeVolume, Source: "v", Target: "/small"}},
		Secrets:     []types.ServiceSecretConfig{{Source: "x", Target: "/small/large"}},
	})
	spec.Secrets = types.Secrets{"x": {Content: strings.Repeat("x", 1<<20)}}
	id, err := c.engine.Create(t.Context(), spec)
	require.Equal(t, engine.Exhausted, engine.ClassOf(err), "%v", err)
	_, err = c.engine.Container(t.Context(), id)
	require.NoError(t, err)
}

// The containers of a Swarm's tasks have the labels of their service.
func TestTheTasksOfASwarmAreNoContainersOfTheProject(t *testing.T) {
	c := newCreator(t)
	events, _, err := c.engine.Events(t.Context(), c.project)
	require.NoError(t, err)
	task := c.spec(types.ServiceConfig{NetworkMode: "none"})
	task.Name, task.Labels["com.docker.swarm.task.id"] = c.project+"-task", "x7dcqa"
	_, err = c.engine.Create(t.Context(), task)
	require.NoError(t, err)
	id, err := c.engine.Create(t.Context(), c.spec(types.ServiceConfig{NetworkMode: "none"}))
	require.NoError(t, err)

	containers, err := c.engine.Containers(t.Context(), c.project)
	require.NoError(t, err)
	require.Len(t, containers, 1)
	require.Equal(t, id, containers[0].ID)
	for e := range events {
		if e.ContainerID != "" {
			require.Equal(t, id, e.ContainerID)
			break
		}
	}
}

func TestAliasesOfServicesAndOneOffs(t *testing.T) {
	c := newCreator(t)
	require.NoError(t, c.engine.CreateNetwork(t.Context(), engine.NetworkSpec{Name: c.project + "-a", Labels: c.labels()}))
	spec := c.spec(types.ServiceConfig{
		Networks: map[string]*types.ServiceNetworkConfig{"a": {Aliases: []string{"configured"}}},
	})
	spec.Aliases = []string{"further"}
	for oneOff, want := range map[string][]string{
		"False": {c.project + "-1", "s", "configured", "further"},
		"True":  {c.project + "-1", "further"},
	} {
		spec.Labels["com.docker.compose.oneoff"] = oneOff
		id, err := c.engine.Create(t.Context(), spec)
		require.NoError(t, err)
		require.Subset(t, c.endpoint(id).Aliases, want)
		// Older engines add the short ID, and nothing else.
		require.LessOrEqual(t, len(c.endpoint(id).Aliases), len(want)+1)

		// A container that joins again has the names that it is given then.
		require.NoError(t, c.engine.DisconnectNetwork(t.Context(), id, c.project+"-a"))
		require.NoError(t, c.engine.ConnectNetwork(t.Context(), id, c.project+"-a", "given"))
		require.Contains(t, c.endpoint(id).Aliases, "given")
		require.NotContains(t, c.endpoint(id).Aliases, "configured")
		require.NoError(t, c.engine.Remove(t.Context(), id, true))
	}
}

func (c *creator) endpoint(id string) *network.EndpointSettings {
	inspect, err := c.cli.ContainerInspect(c.Context(), id)
	require.NoError(c, err)
	return inspect.NetworkSettings.Networks[c.project+"-a"]
}

// An inspect would take the beginning of any network's ID for its name.
func TestTheBeginningOfANetworksIDIsNotItsName(t *testing.T) {
	c := newCreator(t)
	created, err := c.cli.NetworkCreate(t.Context(), c.project+"-other", network.CreateOptions{Labels: c.labels()})
	require.NoError(t, err)
	spec := c.spec(types.ServiceConfig{Networks: map[string]*types.ServiceNetworkConfig{"a": nil}})
	spec.Networks["a"] = created.ID[:6]
	_, err = c.engine.Create(t.Context(), spec)
	require.Equal(t, engine.NotFound, engine.ClassOf(err), "%v", err)
}

func TestWhatNoEngineCouldCreateIsInvalid(t *testing.T) {
	c := newCreator(t)
	second := types.Duration(1e9)
	for name, s := range map[string]types.ServiceConfig{
		"secret without content":   {Secrets: []types.ServiceSecretConfig{{Source: "unset"}}},
		"secret of nobody":         {Secrets: []types.ServiceSecretConfig{{Source: "x", UID: "root"}}},
		"seccomp profile missing":  {SecurityOpt: []string{"seccomp=absent.json"}},
		"security_opt without =":   {SecurityOpt: []string{"label"}},
		"unknown platform":         {Platform: "a/b/c/d"},
		"image volume":             {Volumes: []types.ServiceVolumeConfig{{Type: types.VolumeTypeImage, Source: "i", Target: "/i"}}},
		"start_interval, no start": {HealthCheck: &types.HealthCheckConfig{StartInterval: &second}},
		"too little memory":        {MemLimit: 1000},
	} {
		t.Run(name, func(t *testing.T) {
			s.NetworkMode = "none"
			spec := c.spec(s)
			spec.Secrets = types.Secrets{"unset": {Environment: "UNSET"}, "x": {Content: "a secret"}}
			id, err := c.engine.Create(t.Context(), spec)
			require.Equal(t, engine.Invalid, engine.ClassOf(err), "%v", err)
			require.Empty(t, id)
		})
	}
	all, err := c.cli.ContainerList(t.Context(), container.ListOptions{All: true})
	require.NoError(t, err)
	for _, s := range all {
		require.NotEqual(t, c.project, s.Labels[engine.ProjectLabel])
	}
}

func TestARangeOfExposedPortsIsEachOfThem(t *testing.T) {
	c := newCreator(t)
	id, err := c.engine.Create(t.Context(), c.spec(types.ServiceConfig{NetworkMode: "none", Expose: []string{"9000-9002", "1234/udp"}}))
	require.NoError(t, err)
	made, err := c.cli.ContainerInspect(t.Context(), id)
	require.NoError(t, err)
	var exposed []string
	for port := range made.Config.ExposedPorts {
		exposed = append(exposed, strings.TrimSuffix(string(port), "/tcp")) // newer engines add it
	}
	require.ElementsMatch(t, []string{"9000", "9001", "9002", "1234/udp"}, exposed)
}

func TestAnEngineThatIsNotThereIsUnavailable(t *testing.T) {
	e, err := docker.New("unix://" + t.TempDir() + "/absent.sock")
	require.NoError(t, err)
	defer e.Close()
	err = e.Ping(t.Context())
	require.Equal(t, engine.Unavailable, engine.ClassOf(err), "%v", err)
}

func TestABadHostIsInvalid(t *testing.T) {
	for _, host := range []string{"nonsense", "podman:///socket", "ssh://user:password@host"} {
		_, err := docker.New(host)
		require.Equal(t, engine.Invalid, engine.ClassOf(err), "%s: %v", host, err)
	}
}

func TestAnEngineThatShutsDownStartsNothing(t *testing.T) {
	c := newCreator(t)
	l := newLine(t, c.cli.Dialer())
	e, err := docker.New("unix://" + l.path)
	require.NoError(t, err)
	defer e.Close()
	id, err := c.engine.Create(t.Context(), c.spec(types.ServiceConfig{}))
	require.NoError(t, err)
	require.NoError(t, e.Ping(t.Context()))
	l.Refuse()
	require.NoError(t, e.Ping(t.Context()), "the connection that is open is still answered on")
	err = e.Start(t.Context(), id)
	require.Equal(t, engine.Unavailable, engine.ClassOf(err), "%v", err)
	made, err := c.cli.ContainerInspect(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, container.StateCreated, made.State.Status)
}
