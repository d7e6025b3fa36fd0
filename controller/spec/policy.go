package spec

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"

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

// Bounds reports whether the policy refuses anything.
func (p Policy) Bounds() bool { return p == Baseline || p == Restricted }

// Allows reports whether containers may be made from a workload's template.
func (p Policy) Allows(w *Workload) bool { return len(p.Violations(w)) == 0 }

// Violation is a value of a Compose file that a policy refuses.
type Violation struct {
	// Path is its place in the Compose model, Message why it is refused, and Hint what
	// to do about it.
	Path          []string
	Message, Hint string
}

// refusals collects violations, at paths that begin alike.
type refusals struct {
	at    []string
	found []Violation
}

// refuse notes a violation. path has slashes between the keys, as a key may have dots.
func (r *refusals) refuse(path, hint, message string, args ...any) {
	r.found = append(r.found, Violation{
		Path: slices.Concat(r.at, strings.Split(path, "/")), Message: fmt.Sprintf(message, args...), Hint: hint,
	})
}

// What Baseline allows. Each list has the values that are known to stay in the
// container: whatever is not in it is refused.
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
	baselineMounts       = []string{types.VolumeTypeVolume, types.VolumeTypeTmpfs, types.VolumeTypeImage}
	// Drivers of the engine that write to its own disk, and to nothing that an option names.
	baselineLogging = []string{"", "json-file", "local", "journald", "none"}
	// Networks of other drivers are the host's, or those of a machine beside it.
	baselineNetworks = []string{"", "default", "bridge", "overlay"}
)

// Violations are the keys of a workload's service that the policy refuses.
func (p Policy) Violations(w *Workload) []Violation {
	r := &refusals{at: []string{"services", w.Name}}
	if p.Bounds() {
		r.namespaces(w)
		r.rights(w.Template)
		r.host(w.Template)
	}
	if p == Restricted {
		r.restricted(w.Template)
	}
	return r.found
}

// namespaces refuses the namespaces of the host and of other containers.
func (r *refusals) namespaces(w *Workload) {
	s := w.Template
	for _, n := range []struct {
		key, mode string
		own       []string // the values that share nothing, and the engine's own networks
	}{
		{"network_mode", s.NetworkMode, []string{"none", "bridge", "default"}},
		{"pid", s.Pid, nil},
		{"ipc", s.Ipc, []string{"none", "private", "shareable"}},
		{"uts", s.Uts, nil},
		{"userns_mode", s.UserNSMode, nil},
		{"cgroup", s.Cgroup, []string{"private"}},
	} {
		if n.mode != "" && !slices.Contains(n.own, n.mode) && !w.waitsFor(JoinedService(n.mode)) {
			r.refuse(n.key, "remove it", "%s: %s shares a namespace with what is outside of the project", n.key, n.mode)
		}
	}
	names := map[string]string{}
	for name, key := range w.NetworkKeys {
		names[key] = name
	}
	for _, key := range slices.Sorted(maps.Keys(s.Networks)) {
		if name := cmp.Or(names[key], key); !plainName.MatchString(name) || name == "host" {
			r.refuse("networks/"+key, "use another network", "network %s shares a namespace with what is outside of the project", name)
		}
		if n := s.Networks[key]; n != nil && n.DriverOpts[endpointSysctls] != "" {
			r.refuse("networks/"+key+"/driver_opts", "remove it", "%s sets what Kubernetes counts as unsafe sysctls", endpointSysctls)
		}
	}
	for _, from := range s.VolumesFrom {
		if !w.waitsFor(VolumesService(from)) {
			r.refuse("volumes_from", "use a named volume", "%s brings volumes that the project does not have", from)
		}
	}
}

// endpointSysctls is the driver option that sets sysctls of a network interface.
const endpointSysctls = "com.docker.network.endpoint.sysctls"

// plainName matches names that are nothing but a name: the engine reads others as the
// path of a folder, or as the way to a container's network.
var plainName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`)

// rights refuses more rights than the engine gives, and less protection.
func (r *refusals) rights(s types.ServiceConfig) {
	if s.Privileged {
		r.refuse("privileged", "remove it, and add the capabilities that are needed", "privileged gives the container all of its host")
	}
	for _, c := range s.CapAdd {
		if !slices.Contains(baselineCapabilities, capability(c)) {
			r.refuse("cap_add", "remove it", "capability %s can lead out of the container", c)
		}
	}
	for _, command := range lifecycle(s) {
		if command.Privileged {
			r.refuse(command.key, "remove privileged", "a privileged command in the container has all of its host")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Sysctls)) {
		if !slices.Contains(baselineSysctls, name) {
			r.refuse("sysctls", "remove it", "sysctl %s can reach beyond the container", name)
		}
	}
	for _, option := range s.SecurityOpt {
		if !confined(option) {
			r.refuse("security_opt", "remove it", "%s takes a protection away", option)
		}
	}
}

// host refuses what is the host's: its files, devices and cgroups.
func (r *refusals) host(s types.ServiceConfig) {
	for _, v := range s.Volumes {
		if !slices.Contains(baselineMounts, v.Type) {
			r.refuse("volumes", "use a named volume, a config or a secret", "%s is a folder or file of the host", v.Source)
		}
	}
	if s.UseAPISocket {
		r.refuse("use_api_socket", "remove it", "the engine's socket is as good as root on the host")
	}
	const devices = "devices of the host"
	if len(s.Devices) > 0 || len(s.DeviceCgroupRules) > 0 {
		r.refuse("devices", "remove them", devices)
	}
	if len(s.Gpus) > 0 {
		r.refuse("gpus", "remove them", devices)
	}
	if d := s.Deploy; d != nil && d.Resources.Reservations != nil && len(d.Resources.Reservations.Devices) > 0 {
		r.refuse("deploy/resources/reservations/devices", "remove them", devices)
	}
	if s.CgroupParent != "" {
		r.refuse("cgroup_parent", "remove it", "%s is a cgroup of the host", s.CgroupParent)
	}
	if len(s.Annotations) > 0 {
		r.refuse("annotations", "remove them, or write labels", "annotations are instructions to the runtime")
	}
	if s.Logging != nil && !slices.Contains(baselineLogging, s.Logging.Driver) {
		r.refuse("logging/driver", "remove it, and set the engine's default where it is meant", "logging driver %s can write to sockets of the host", s.Logging.Driver)
	}
}

// restricted adds the checks that make it harder to break out of a container.
func (r *refusals) restricted(s types.ServiceConfig) {
	r.user("user", s.User)
	for _, command := range lifecycle(s) {
		if command.User != "" { // else it is the container's
			r.user(command.key, command.User)
		}
	}
	// Of several entries the engine takes the last.
	if !slices.ContainsFunc(s.SecurityOpt, noNewPrivileges) || slices.ContainsFunc(s.SecurityOpt, newPrivileges) {
		r.refuse("security_opt", `write "no-new-privileges:true", and nothing else for it`, "processes may gain privileges that their parent lacks")
	}
	if !slices.ContainsFunc(s.CapDrop, func(c string) bool { return capability(c) == "ALL" }) {
		r.refuse("cap_drop", "write cap_drop: [ALL]", "capabilities are kept that nobody asked for")
	}
	for _, c := range s.CapAdd {
		if name := capability(c); name != "NET_BIND_SERVICE" && slices.Contains(baselineCapabilities, name) {
			r.refuse("cap_add", "remove it; NET_BIND_SERVICE alone may be added", "capability %s", c)
		}
	}
}

// lifecycleCommand is a command that runs in a container that has started, or is to stop.
type lifecycleCommand struct {
	key string
	types.ServiceHook
}

// lifecycle are the commands of post_start and pre_stop.
func lifecycle(s types.ServiceConfig) (all []lifecycleCommand) {
	for _, c := range s.PostStart {
		all = append(all, lifecycleCommand{"post_start", c})
	}
	for _, c := range s.PreStop {
		all = append(all, lifecycleCommand{"pre_stop", c})
	}
	return all
}

// user refuses a user that is root, or may be.
func (r *refusals) user(key, written string) {
	user, _, _ := strings.Cut(written, ":")
	// The engine keeps 32 bits of a number, so that a larger one could be 0.
	if id, err := strconv.ParseInt(user, 10, 32); err != nil || id <= 0 {
		r.refuse(key, `write a number other than 0, as user: "65532"`, "user %q may be root", written)
	}
}

// ResourceViolations are the networks, volumes, secrets and configs of a project that the
// policy refuses. Networks and volumes that are external are the work of whoever made
// them.
func (p Policy) ResourceViolations(project *Project) []Violation {
	r := &refusals{}
	if !p.Bounds() {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(project.Networks)) {
		n := project.Networks[name]
		r.at = []string{"networks", n.Key}
		if !n.External && !slices.Contains(baselineNetworks, n.Config.Driver) {
			r.refuse("driver", "use bridge, or make the network yourself and name it as external",
				"network %s of driver %s can reach the host's networks", n.Key, n.Config.Driver)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(project.Volumes)) {
		v := project.Volumes[name]
		r.at = []string{"volumes", v.Key}
		const hint = "remove it, so that the engine keeps the volume, or make the volume yourself and name it as external"
		switch {
		case !plainName.MatchString(name):
			r.refuse("name", "write a name of letters, digits, ., _ and -", "volume %s: %s is no name, and may be a path of the host", v.Key, name)
		case v.External:
		case v.Config.Driver != "" && v.Config.Driver != "local":
			r.refuse("driver", hint, "volume %s: driver %s can mount what is outside of the project", v.Key, v.Config.Driver)
		case !inMemory(v.Config.DriverOpts):
			r.refuse("driver_opts", hint, "volume %s: its driver_opts can mount what is outside of the project", v.Key)
		}
	}
	for _, w := range project.Workloads {
		for _, s := range w.Template.Secrets {
			r.file(project, "secrets", s.Source, project.Secrets[s.Source].File)
		}
		for _, c := range w.Template.Configs {
			r.file(project, "configs", c.Source, project.Configs[c.Source].File)
		}
	}
	return r.found
}

// OpenFile opens the file of a secret or config for a project under a policy: a regular
// file in the project's folder. A link that leads out of the folder is not followed.
func (p *Project) OpenFile(path string) (*os.File, error) {
	root, err := os.OpenRoot(p.WorkingDir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()
	inside, err := filepath.Rel(p.WorkingDir, path)
	if err != nil {
		return nil, err
	}
	// Without O_NONBLOCK a named pipe would be waited for.
	file, err := root.OpenFile(inside, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(fmt.Errorf("%s is not a regular file", path), err, file.Close())
	}
	return file, nil
}

// file refuses the file of a secret or config that is not the project's own.
func (r *refusals) file(p *Project, section, key, path string) {
	if path == "" {
		return
	}
	file, err := p.OpenFile(path)
	if err != nil {
		r.at = []string{section, key}
		r.refuse("file", "name a regular file in the project's folder, and a link by a relative path", "%s is not to be had as a file of the project (%v)", path, err)
		return
	}
	_ = file.Close() // nothing was read
}

// inMemory reports whether the options of the local driver make nothing but a volume of
// the engine, or one in memory. Of a mount all options are known: "bind" among them
// would make a folder of the host of any type.
func inMemory(options types.Options) bool {
	for key, value := range options {
		switch key {
		case "size":
		case "type", "device":
			if value != "tmpfs" {
				return false
			}
		case "o":
			for option := range strings.SplitSeq(value, ",") {
				name, _, _ := strings.Cut(option, "=")
				if !slices.Contains(tmpfsOptions, name) {
					return false
				}
			}
		default:
			return false
		}
	}
	return options["o"] == "" || options["type"] == "tmpfs"
}

var tmpfsOptions = []string{"size", "nr_blocks", "nr_inodes", "mode", "uid", "gid", "noexec", "nosuid", "nodev", "noatime", "ro", "rw"}

// capability is a capability's name without the prefix that may be left out.
func capability(name string) string { return strings.TrimPrefix(strings.ToUpper(name), "CAP_") }

// securityOption divides an entry of security_opt as the engine does, which looks for a
// colon where there is no equals sign.
func securityOption(option string) (key, value string) {
	if key, value, ok := strings.Cut(option, "="); ok {
		return key, value
	}
	key, value, _ = strings.Cut(option, ":")
	return key, value
}

const noNewPrivilegesKey = "no-new-privileges"

func noNewPrivileges(option string) bool {
	key, value := securityOption(option)
	return key == noNewPrivilegesKey && (value == "true" || option == noNewPrivilegesKey)
}

// newPrivileges reports whether an entry of security_opt allows what noNewPrivileges
// forbids.
func newPrivileges(option string) bool {
	key, _ := securityOption(option)
	return key == noNewPrivilegesKey && !noNewPrivileges(option)
}

// confined reports whether an entry of security_opt leaves the engine's defaults, or
// names what the host has ready. A seccomp profile is the project's own, whatever it is.
func confined(option string) bool {
	switch key, value := securityOption(option); key {
	case noNewPrivilegesKey:
		return true
	case "seccomp":
		return value == "builtin"
	case "apparmor":
		return value != "unconfined" && plainName.MatchString(value)
	case "label":
		kind, name := securityOption(value)
		return kind == "level" || kind == "type" && slices.Contains(baselineSELinuxTypes, name)
	default:
		return false
	}
}
