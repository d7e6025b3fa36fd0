package load

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/spec"
)

// under loads a project of one service with a policy, and returns what it is
// refused for.
func under(t *testing.T, policy spec.Policy, service, rest string) []string {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "compose.yaml"), "services:\n  web:\n    image: web:1\n"+service+rest)
	_, err := Project(t.Context(), Options{ProjectDirectory: dir, Policy: policy})
	if err == nil {
		return nil
	}
	var problems spec.Errors
	require.ErrorAs(t, err, &problems)
	var lines []string
	for _, e := range problems {
		assert.NotEmpty(t, e.Hint)
		lines = append(lines, fmt.Sprintf("%d:%d %s", e.Line, e.Column, e.Message))
	}
	return lines
}

const hardened = "    user: \"65532\"\n    cap_drop: [ALL]\n    security_opt: [\"no-new-privileges:true\"]\n"

func TestBaselineRefusesTheWaysToTheHost(t *testing.T) {
	for service, message := range map[string]string{
		"    privileged: true\n":                               "4:5 privileged gives the container all of its host: the policy baseline refuses that",
		"    network_mode: host\n":                             "4:5 network_mode: host shares a namespace",
		"    pid: host\n":                                      "4:5 pid: host shares a namespace",
		"    ipc: host\n":                                      "4:5 ipc: host shares a namespace",
		"    uts: host\n":                                      "4:5 uts: host shares a namespace",
		"    userns_mode: host\n":                              "4:5 userns_mode: host shares a namespace",
		"    cgroup: host\n":                                   "4:5 cgroup: host shares a namespace",
		"    cap_add: [CHOWN, SYS_ADMIN]\n":                    "capability SYS_ADMIN can lead out",
		"    cap_add: [cap_net_raw]\n":                         "capability cap_net_raw can lead out",
		"    cap_add: [ALL]\n":                                 "capability ALL can lead out",
		"    volumes: [/var/run/docker.sock:/run/x.sock]\n":    "4:5 /var/run/docker.sock is a folder or file of the host",
		"    volumes: [{type: bind, source: /, target: /x}]\n": "4:5 / is a folder or file of the host",
		"    devices: [/dev/kmsg]\n":                           "4:5 devices of the host",
		"    device_cgroup_rules: [\"c 1:3 mr\"]\n":            "devices of the host",
		"    sysctls: {kernel.msgmax: 65536}\n":                "4:5 sysctl kernel.msgmax can reach beyond",
		"    security_opt: [seccomp=unconfined]\n":             "4:5 seccomp=unconfined takes a protection away",
		"    security_opt: [\"apparmor:unconfined\"]\n":        "apparmor:unconfined takes a protection away",
		"    security_opt: [systempaths=unconfined]\n":         "systempaths=unconfined takes a protection away",
		"    security_opt: [label=disable]\n":                  "label=disable takes a protection away",
		"    security_opt: [\"label:type:spc_t\"]\n":           "label:type:spc_t takes a protection away",
		"    security_opt: [\"label:user:root\"]\n":            "label:user:root takes a protection away",
		"    security_opt: [seccomp=profile.json]\n":           "4:5 seccomp=profile.json takes a protection away",
		"    security_opt: [\"seccomp:profile.json\"]\n":       "4:5 seccomp:profile.json takes a protection away",
		"    security_opt: [\"apparmor= unconfined\"]\n":       "apparmor= unconfined takes a protection away",
		"    security_opt: [writable-cgroups=true]\n":          "writable-cgroups=true takes a protection away",
		"    network_mode: container:x\n":                      "4:5 network_mode: container:x shares a namespace",
		"    network_mode: some-network\n":                     "4:5 network_mode: some-network shares a namespace",
		"    volumes_from: [\"container:x\"]\n":                "4:5 container:x brings volumes",
		"    post_start: [{command: x, privileged: true}]\n":   "4:5 a privileged command in the container has all of its host",
		"    pre_stop: [{command: x, privileged: true}]\n":     "4:5 a privileged command in the container has all of its host",
		"    gpus: all\n":                                      "4:5 devices of the host",
		"    cgroup_parent: /\n":                               "4:5 / is a cgroup of the host",
		"    annotations: {run.oci.hooks: x}\n":                "4:5 annotations are instructions to the runtime",
		"    logging: {driver: syslog, options: {syslog-address: \"unix:///var/run/docker.sock\"}}\n":                     "4:15 logging driver syslog can write to sockets of the host",
		"    deploy: {resources: {reservations: {devices: [{driver: cdi, device_ids: [x/y=z], capabilities: [gpu]}]}}}\n": "4:41 devices of the host",
	} {
		t.Run(service, func(t *testing.T) {
			refused := under(t, spec.Baseline, service, "")
			require.Len(t, refused, 1)
			assert.Contains(t, refused[0], message)
		})
	}
}

// What Compose allows is allowed where nobody asked for less, and what Baseline
// refuses Restricted refuses too.
func TestThePoliciesIncludeEachOther(t *testing.T) {
	const open = "    privileged: true\n    pid: host\n    cap_add: [ALL]\n"
	assert.Empty(t, under(t, "", open, ""))
	assert.Empty(t, under(t, spec.Privileged, open, ""))
	assert.Len(t, under(t, spec.Baseline, open, ""), 3)
	assert.Len(t, under(t, spec.Restricted, open+hardened, ""), 3)
}

func TestBaselineAllowsWhatIsOrdinary(t *testing.T) {
	for _, service := range []string{
		"",
		"    ports: [\"8080:80\"]\n",
		"    volumes: [\"data:/data\", {type: tmpfs, target: /tmp}]\n",
		"    secrets: [s]\n    configs: [c]\n",
		"    cap_add: [NET_BIND_SERVICE, CAP_CHOWN]\n",
		"    sysctls: {net.ipv4.ip_unprivileged_port_start: 0}\n",
		"    security_opt: [\"label:type:container_t\", \"label:level:s0\", no-new-privileges, seccomp=builtin, apparmor=docker-default]\n",
		"    ipc: private\n",
		"    network_mode: none\n",
		"    logging: {driver: json-file, options: {max-size: 1m}}\n",
	} {
		assert.Empty(t, under(t, spec.Baseline, service, "volumes: {data: }\nsecrets: {s: {file: compose.yaml}}\nconfigs: {c: {content: c}}\n"), service)
	}
}

func TestRestrictedWantsLessThanTheEngineGives(t *testing.T) {
	assert.Empty(t, under(t, spec.Restricted, hardened+"    cap_add: [NET_BIND_SERVICE]\n", ""))
	assert.Len(t, under(t, spec.Restricted, "", ""), 3)
	for service, message := range map[string]string{
		"    cap_drop: [ALL]\n    security_opt: [\"no-new-privileges:true\"]\n":                                               `user "" may be root`,
		"    user: root\n    cap_drop: [ALL]\n    security_opt: [\"no-new-privileges:true\"]\n":                               `user "root" may be root`,
		"    user: \"0:1\"\n    cap_drop: [ALL]\n    security_opt: [\"no-new-privileges:true\"]\n":                            `user "0:1" may be root`,
		"    user: \"1\"\n    cap_drop: [CHOWN]\n    security_opt: [no-new-privileges]\n":                                     "capabilities are kept",
		"    user: \"1\"\n    cap_drop: [ALL]\n    security_opt: [\"no-new-privileges:false\"]\n":                             "processes may gain privileges",
		"    user: \"1\"\n    cap_drop: [ALL]\n    security_opt: [no-new-privileges]\n" + "    cap_add: [CHOWN]\n":            "capability CHOWN: the policy restricted",
		"    user: \"4294967296\"\n    cap_drop: [ALL]\n    security_opt: [\"no-new-privileges:true\"]\n":                     `user "4294967296" may be root`,
		"    user: \"-1\"\n    cap_drop: [ALL]\n    security_opt: [\"no-new-privileges:true\"]\n":                             `user "-1" may be root`,
		"    user: \"1\"\n    cap_drop: [ALL]\n    security_opt: [\"no-new-privileges:true\", \"no-new-privileges:false\"]\n": "processes may gain privileges",
		"    user: \"1\"\n    cap_drop: [ALL]\n    security_opt: [\"no-new-privileges=0\", no-new-privileges]\n":              "processes may gain privileges",
	} {
		refused := under(t, spec.Restricted, service, "")
		require.Len(t, refused, 1, service)
		assert.Contains(t, refused[0], message)
	}
}

// A volume can be a folder of the host, or of another machine, by another name.
func TestBaselineRefusesAFolderOfTheHostAsAVolume(t *testing.T) {
	const use = "    volumes: [\"data:/data\"]\nvolumes:\n  data:\n    "
	for volume, message := range map[string]string{
		"driver_opts: {type: none, o: bind, device: /etc}":                    "7:5 volume data: its driver_opts can mount",
		"driver_opts: {type: tmpfs, device: /host, o: bind}":                  "7:5 volume data: its driver_opts can mount",
		"driver_opts: {type: tmpfs, device: tmpfs, o: \"size=1m,rbind\"}":     "its driver_opts can mount",
		"driver_opts: {type: tmpfs, device: /host}":                           "its driver_opts can mount",
		"driver_opts: {type: nfs, device: \":/\", o: addr=127.0.0.1}":         "its driver_opts can mount",
		"driver_opts: {type: cifs, device: //host/share}":                     "its driver_opts can mount",
		"driver_opts: {type: overlay, device: overlay, o: \"lowerdir=/etc\"}": "its driver_opts can mount",
		"driver_opts: {type: ext4, device: /dev/sda1}":                        "its driver_opts can mount",
		"driver_opts: {device: tmpfs, o: bind}":                               "its driver_opts can mount",
		"driver_opts: {mountpoint: /etc}":                                     "its driver_opts can mount",
		"driver: local-persist":                                               "7:5 volume data: driver local-persist can mount",
		"name: /etc":                                                          "7:5 volume data: /etc is no name",
		"{external: true, name: /etc}":                                        "7:22 volume data: /etc is no name",
	} {
		refused := under(t, spec.Baseline, use+volume+"\n", "")
		require.Len(t, refused, 1, volume)
		assert.Contains(t, refused[0], message)
		assert.Empty(t, under(t, spec.Privileged, use+volume+"\n", ""), volume)
	}
	for _, volume := range []string{
		"{}", "driver: local", "{external: true, name: made.by-others}", "driver_opts: {size: 1g}",
		"driver_opts: {type: tmpfs, device: tmpfs, o: \"size=1m,uid=1000,mode=0700\"}",
	} {
		assert.Empty(t, under(t, spec.Restricted, hardened+use+volume+"\n", ""), volume)
	}
}

// The engine's network of a name can be the host's, or a container's.
func TestBaselineRefusesTheHostsNetworkByAnotherName(t *testing.T) {
	const use = "    networks: [n]\nnetworks:\n  n: "
	for network, message := range map[string]string{
		"{external: true, name: host}":                   "4:16 network host shares a namespace",
		"{name: host}":                                   "network host shares a namespace",
		"{external: true, name: \"container:x\"}":        "network container:x shares a namespace",
		"{name: \"container:x\"}":                        "network container:x shares a namespace",
		"{driver: host}":                                 "6:7 network n of driver host can reach the host's networks",
		"{driver: macvlan, driver_opts: {parent: eth0}}": "network n of driver macvlan can reach the host's networks",
	} {
		refused := under(t, spec.Baseline, use+network+"\n", "")
		require.Len(t, refused, 1, network)
		assert.Contains(t, refused[0], message)
		assert.Empty(t, under(t, spec.Privileged, use+network+"\n", ""), network)
	}
	for _, network := range []string{"{}", "{driver: bridge, internal: true}", "{external: true, name: made.by-others}"} {
		assert.Empty(t, under(t, spec.Restricted, hardened+use+network+"\n", ""), network)
	}
	refused := under(t, spec.Baseline, "    networks: {n: {driver_opts: {com.docker.network.endpoint.sysctls: net.ipv4.conf.IFNAME.forwarding=1}}}\nnetworks: {n: }\n", "")
	require.Len(t, refused, 1)
	assert.Contains(t, refused[0], "unsafe sysctls")
}

// A key has the same meaning from wherever a service takes it.
func TestThePolicyHoldsWhereverAKeyComesFrom(t *testing.T) {
	const web, open = "services:\n  web:\n    image: web:1\n", "    pid: host\n"
	const job = "apiVersion: tend/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  preRollout: [{name: migrate, command: [migrate]}]\n"
	for way, files := range map[string]map[string]string{
		"a second file": {"compose.yaml": web, "compose.override.yaml": "services:\n  web:\n" + open},
		"a template":    {"compose.yaml": web, "specs/web.yaml": job + "  template:\n" + open},
		"a hook":        {"compose.yaml": web + open, "specs/web.yaml": job},
		"extends":       {"compose.yaml": web + "    extends: base\n    x-tend: {managed: true}\n  base:\n    image: web:1\n    x-tend: {managed: false}\n" + open},
		"another file":  {"compose.yaml": web + "    extends: {file: base.yaml, service: base}\n", "base.yaml": "services:\n  base:\n" + open},
		"include":       {"compose.yaml": "include: [inner/compose.yaml]\n", "inner/compose.yaml": web + open},
		"an anchor":     {"compose.yaml": "x-open: &open\n" + strings.ReplaceAll(open, "    ", "  ") + web + "    <<: *open\n"},
		"a variable":    {"compose.yaml": web + "    pid: ${PID}\n", ".env": "PID=host\n"},
		"a job":         {"compose.yaml": web + "    restart: \"no\"\n" + open},
	} {
		t.Run(way, func(t *testing.T) {
			dir := t.TempDir()
			for name, content := range files {
				write(t, filepath.Join(dir, name), content)
			}
			_, err := Project(t.Context(), Options{ProjectDirectory: dir, Policy: spec.Baseline})
			require.ErrorContains(t, err, " shares a namespace with what is outside of the project: the policy baseline refuses that")
			_, err = Project(t.Context(), Options{ProjectDirectory: dir})
			require.NoError(t, err)
		})
	}
}

// The name of the controller's service is a name that anybody can write.
func TestAServiceNamedAsTheControllerIsUnderThePolicy(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "compose.yaml"), "services:\n  "+spec.ControllerService+":\n    image: tend\n    volumes: [/var/run/docker.sock:/var/run/docker.sock]\n")
	_, err := Project(t.Context(), Options{ProjectDirectory: dir, Policy: spec.Baseline})
	require.ErrorContains(t, err, "/var/run/docker.sock is a folder or file of the host: the policy baseline refuses that")
}

// The engine mounts the file of a secret or config, whatever it is.
func TestBaselineRefusesTheHostsFilesAsSecretsAndConfigs(t *testing.T) {
	outside := t.TempDir()
	write(t, filepath.Join(outside, "file"), "of the host")
	for file, mine := range map[string]bool{
		"inside": true, "./folder/../inside": true, "link": true,
		"/var/run/docker.sock": false, filepath.Join(outside, "file"): false, "../" + filepath.Base(outside) + "/file": false,
		"way-out": false, "folder-out/file": false, ".": false, "pipe": false, "missing": false,
	} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "inside"), "of the project")
		require.NoError(t, os.Symlink("inside", filepath.Join(dir, "link")))
		require.NoError(t, os.Symlink(filepath.Join(outside, "file"), filepath.Join(dir, "way-out")))
		require.NoError(t, os.Symlink(outside, filepath.Join(dir, "folder-out")))
		require.NoError(t, syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600))
		for _, kind := range []string{"secrets", "configs"} {
			write(t, filepath.Join(dir, "compose.yaml"),
				"services:\n  web:\n    image: web:1\n    "+kind+": [it]\n"+kind+":\n  it:\n    file: "+file+"\n")
			_, err := Project(t.Context(), Options{ProjectDirectory: dir, Policy: spec.Baseline})
			if mine {
				require.NoError(t, err, file)
			} else {
				require.ErrorContains(t, err, "is not to be had as a file of the project", file)
				require.ErrorContains(t, err, "compose.yaml:7:5", file)
			}
			_, err = Project(t.Context(), Options{ProjectDirectory: dir})
			require.NoError(t, err, file)
		}
	}
}

// What a service joins is bound by the policy itself, where tend keeps it.
func TestAPolicyLetsAServiceJoinWhatTendKeeps(t *testing.T) {
	for service, message := range map[string]string{
		"    network_mode: service:other\n": "4:5 network_mode: service:other shares a namespace",
		"    pid: service:other\n":          "4:5 pid: service:other shares a namespace",
		"    volumes_from: [other]\n":       "4:5 other brings volumes",
	} {
		const other = "  other: {image: other:1}\n"
		assert.Empty(t, under(t, spec.Baseline, service, other), service)
		unmanaged := under(t, spec.Baseline, service, strings.Replace(other, "}", ", x-tend: {managed: false}}", 1))
		if assert.Len(t, unmanaged, 1, service) {
			assert.Contains(t, unmanaged[0], message)
		}
	}
}
