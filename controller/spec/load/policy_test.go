package load

import (
	"fmt"
	"path/filepath"
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
		"    security_opt: [\"label:type:container_t\", \"no-new-privileges\", seccomp=profile.json]\n",
		"    ipc: private\n",
	} {
		assert.Empty(t, under(t, spec.Baseline, service, "volumes: {data: }\nsecrets: {s: {file: compose.yaml}}\nconfigs: {c: {content: c}}\n"), service)
	}
}

func TestRestrictedWantsLessThanTheEngineGives(t *testing.T) {
	assert.Empty(t, under(t, spec.Restricted, hardened+"    cap_add: [NET_BIND_SERVICE]\n", ""))
	assert.Len(t, under(t, spec.Restricted, "", ""), 3)
	for service, message := range map[string]string{
		"    cap_drop: [ALL]\n    security_opt: [\"no-new-privileges:true\"]\n":                                    `user "" may be root`,
		"    user: root\n    cap_drop: [ALL]\n    security_opt: [\"no-new-privileges:true\"]\n":                    `user "root" may be root`,
		"    user: \"0:1\"\n    cap_drop: [ALL]\n    security_opt: [\"no-new-privileges:true\"]\n":                 `user "0:1" may be root`,
		"    user: \"1\"\n    cap_drop: [CHOWN]\n    security_opt: [no-new-privileges]\n":                          "capabilities are kept",
		"    user: \"1\"\n    cap_drop: [ALL]\n    security_opt: [\"no-new-privileges:false\"]\n":                  "processes may gain privileges",
		"    user: \"1\"\n    cap_drop: [ALL]\n    security_opt: [no-new-privileges]\n" + "    cap_add: [CHOWN]\n": "capability CHOWN: the policy restricted",
	} {
		refused := under(t, spec.Restricted, service, "")
		require.Len(t, refused, 1, service)
		assert.Contains(t, refused[0], message)
	}
}

// A volume of the local driver can be a folder of the host by another name.
func TestBaselineRefusesAFolderOfTheHostAsAVolume(t *testing.T) {
	const volume = "    volumes: [\"data:/data\"]\nvolumes:\n  data:\n    driver_opts: {type: none, o: bind, device: /etc}\n"
	refused := under(t, spec.Baseline, volume, "")
	require.Len(t, refused, 1)
	assert.Contains(t, refused[0], "7:40 volume data is /etc of the host: the policy baseline refuses that")
	assert.Empty(t, under(t, spec.Privileged, volume, ""))
	assert.Empty(t, under(t, spec.Baseline, "    volumes: [\"data:/data\"]\nvolumes:\n  data:\n    driver_opts: {type: tmpfs, device: tmpfs}\n", ""))
}

// The name of the controller's service is a name that anybody can write.
func TestAServiceNamedAsTheControllerIsUnderThePolicy(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "compose.yaml"), "services:\n  "+spec.ControllerService+":\n    image: tend\n    volumes: [/var/run/docker.sock:/var/run/docker.sock]\n")
	_, err := Project(t.Context(), Options{ProjectDirectory: dir, Policy: spec.Baseline})
	require.ErrorContains(t, err, "/var/run/docker.sock is a folder or file of the host: the policy baseline refuses that")
}
