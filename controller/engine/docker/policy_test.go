package docker

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/execute"
	"github.com/tendhq/tend/controller/postgres"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/spec/load"
)

type mapping = map[string]any

// try is a way to use one key of a Compose file.
type try struct {
	// service is what is written of the service, and top of the project, for a value.
	service, top func(value string) mapping
	// hostile are values that lead to the host, or that restricted refuses.
	hostile []string
}

// on writes a value at a path, in which a "+" stands for a list of one item.
func on(path string) func(value string) mapping {
	return func(value string) mapping {
		var node any = value
		for _, key := range slices.Backward(strings.Split(path, " ")) {
			if key == "+" {
				node = []any{node}
			} else {
				node = mapping{key: node}
			}
		}
		return node.(mapping)
	}
}

// with writes the same whatever the value is.
func with(content string) func(string) mapping {
	var m mapping
	if err := yaml.Unmarshal([]byte(content), &m); err != nil {
		panic(err)
	}
	return func(string) mapping { return merged(m) }
}

const elsewhere = "/etc/hostname"

// tries are the keys that bear on the bounds between a container and its host.
var tries = map[string]try{
	"privileged":    {service: with("privileged: true"), hostile: []string{""}},
	"network_mode":  {service: on("network_mode"), hostile: []string{"host", "container:x"}},
	"pid":           {service: on("pid"), hostile: []string{"host", "container:x"}},
	"ipc":           {service: on("ipc"), hostile: []string{"host", "container:x"}},
	"uts":           {service: on("uts"), hostile: []string{"host"}},
	"userns_mode":   {service: on("userns_mode"), hostile: []string{"host"}},
	"cgroup":        {service: on("cgroup"), hostile: []string{"host"}},
	"user":          {service: on("user"), hostile: []string{"", "0", "root", "0:1000", "00", "+0", "-0", "4294967296", "8589934592:5"}},
	"cap_add":       {service: on("cap_add +"), hostile: []string{"ALL", "SYS_ADMIN", "cap_sys_admin", "CHOWN"}},
	"security_opt":  {service: on("security_opt +"), hostile: []string{"no-new-privileges:false", "no-new-privileges=0", "seccomp=unconfined", "seccomp:unconfined", "seccomp=profile.json", "apparmor=unconfined", "label=disable", "label:type:spc_t", "systempaths=unconfined"}},
	"sysctls":       {service: with("sysctls: {kernel.msgmax: 1}"), hostile: []string{""}},
	"bind":          {service: on("volumes +"), hostile: []string{"/:/host", "/var/run/docker.sock:/s", elsewhere + ":/x:ro"}},
	"volumes_from":  {service: on("volumes_from +"), hostile: []string{"container:x"}},
	"devices":       {service: on("devices +"), hostile: []string{"/dev/kmsg", "vendor.com/class=name"}},
	"device rules":  {service: on("device_cgroup_rules +"), hostile: []string{"c 1:3 mr"}},
	"gpus":          {service: with("gpus: all"), hostile: []string{""}},
	"reservations":  {service: with("deploy: {resources: {reservations: {devices: [{driver: cdi, device_ids: [x/y=z], capabilities: [gpu]}]}}}"), hostile: []string{""}},
	"cgroup_parent": {service: on("cgroup_parent"), hostile: []string{"/", "../system.slice"}},
	"annotations":   {service: on("annotations run.oci.hooks"), hostile: []string{"x"}},
	"logging":       {service: on("logging driver"), hostile: []string{"syslog", "fluentd"}},
	"tmpfs":         {service: on("tmpfs +")},
	"runtime":       {service: on("runtime")},
	"group_add":     {service: on("group_add +")},
	"network name":  {service: with("networks: [n]"), top: on("networks n name"), hostile: []string{"host", "container:x"}},
	"external network": {
		service: with("networks: [n, m]"), hostile: []string{"host", "container:x"},
		top: func(v string) mapping {
			return merged(on("networks n name")(v), with("networks: {n: {external: true}, m: }")(v))
		},
	},
	"network key":    {service: with("networks: [host, n]"), top: func(v string) mapping { return merged(on("networks n name")(v), on("networks host name")(v)) }},
	"network driver": {service: with("networks: [n]"), top: on("networks n driver"), hostile: []string{"host", "macvlan"}},
	"volume name":    {service: with("volumes: [\"vol:/data\"]"), top: on("volumes vol name"), hostile: []string{"/etc", "../etc"}},
	"external volume": {
		service: with("volumes: [\"vol:/data\"]"), hostile: []string{"/etc"},
		top: func(v string) mapping {
			return merged(on("volumes vol name")(v), with("volumes: {vol: {external: true}}")(v))
		},
	},
	"volume driver": {service: with("volumes: [\"vol:/data\"]"), top: on("volumes vol driver"), hostile: []string{"local-persist"}},
	"volume type":   {service: with("volumes: [\"vol:/data\"]"), top: on("volumes vol driver_opts type"), hostile: []string{"nfs", "cifs", "overlay", "ext4"}},
	"volume device": {service: with("volumes: [\"vol:/data\"]"), top: on("volumes vol driver_opts device"), hostile: []string{"/etc", ":/"}},
	"volume o":      {service: with("volumes: [\"vol:/data\"]"), top: on("volumes vol driver_opts o"), hostile: []string{"bind", "size=1m,rbind", "lowerdir=/etc"}},
	"tmpfs volume": {
		service: with("volumes: [\"vol:/data\"]"), hostile: []string{"bind", "ro,bind"},
		top: func(v string) mapping {
			return merged(with("volumes: {vol: {driver_opts: {type: tmpfs, device: tmpfs}}}")(v), on("volumes vol driver_opts o")(v))
		},
	},
	"secret": {service: with("secrets: [it]"), top: on("secrets it file"), hostile: []string{elsewhere, "way-out", "folder-out/hostname"}},
	"config": {service: with("configs: [it]"), top: on("configs it file"), hostile: []string{elsewhere, "way-out", "folder-out/hostname"}},
}

// parts are what values are made of, besides those that are known to be hostile.
var parts = []string{
	"no-new-privileges", "seccomp", "apparmor", "label", "type", "level", "disable", "unconfined", "builtin",
	"true", "false", ":", ":", "=", "=", ",", "/", "..", "/etc", "host", "container", "private", "none", "bridge", "x",
	"bind", "tmpfs", "size", "1", "0", "65532", "NET_BIND_SERVICE", "CHOWN", "local", "json-file", "inside", "link", "way-out",
}

// merged lays mappings over each other. Lists are joined.
func merged(all ...mapping) mapping {
	sum := mapping{}
	for _, one := range all {
		for key, value := range one {
			switch before := sum[key].(type) {
			case mapping:
				if value, ok := value.(mapping); ok {
					sum[key] = merged(before, value)
					continue
				}
			case []any:
				if value, ok := value.([]any); ok {
					sum[key] = slices.Concat(before, value)
					continue
				}
			}
			sum[key] = value
		}
	}
	return sum
}

var hardened = mapping{"image": "web:1", "user": "65532", "cap_drop": []any{"ALL"}, "security_opt": []any{"no-new-privileges:true"}}

// ways are the places from which a service can take a key.
var ways = []string{"compose", "override", "template", "extends", "include"}

// writeProject writes a project whose service web has further keys. The service takes
// them in one of the ways: from compose.yaml itself, or from another file.
func writeProject(t require.TestingT, dir, way string, service, top mapping) {
	require.NoError(t, os.RemoveAll(dir))
	files := map[string]mapping{}
	hook := mapping{"preRollout": []any{mapping{"name": "migrate", "command": []any{"migrate"}}}}
	folder := dir
	project := func(web mapping) mapping { return merged(top, mapping{"services": mapping{"web": web}}) }
	switch way {
	case "compose":
		files["compose.yaml"] = project(merged(hardened, service))
	case "override":
		files["compose.yaml"], files["compose.override.yaml"] = mapping{"services": mapping{"web": hardened}}, project(service)
	case "template":
		files["compose.yaml"], hook["template"] = project(hardened), service
	case "extends":
		files["compose.yaml"] = project(mapping{"extends": mapping{"file": "base.yaml", "service": "base"}})
		files["base.yaml"] = mapping{"services": mapping{"base": merged(hardened, service)}}
	case "include":
		files["compose.yaml"] = mapping{"include": []any{"inner/compose.yaml"}}
		files["inner/compose.yaml"], folder = project(merged(hardened, service)), filepath.Join(dir, "inner")
	}
	files["specs/web.yaml"] = mapping{"apiVersion": "tend/v1", "kind": "Deployment", "metadata": mapping{"name": "web"}, "spec": hook}
	for name, content := range files {
		text, err := yaml.Marshal(content)
		require.NoError(t, err)
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}
	for _, folder := range slices.Compact([]string{dir, folder}) {
		for _, name := range []string{"inside", "profile.json"} {
			require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte("{}"), 0o600))
		}
		for link, to := range map[string]string{"link": "inside", "way-out": elsewhere, "folder-out": filepath.Dir(elsewhere)} {
			require.NoError(t, os.Symlink(to, filepath.Join(folder, link)))
		}
	}
}

// listener is an engine that keeps what it was asked to create.
type listener struct {
	engine.Engine
	containers []engine.ContainerSpec
	volumes    []engine.VolumeSpec
	networks   []engine.NetworkSpec
}

func (*listener) Image(_ context.Context, ref string) (engine.Image, error) {
	return engine.Image{ID: ref, Ref: ref}, nil
}

func (l *listener) Create(_ context.Context, c engine.ContainerSpec) (string, error) {
	l.containers = append(l.containers, c)
	return c.Name, nil
}

func (*listener) Start(context.Context, string) error { return nil }

func (l *listener) CreateVolume(_ context.Context, v engine.VolumeSpec) error {
	l.volumes = append(l.volumes, v)
	return nil
}

func (l *listener) CreateNetwork(_ context.Context, n engine.NetworkSpec) error {
	l.networks = append(l.networks, n)
	return nil
}

// faults makes all that a project asks for, of an engine that listens, and returns what
// is wrong with it under the policy restricted. A request that the adapter refuses never
// reaches the engine.
func faults(t require.TestingT, p *spec.Project, data string, newAPI bool) (all []string) {
	heard := &listener{}
	do := func(a core.Action) {
		_, err := execute.New(heard, data, "").Do(context.Background(), a, p)
		require.NoError(t, err)
	}
	for _, w := range p.Workloads {
		do(core.Action{Kind: core.CreateReplica, Object: "web-1", Number: 1, Spec: w})
		do(core.Action{Kind: core.RunHook, Object: "migrate", Command: []string{"migrate"}, Spec: w})
	}
	for name, v := range p.Volumes {
		if !v.External {
			do(core.Action{Kind: core.CreateVolume, Object: name})
		}
	}
	for name, n := range p.Networks {
		if !n.External {
			do(core.Action{Kind: core.CreateNetwork, Object: name})
		}
	}
	for _, c := range heard.containers {
		if r, err := convert(c, nil, func(string) bool { return newAPI }); err == nil {
			all = append(all, faultsOf(r, data)...)
		}
	}
	for _, v := range heard.volumes {
		opts := v.Config.DriverOpts
		if v.Config.Driver != "" && v.Config.Driver != "local" || opts["type"] != "" && opts["type"] != "tmpfs" ||
			opts["device"] != "" && opts["device"] != "tmpfs" || strings.Contains(opts["o"], "bind") || strings.Contains(opts["o"], "/") {
			all = append(all, fmt.Sprintf("volume %v", v.Config))
		}
	}
	for _, n := range heard.networks {
		if n.Config.Driver != "" && n.Config.Driver != "bridge" && n.Config.Driver != "default" && n.Config.Driver != "overlay" {
			all = append(all, "network "+n.Config.Driver)
		}
	}
	return all
}

// faultsOf reads a request as the engine does.
func faultsOf(r *createRequest, data string) (all []string) {
	h := r.host
	fault := func(is bool, format string, args ...any) {
		if is {
			all = append(all, fmt.Sprintf(format, args...))
		}
	}
	fault(h.Privileged, "privileged")
	fault(h.NetworkMode.IsHost() || h.NetworkMode.IsContainer() || h.PidMode.IsHost() || h.PidMode.IsContainer() ||
		h.IpcMode.IsHost() || h.IpcMode.IsContainer() || h.UTSMode.IsHost() || h.UsernsMode.IsHost() || h.CgroupnsMode.IsHost(),
		"a namespace: %s %s %s %s %s %s", h.NetworkMode, h.PidMode, h.IpcMode, h.UTSMode, h.UsernsMode, h.CgroupnsMode)
	if r.networking != nil {
		for name := range r.networking.EndpointsConfig {
			fault(container.NetworkMode(name).IsHost() || container.NetworkMode(name).IsContainer(), "network %s", name)
		}
	}
	for _, bind := range h.Binds {
		source, _, _ := strings.Cut(bind, ":")
		fault(strings.ContainsAny(source, "/.") && !plain(source), "bind %s", bind)
	}
	for _, m := range h.Mounts {
		switch m.Type {
		case mount.TypeTmpfs:
		case mount.TypeVolume:
			fault(m.Source != "" && !plain(m.Source), "volume %s", m.Source)
		case mount.TypeBind:
			at, err := filepath.EvalSymlinks(m.Source)
			fault(err != nil || filepath.Dir(at) != filepath.Join(data, "files") || !m.ReadOnly, "mount %v", m)
		default:
			fault(true, "mount %v", m)
		}
	}
	fault(len(h.VolumesFrom)+len(h.Devices)+len(h.DeviceRequests)+len(h.DeviceCgroupRules)+len(h.Annotations) > 0 || h.CgroupParent != "",
		"what is the host's: %v %v %v %v %v %v", h.VolumesFrom, h.Devices, h.DeviceRequests, h.DeviceCgroupRules, h.Annotations, h.CgroupParent)
	fault(h.LogConfig.Type == "syslog" || h.LogConfig.Type == "fluentd" || h.LogConfig.Type == "gelf", "logs to %s", h.LogConfig.Type)
	fault(slices.ContainsFunc(h.CapAdd, func(c string) bool { return c != "NET_BIND_SERVICE" }), "capabilities %v", h.CapAdd)
	fault(!slices.Contains(h.CapDrop, "ALL"), "drops %v", h.CapDrop)
	for name := range h.Sysctls {
		fault(!strings.HasPrefix(name, "net.ipv4."), "sysctl %s", name)
	}
	uid, err := strconv.Atoi(strings.Split(r.config.User, ":")[0])
	fault(err != nil || uint32(uid) == 0, "user %q", r.config.User)
	fault(h.MaskedPaths != nil || h.ReadonlyPaths != nil, "systempaths")

	confined := true
	for _, option := range h.SecurityOpt {
		separator := ":"
		if strings.Contains(option, "=") {
			separator = "="
		}
		key, value, _ := strings.Cut(option, separator)
		switch key {
		case "no-new-privileges":
			on, err := strconv.ParseBool(value)
			confined = option == key || err == nil && on
		case "seccomp":
			fault(value != "builtin", "%s", option)
		case "apparmor":
			fault(strings.TrimSpace(value) == "unconfined", "%s", option)
		case "label":
			fault(strings.HasPrefix(value, "disable") || strings.HasPrefix(value, "type:spc_t"), "%s", option)
		}
	}
	fault(!confined || len(h.SecurityOpt) == 0, "new privileges: %v", h.SecurityOpt)
	return all
}

// plain reports whether a name can be nothing but a volume's.
func plain(name string) bool {
	return !strings.ContainsAny(name, "/:") && !strings.HasPrefix(name, ".")
}

// Whatever a project asks for, by whichever way, what reaches the engine stays within
// restricted where the project is accepted.
func TestNoProjectThatIsRestrictedAsksForMore(t *testing.T) {
	dir, data := filepath.Join(t.TempDir(), "project"), t.TempDir()
	names := slices.Sorted(maps.Keys(tries))
	accepted, refused := 0, 0
	try := func(t *rapid.T) {
		service, top := mapping{}, mapping{}
		for range rapid.IntRange(1, 3).Draw(t, "keys") {
			one := tries[rapid.SampledFrom(names).Draw(t, "key")]
			value := strings.Join(rapid.SliceOfN(rapid.SampledFrom(parts), 1, 4).Draw(t, "parts"), "")
			if len(one.hostile) > 0 && rapid.IntRange(0, 9).Draw(t, "hostile") == 0 {
				value = rapid.SampledFrom(one.hostile).Draw(t, "value")
			}
			service = merged(service, one.service(value))
			if one.top != nil {
				top = merged(top, one.top(value))
			}
		}
		writeProject(t, dir, rapid.SampledFrom(ways).Draw(t, "way"), service, top)
		p, err := load.Project(context.Background(), load.Options{ProjectDirectory: dir, Policy: spec.Restricted})
		if err != nil {
			refused++
			return
		}
		accepted++
		require.Empty(t, faults(t, p, data, rapid.Bool().Draw(t, "new API")))
	}
	rapid.Check(t, func(t *rapid.T) {
		// About one in ten is accepted. The package's checks are few, as most ask an engine.
		for tried, enough := 0, accepted+4; accepted < enough; tried++ {
			require.Less(t, tried, 1000, "nothing is accepted any more")
			try(t)
		}
	})
	t.Logf("%d projects accepted, %d refused", accepted, refused)
}

// The test above would see what is wrong, and what is known to be is refused, by
// whichever way it comes.
func TestWhatIsHostileReachesTheEngineWithoutAPolicyAlone(t *testing.T) {
	dir, data := filepath.Join(t.TempDir(), "project"), t.TempDir()
	for name, one := range tries {
		for _, value := range one.hostile {
			for _, way := range ways {
				if way != "compose" && value != one.hostile[0] {
					continue
				}
				top := mapping{}
				if one.top != nil {
					top = one.top(value)
				}
				writeProject(t, dir, way, one.service(value), top)
				_, err := load.Project(t.Context(), load.Options{ProjectDirectory: dir, Policy: spec.Restricted})
				require.Error(t, err, "%s %s by %s", name, value, way)

				p, err := load.Project(t.Context(), load.Options{ProjectDirectory: dir})
				require.NoError(t, err, "%s %s by %s", name, value, way)
				require.NotEmpty(t, faults(t, p, data, true), "%s %s by %s", name, value, way)
			}
		}
	}
}

// The container that looks into a database's image is tend's own, and is as a restricted
// one has to be.
func TestTheContainerThatLooksIntoAnImageIsRestricted(t *testing.T) {
	heard := &looker{}
	_, err := postgres.DescribeImage(t.Context(), heard, "p", "p-db-1-preflight", "postgres:15")
	require.ErrorIs(t, err, assert.AnError)
	require.Len(t, heard.containers, 1)
	r, err := convert(heard.containers[0], nil, func(string) bool { return true })
	require.NoError(t, err)
	assert.Empty(t, faultsOf(r, t.TempDir()))
}

// looker is a listener whose containers cannot be started.
type looker struct{ listener }

func (*looker) Containers(context.Context, string) ([]engine.Container, error) { return nil, nil }

func (*looker) Start(context.Context, string) error { return assert.AnError }

func (*looker) Stop(context.Context, string, time.Duration) error { return nil }

func (*looker) Remove(context.Context, string, bool) error { return nil }
