package docker_test

import (
	"cmp"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/docker"
	"github.com/tendhq/tend/controller/spec"
)

// composeBinary is what "make build/bin/docker-compose" builds.
const composeBinary = "../../../build/bin/docker-compose"

// Compose and tend make the same of one compose.yaml, field by field of the engine's
// inspect, except for the fields that normalise removes. Nothing is started, so that
// keys can be compared that this machine could not carry out.
func TestConvertsAsComposeDoes(t *testing.T) {
	require.FileExists(t, composeBinary, "this test needs it; run: make build/bin/docker-compose")
	o := newOutsider(t)
	p := newParity(t, o, o.buildImages(t)("runs"))
	t.Cleanup(func() { o.clean(t, p.project.Name) })

	p.compose("create", "--no-build", "--quiet-pull")
	wantContainers := p.containers()
	wantNetworks, wantVolumes := p.networks(), p.volumes()
	p.compose("down", "-v", "-t", "0")
	require.Empty(t, p.containers())

	p.create(wantContainers)
	gotContainers := p.containers()
	require.ElementsMatch(t, slices.Collect(maps.Keys(wantContainers)), slices.Collect(maps.Keys(gotContainers)))
	for name, want := range wantContainers {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, normalise(t, want, wantContainers), normalise(t, gotContainers[name], gotContainers))
		})
	}
	require.Equal(t, wantNetworks, p.networks())
	require.Equal(t, wantVolumes, p.volumes())

	full := gotContainers[p.project.Name+"-full-1"].ID
	require.Equal(t, "from the environment", o.File(t, full, "/run/secrets/renamed"))
	require.Equal(t, "written here", o.File(t, full, "/etc/inline"))
}

// parity is one project, brought up twice.
type parity struct {
	*testing.T
	outsider
	project *types.Project
	env     []string
}

func newParity(t *testing.T, o outsider, image string) *parity {
	t.Helper()
	folder, err := filepath.Abs("testdata/parity")
	require.NoError(t, err)
	first := o.FreePort(t)
	p := &parity{T: t, outsider: o, env: []string{
		"IMAGE=" + image, "SECRET=from the environment", "PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(),
		"DOCKER_HOST=" + o.cli.DaemonHost(),
		"PORT=" + strconv.Itoa(o.FreePort(t)),
		"RANGE_FROM=" + strconv.Itoa(first), "RANGE_TO=" + strconv.Itoa(first+1),
	}}
	options, err := cli.NewProjectOptions([]string{filepath.Join(folder, "compose.yaml")},
		cli.WithName(newProject()), cli.WithEnv(p.env), cli.WithResolvedPaths(true), cli.WithDiscardEnvFile)
	require.NoError(t, err)
	p.project, err = options.LoadProject(t.Context())
	require.NoError(t, err)
	p.project, err = p.project.WithServicesEnvironmentResolved(true)
	require.NoError(t, err)
	return p
}

func (p *parity) compose(args ...string) {
	p.Helper()
	args = append([]string{"--project-directory", p.project.WorkingDir, "-p", p.project.Name}, args...)
	command := exec.CommandContext(p.Context(), composeBinary, args...)
	command.Env = p.env
	output, err := command.CombinedOutput()
	require.NoError(p, err, string(output))
}

// create does with the adapter what Compose did, with the labels it used.
func (p *parity) create(made map[string]container.InspectResponse) {
	p.Helper()
	e, err := docker.New("")
	require.NoError(p, err)
	defer e.Close()

	networks, volumes := map[string]string{}, map[string]string{}
	for key, n := range p.project.Networks {
		networks[key] = n.Name
		labels := maps.Clone(n.Labels)
		if labels == nil {
			labels = types.Labels{}
		}
		labels[engine.ProjectLabel] = p.project.Name
		require.NoError(p, e.CreateNetwork(p.Context(), engine.NetworkSpec{Name: n.Name, Labels: labels, Config: n}))
	}
	for key, v := range p.project.Volumes {
		volumes[key] = v.Name
		labels := maps.Clone(v.Labels)
		labels[engine.ProjectLabel] = p.project.Name
		require.NoError(p, e.CreateVolume(p.Context(), engine.VolumeSpec{Name: v.Name, Labels: labels, Config: v}))
	}
	ids := map[string]string{} // by service, in the order of the dependencies
	require.NoError(p, p.project.ForEachService(p.project.ServiceNames(), func(_ string, s *types.ServiceConfig) error {
		name := p.project.Name + "-" + s.Name + "-1"
		id, err := e.Create(p.Context(), engine.ContainerSpec{
			Name: name, Project: p.project.Name, WorkingDir: p.project.WorkingDir,
			Service: spec.Joined(*s, ids), Labels: made[name].Config.Labels,
			Networks: networks, Volumes: volumes,
			Secrets: p.project.Secrets, Configs: p.project.Configs,
		})
		require.NoError(p, err, name)
		ids[s.Name] = id
		return nil
	}))
}

func (p *parity) labelled() filters.Args {
	return filters.NewArgs(filters.Arg("label", engine.ProjectLabel+"="+p.project.Name))
}

// containers inspects the project's containers, by name.
func (p *parity) containers() map[string]container.InspectResponse {
	p.Helper()
	summaries, err := p.cli.ContainerList(p.Context(), container.ListOptions{All: true, Filters: p.labelled()})
	require.NoError(p, err)
	found := map[string]container.InspectResponse{}
	for _, s := range summaries {
		c, err := p.cli.ContainerInspect(p.Context(), s.ID)
		require.NoError(p, err)
		found[strings.TrimPrefix(c.Name, "/")] = c
	}
	return found
}

// networks inspects the project's networks, by name, without their labels,
// which the caller of the adapter sets, and their containers.
func (p *parity) networks() map[string]network.Inspect {
	p.Helper()
	summaries, err := p.cli.NetworkList(p.Context(), network.ListOptions{Filters: p.labelled()})
	require.NoError(p, err)
	found := map[string]network.Inspect{}
	for _, n := range summaries {
		n.ID, n.Created, n.Labels, n.Containers = "", time.Time{}, nil, nil
		if n.Name != p.project.Name+"_back" { // the engine chooses the subnet
			n.IPAM.Config = nil
		}
		found[n.Name] = n
	}
	require.Len(p, found, len(p.project.Networks))
	return found
}

// volumes inspects the project's volumes, by name, without their labels.
func (p *parity) volumes() map[string]volume.Volume {
	p.Helper()
	all, err := p.cli.VolumeList(p.Context(), volume.ListOptions{Filters: p.labelled()})
	require.NoError(p, err)
	found := map[string]volume.Volume{}
	for _, v := range all.Volumes {
		v.CreatedAt, v.Labels = "", nil
		found[v.Name] = *v
	}
	require.Len(p, found, len(p.project.Volumes))
	return found
}

// normalise makes two inspects comparable: without what differs from run to
// run, with container IDs by name, and with the lists sorted that Compose fills
// from maps.
func normalise(t *testing.T, c container.InspectResponse, all map[string]container.InspectResponse) map[string]any {
	t.Helper()
	// It is not read from the service, but handed over as the spec has it.
	c.HostConfig.RestartPolicy = container.RestartPolicy{}
	// Compose leaves it to the engine (TestALogIsRotatedWhereNobodyHasSaid).
	c.HostConfig.LogConfig = container.LogConfig{}
	// One without effect: Compose sends empty options with the bind of a secret,
	// none with that of a config.
	for i := range c.HostConfig.Mounts {
		if b := c.HostConfig.Mounts[i].BindOptions; b != nil && *b == (mount.BindOptions{}) {
			c.HostConfig.Mounts[i].BindOptions = nil
		}
	}

	c.Created, c.State = "", nil
	c.ResolvConfPath, c.HostnamePath, c.HostsPath, c.LogPath = "", "", "", ""
	c.GraphDriver = container.ContainerJSONBase{}.GraphDriver
	for _, e := range c.NetworkSettings.Networks {
		e.NetworkID = ""
	}
	slices.Sort(c.Config.Env)
	slices.Sort(c.HostConfig.Binds)
	slices.Sort(c.HostConfig.ExtraHosts)
	slices.SortFunc(c.HostConfig.Ulimits, func(a, b *container.Ulimit) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(c.Mounts, func(a, b container.MountPoint) int { return cmp.Compare(a.Destination, b.Destination) })
	for i, m := range c.Mounts {
		if m.Destination == "/anonymous" {
			c.Mounts[i].Name, c.Mounts[i].Source = "", ""
		}
	}
	mounts := c.HostConfig.Mounts
	slices.SortFunc(mounts, func(a, b mount.Mount) int { return cmp.Compare(a.Target, b.Target) })

	text, err := json.MarshalIndent(c, "", " ")
	require.NoError(t, err)
	names := []string{}
	for name, other := range all {
		names = append(names, other.ID, "ID of "+name, other.ID[:12], "short ID of "+name)
	}
	var fields map[string]any
	require.NoError(t, json.Unmarshal([]byte(strings.NewReplacer(names...).Replace(string(text))), &fields))
	return fields
}
