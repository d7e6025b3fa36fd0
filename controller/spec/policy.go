package spec

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// Policy bounds what containers may be created with, after the Pod Security
// Standards of Kubernetes, translated to the keys of Compose:
// https://kubernetes.io/docs/concepts/security/pod-security-standards/
// A published port is Compose's way to offer a service, not a way around a
// network policy, and is allowed.
type Policy string

// The policies. The zero value is Privileged.
const (
	// Privileged allows what Compose allows.
	Privileged Policy = "privileged"
	// Baseline refuses the known ways from a container to its host.
	Baseline Policy = "baseline"
	// Restricted also asks for what makes a breakout harder.
	Restricted Policy = "restricted"
)

// String, Set and Type make a policy a flag's value.
func (p *Policy) String() string { return string(*p) }

// Set reads a policy's name.
func (p *Policy) Set(name string) error {
	switch policy := Policy(name); policy {
	case Privileged, Baseline, Restricted:
		*p = policy
		return nil
	}
	return fmt.Errorf("there is no such policy; known are %s, %s and %s", Privileged, Baseline, Restricted)
}

// Type is the name of the value in the flag's help.
func (p *Policy) Type() string { return "policy" }

// Allows reports whether containers may be made from a workload's template.
func (p Policy) Allows(w *Workload) bool { return len(p.Violations(w.Template)) == 0 }

// Violation is a key of a service that a policy refuses.
type Violation struct {
	// Key is the key, Message why it is refused, and Hint what to do about it.
	Key, Message, Hint string
}

// Capabilities and sysctls that Baseline allows.
var (
	baselineCapabilities = []string{
		"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE",
		"SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
	}
	baselineSysctls = []string{
		"kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_local_reserved_ports",
		"net.ipv4.ip_unprivileged_port_start", "net.ipv4.ping_group_range", "net.ipv4.tcp_fin_timeout",
		"net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_keepalive_time",
		"net.ipv4.tcp_syncookies",
	}
	baselineSELinuxTypes = []string{"container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
)

// Violations are the keys of a service that the policy refuses.
func (p Policy) Violations(s types.ServiceConfig) []Violation {
	var found []Violation
	refuse := func(key, hint, message string, args ...any) {
		found = append(found, Violation{Key: key, Message: fmt.Sprintf(message, args...), Hint: hint})
	}
	switch p {
	case Baseline:
		baseline(s, refuse)
	case Restricted:
		baseline(s, refuse)
		restricted(s, refuse)
	}
	return found
}

func baseline(s types.ServiceConfig, refuse func(key, hint, message string, args ...any)) {
	if s.Privileged {
		refuse("privileged", "remove it, and add the devices and capabilities that are needed", "privileged gives the container all of its host")
	}
	for _, n := range []struct{ key, mode string }{
		{"network_mode", s.NetworkMode}, {"pid", s.Pid}, {"ipc", s.Ipc}, {"uts", s.Uts}, {"userns_mode", s.UserNSMode}, {"cgroup", s.Cgroup},
	} {
		if n.mode == "host" || strings.HasPrefix(n.mode, types.ContainerPrefix) {
			refuse(n.key, "remove it", "%s: %s shares a namespace with what is outside of the project", n.key, n.mode)
		}
	}
	for _, c := range s.CapAdd {
		if !slices.Contains(baselineCapabilities, capability(c)) {
			refuse("cap_add", "remove it", "capability %s can lead out of the container", c)
		}
	}
	for _, v := range s.Volumes {
		if v.Type == types.VolumeTypeBind {
			refuse("volumes", "use a named volume, a config or a secret", "%s is a folder or file of the host", v.Source)
		}
	}
	if s.UseAPISocket {
		refuse("use_api_socket", "remove it", "the engine's socket is as good as root on the host")
	}
	if len(s.Devices) > 0 || len(s.DeviceCgroupRules) > 0 {
		refuse("devices", "remove them", "devices of the host")
	}
	for _, name := range slices.Sorted(maps.Keys(s.Sysctls)) {
		if !slices.Contains(baselineSysctls, name) {
			refuse("sysctls", "remove it", "sysctl %s can reach beyond the container", name)
		}
	}
	for _, option := range s.SecurityOpt {
		if unconfined(option) {
			refuse("security_opt", "remove it", "%s takes a protection away", option)
		}
	}
	for _, from := range s.VolumesFrom {
		if strings.HasPrefix(from, types.ContainerPrefix) {
			refuse("volumes_from", "use a named volume", "%s brings volumes that the project does not have", from)
		}
	}
}

func restricted(s types.ServiceConfig, refuse func(key, hint, message string, args ...any)) {
	user, _, _ := strings.Cut(s.User, ":")
	if id, err := strconv.Atoi(user); err != nil || id == 0 {
		refuse("user", `write a number other than 0, as user: "65532"`, "user %q may be root", s.User)
	}
	if !slices.ContainsFunc(s.SecurityOpt, noNewPrivileges) {
		refuse("security_opt", `add "no-new-privileges:true"`, "processes may gain privileges that their parent lacks")
	}
	if !slices.ContainsFunc(s.CapDrop, func(c string) bool { return capability(c) == "ALL" }) {
		refuse("cap_drop", "write cap_drop: [ALL]", "capabilities are kept that nobody asked for")
	}
	for _, c := range s.CapAdd {
		if name := capability(c); name != "NET_BIND_SERVICE" && slices.Contains(baselineCapabilities, name) {
			refuse("cap_add", "remove it; NET_BIND_SERVICE alone may be added", "capability %s", c)
		}
	}
}

// capability is a capability's name without the prefix that may be left out.
func capability(name string) string { return strings.TrimPrefix(strings.ToUpper(name), "CAP_") }

// securityOption divides an entry of security_opt, which knows two separators.
func securityOption(option string) (key, value string) {
	if i := strings.IndexAny(option, ":="); i >= 0 {
		return option[:i], option[i+1:]
	}
	return option, ""
}

func noNewPrivileges(option string) bool {
	key, value := securityOption(option)
	return key == "no-new-privileges" && (value == "" || value == "true")
}

// unconfined reports whether an entry of security_opt weakens the engine's default.
func unconfined(option string) bool {
	switch key, value := securityOption(option); key {
	case "seccomp", "apparmor", "systempaths":
		return value == "unconfined"
	case "label":
		kind, name := securityOption(value)
		return kind == "disable" || kind == "user" || kind == "role" || kind == "type" && !slices.Contains(baselineSELinuxTypes, name)
	default:
		return false
	}
}
