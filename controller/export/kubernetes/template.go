package kubernetes

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/tendhq/tend/controller/spec"
)

// template is what a workload's replicas are made from. more are further fields of its spec.
func (e *exporter) template(w *spec.Workload, container, more object) object {
	t := w.Template
	labels := e.labels(w)
	maps.Copy(labels, e.networkLabels(w))
	volumes, _ := e.mounts(w)
	fields := object{
		"containers":                    []object{container},
		"terminationGracePeriodSeconds": seconds(w.StopGrace) + seconds(w.Drain),
		// Neither a token nor variables such as REDIS_PORT come from Compose.
		"automountServiceAccountToken": false,
		"enableServiceLinks":           false,
		"securityContext":              replicaSecurity(w),
	}
	fields.with("volumes", volumes).with("hostAliases", hostAliases(t)).with("dnsConfig", dnsConfig(t))
	if label(t.Hostname) == t.Hostname {
		fields.with("hostname", t.Hostname)
	}
	for field, mode := range map[string]string{"hostNetwork": t.NetworkMode, "hostPID": t.Pid, "hostIPC": t.Ipc} {
		if mode == "host" {
			fields[field] = true
		}
	}
	fields.with("nodeSelector", nodeSelector(t))
	maps.Copy(fields, more)
	return object{"metadata": object{"labels": labels, "annotations": annotations(w)}, "spec": fields}
}

// annotationName is the name in the key of an annotation.
var annotationName = regexp.MustCompile(`^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$`)

// isAnnotation reports whether a key can be an annotation's: a name of at most 63 bytes,
// after a domain of at most 253 and a slash, or without one.
func isAnnotation(key string) bool {
	name := key
	if prefix, rest, ok := strings.Cut(key, "/"); ok {
		if len(prefix) > 253 || !domain.MatchString(prefix) {
			return false
		}
		name = rest
	}
	return len(name) <= 63 && annotationName.MatchString(name)
}

// annotations are Compose's labels and annotations, and the revision, which changes with
// the configs that replicas read at their start.
func annotations(w *spec.Workload) map[string]string {
	all := map[string]string{spec.LabelRevision: w.Revision}
	for _, some := range []map[string]string{w.Template.Labels, w.Template.Annotations} {
		for key, value := range some {
			if isAnnotation(key) {
				all[key] = value
			}
		}
	}
	return all
}

// container is the container of a replica.
func (e *exporter) container(w *spec.Workload) object {
	c := e.bareContainer(w)
	c.with("ports", containerPorts(w))
	for name, p := range probes(w) {
		c.with(name, p)
	}
	return c.with("lifecycle", lifecycle(w))
}

// bareContainer is a container of the workload's template that nobody asks or reaches.
func (e *exporter) bareContainer(w *spec.Workload) object {
	t := w.Template
	_, mounts := e.mounts(w)
	e.result.images = append(e.result.images, w.Image)
	c := object{
		"name":            e.services[w.Name],
		"image":           w.Image,
		"imagePullPolicy": pullPolicy(w),
	}
	c.with("command", escaped(t.Entrypoint)).with("args", escaped(t.Command)).with("workingDir", t.WorkingDir)
	c.with("env", e.env(w)).with("resources", resources(w)).with("volumeMounts", mounts).with("securityContext", containerSecurity(t))
	if t.StdinOpen {
		c["stdin"] = true
	}
	if t.Tty {
		c["tty"] = true
	}
	return c
}

func pullPolicy(w *spec.Workload) string {
	switch {
	case w.PullPolicy == types.PullPolicyAlways:
		return "Always"
	case w.PullPolicy == types.PullPolicyNever && w.Build == nil: // a node has nothing that was built here
		return "Never"
	default:
		return "IfNotPresent"
	}
}

// escape keeps Kubernetes from taking $(NAME), or $$, in a text for its own.
func escape(text string) string {
	var out strings.Builder
	for i, c := range []byte(text) {
		if c == '$' && i+1 < len(text) && (text[i+1] == '$' || text[i+1] == '(') {
			out.WriteByte('$')
		}
		out.WriteByte(c)
	}
	return out.String()
}

func escaped(words []string) []string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = escape(w)
	}
	return out
}

// secretName is what the name of a variable has in it when its value may be secret.
var secretName = regexp.MustCompile(`(?i)(password|passwd|passphrase|secret|token|credential|private_?key|api_?key|access_?key)`)

// secretURL is a URL with a password in it.
var secretURL = regexp.MustCompile(`://[^/@\s]*:[^/@\s]+@`)

// secretVariable reports whether the value of a variable may be secret. A name that ends
// with _FILE says where a secret is.
func secretVariable(name, value string) bool {
	if secretURL.MatchString(value) {
		return true
	}
	return value != "" && secretName.MatchString(name) && !strings.HasSuffix(name, "_FILE")
}

// environmentSecret is the name of the Secret that has the secret variables of a workload.
// No Compose key becomes a name with a dot.
func (e *exporter) environmentSecret(w *spec.Workload) string {
	return e.services[w.Name] + ".environment"
}

// variable is what Kubernetes takes for the name of a variable, and for a key of a Secret.
var variable = regexp.MustCompile("^[-._a-zA-Z][-._a-zA-Z0-9]*$")

// variables are the names of those that are set and that a container can have, in order.
func variables(w *spec.Workload) (names []string) {
	for _, name := range slices.Sorted(maps.Keys(w.Template.Environment)) {
		if w.Template.Environment[name] != nil && variable.MatchString(name) {
			names = append(names, name)
		}
	}
	return names
}

// env are the variables of a container; what may be secret is a reference.
func (e *exporter) env(w *spec.Workload) (all []object) {
	for _, name := range variables(w) {
		value := *w.Template.Environment[name]
		if secretVariable(name, value) {
			ref := object{"name": e.environmentSecret(w), "key": name}
			all = append(all, object{"name": name, "valueFrom": object{"secretKeyRef": ref}})
		} else {
			all = append(all, object{"name": name, "value": escape(value)})
		}
	}
	return all
}

// containerPorts are the ports at which a container can be reached.
func containerPorts(w *spec.Workload) (all []object) {
	for _, p := range reachable(w) {
		all = append(all, object{"containerPort": p.number, "protocol": p.protocol})
	}
	return all
}

// resources are what a container is given at most, and what is kept for it.
func resources(w *spec.Workload) object {
	limits, requests := object{}, object{}
	if n := w.CPULimit(); n > 0 {
		limits["cpu"] = milli(n)
	}
	if n := w.MemoryLimit(); n > 0 {
		limits["memory"] = quantity(n)
	}
	if n := w.CPURequest(); n > 0 {
		requests["cpu"] = milli(n)
	}
	if n := w.MemoryRequest(); n > 0 {
		requests["memory"] = quantity(n)
	}
	return object{}.with("limits", limits).with("requests", requests)
}

// milli is a quantity of thousandths.
func milli(n int64) string {
	if n%1000 == 0 {
		return strconv.FormatInt(n/1000, 10)
	}
	return strconv.FormatInt(n, 10) + "m"
}

// quantity is a quantity of bytes.
func quantity(n int64) string {
	unit := 0
	for n > 0 && n%1024 == 0 && unit < 3 {
		n /= 1024
		unit++
	}
	return strconv.FormatInt(n, 10) + []string{"", "Ki", "Mi", "Gi"}[unit]
}

// replicaSecurity is the part of a security context that all containers of a replica share.
func replicaSecurity(w *spec.Workload) object {
	t := w.Template
	// Docker has a seccomp profile of its own unless told otherwise.
	profile := "RuntimeDefault"
	if slices.ContainsFunc(t.SecurityOpt, func(o string) bool { return securityOption(o) == "seccomp:unconfined" }) {
		profile = "Unconfined"
	}
	o := object{"seccompProfile": object{"type": profile}}
	if user, group, numeric := account(t.User); numeric {
		o["runAsUser"], o["runAsNonRoot"] = user, user != 0
		if user != 0 {
			o["fsGroup"] = user // so that it may write to its volumes, as with Docker
		}
		if group >= 0 {
			o["runAsGroup"], o["fsGroup"] = group, group
		}
	}
	var groups []int
	for _, g := range t.GroupAdd {
		if n, ok := number(g); ok {
			groups = append(groups, n)
		}
	}
	var settings []object
	for _, name := range slices.Sorted(maps.Keys(t.Sysctls)) {
		if !sysctlOfNode(t, name) {
			settings = append(settings, object{"name": name, "value": t.Sysctls[name]})
		}
	}
	return o.with("supplementalGroups", groups).with("sysctls", settings)
}

// sysctlOfNode reports whether a sysctl belongs to a namespace that a replica shares with its
// node: Kubernetes refuses that, as engines do.
func sysctlOfNode(t types.ServiceConfig, name string) bool {
	if strings.HasPrefix(strings.ReplaceAll(name, "/", "."), "net.") {
		return t.NetworkMode == "host"
	}
	return t.Ipc == "host"
}

// account reads a user that is written with numbers; group is -1 where none is.
func account(written string) (user, group int, numeric bool) {
	first, second, hasGroup := strings.Cut(written, ":")
	user, numeric = number(first)
	if !hasGroup || !numeric {
		return user, -1, numeric
	}
	group, numeric = number(second)
	return user, group, numeric
}

// number reads the number of a user or a group; Kubernetes takes half of those that Linux has.
func number(written string) (int, bool) {
	n, err := strconv.ParseUint(written, 10, 31)
	return int(n), err == nil
}

func containerSecurity(t types.ServiceConfig) object {
	o := object{}
	if t.ReadOnly {
		o["readOnlyRootFilesystem"] = true
	}
	if t.Privileged {
		o["privileged"] = true
	}
	if slices.ContainsFunc(t.SecurityOpt, noNewPrivileges) && !escalates(t) {
		o["allowPrivilegeEscalation"] = false
	}
	return o.with("capabilities", object{}.with("add", capabilities(t.CapAdd)).with("drop", capabilities(t.CapDrop)))
}

// escalates reports whether a container has privileges that Kubernetes refuses together with
// allowPrivilegeEscalation: false.
func escalates(t types.ServiceConfig) bool {
	return t.Privileged || slices.Contains(capabilities(t.CapAdd), "SYS_ADMIN")
}

// securityOption is an entry of security_opt in one of its spellings.
func securityOption(written string) string {
	option := strings.Replace(written, "=", ":", 1)
	if option == "no-new-privileges" {
		option += ":true"
	}
	return option
}

func noNewPrivileges(written string) bool { return securityOption(written) == "no-new-privileges:true" }

// capabilities are without the prefix that Compose allows.
func capabilities(all []string) (out []string) {
	for _, c := range all {
		out = append(out, strings.TrimPrefix(strings.ToUpper(c), "CAP_"))
	}
	return out
}

// lifecycle is what runs after a start and before the stop signal. A drain is a sleep
// before it: an endpoint is withdrawn meanwhile.
func lifecycle(w *spec.Workload) object {
	o := object{}
	if h, ok := plainHook(w.Template.PostStart); ok {
		o["postStart"] = object{"exec": object{"command": []string(h.Command)}}
	}
	if h, ok := plainHook(w.Template.PreStop); ok {
		o["preStop"] = object{"exec": object{"command": []string(h.Command)}}
	} else if w.Drain > 0 {
		o["preStop"] = object{"sleep": object{"seconds": seconds(w.Drain)}}
	}
	return o
}

// plainHook returns the one command of a list that says nothing else.
func plainHook(all []types.ServiceHook) (h types.ServiceHook, ok bool) {
	if len(all) != 1 {
		return h, false
	}
	h = all[0]
	return h, h.User == "" && !h.Privileged && h.WorkingDir == "" && len(h.Environment) == 0
}

// nodeSelector are the labels of nodes of a platform.
func nodeSelector(t types.ServiceConfig) map[string]string {
	os, rest, ok := strings.Cut(t.Platform, "/")
	if !ok {
		return nil
	}
	arch, _, _ := strings.Cut(rest, "/")
	return map[string]string{"kubernetes.io/os": os, "kubernetes.io/arch": arch}
}
