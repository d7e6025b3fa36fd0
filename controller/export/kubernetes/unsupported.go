package kubernetes

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/tendhq/tend/controller/spec"
)

// unsupportedServiceKeys are the keys of a service that have no counterpart, with the reason.
var unsupportedServiceKeys = reasons(map[string]string{
	"cgroup cgroup_parent":                                                "the kubelet chooses the control group",
	"blkio_config device_cgroup_rules":                                    "Kubernetes bounds no input and output of devices",
	"cpu_count cpu_percent isolation":                                     "it is for Windows containers",
	"cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpu_shares cpuset": "Kubernetes knows requests and limits of the CPU alone: write cpus and deploy.resources.reservations",
	"mem_swappiness memswap_limit":                                        "swap is a setting of the node",
	"oom_kill_disable oom_score_adj":                                      "the kubelet decides whom the kernel kills first, by requests and limits",
	"pids_limit":                                                          "it is a setting of the node, podPidsLimit",
	"devices gpus":                                                        "a device comes from a device plugin of the cluster: write its resource, as nvidia.com/gpu, in an overlay",
	"domainname":                                                          "names are the cluster's",
	"external_links":                                                      "a container of another project has no name in the cluster",
	"init":                                                                "Kubernetes puts no init into a container: have the image bring one",
	"links":                                                               "a second name for one service alone: give that service an alias on a network",
	"logging":                                                             "the output of all containers goes to the node: collect it there",
	"mac_address":                                                         "the cluster gives each replica its address",
	"runtime":                                                             "write a RuntimeClass, and its name in an overlay",
	"stop_signal":                                                         "Kubernetes sends what the image says, or SIGTERM: say it there by STOPSIGNAL",
	"storage_opt":                                                         "write a limit of ephemeral-storage in an overlay",
	"ulimits":                                                             "they are a setting of the node's container runtime",
	"userns_mode uts":                                                     "Kubernetes has no such setting",
	"volumes_from":                                                        "containers that share volumes are one replica in Kubernetes: use a named volume",
})

// reasons has the reason of each of several keys.
func reasons(of map[string]string) map[string]string {
	all := map[string]string{}
	for keys, reason := range of {
		for key := range strings.FieldsSeq(keys) {
			all[key] = reason
		}
	}
	return all
}

// unsupportedKeys notes what of a workload has no counterpart.
func (e *exporter) unsupportedKeys(w *spec.Workload) {
	if e.isCluster(w) {
		e.unsupportedOfCluster(w)
	} else {
		e.unsupportedOfContainer(w)
	}
	e.unsupportedOfAny(w)
	e.unsupportedProbes(w)
	e.unsupportedPorts(w)
	e.unsupportedRunning(w)
}

// unsupportedOfContainer notes the keys of a template without a counterpart in a container that
// Kubernetes is given.
func (e *exporter) unsupportedOfContainer(w *spec.Workload) {
	for _, key := range written(w.Template) {
		if reason := unsupportedServiceKeys[key]; reason != "" && !(key == "links" && plainLinks(w.Template.Links)) {
			e.unsupported(w.Name, key, reason)
		}
	}
	for key, mode := range map[string]string{"ipc": w.Template.Ipc, "pid": w.Template.Pid} {
		if mode != "" && mode != "host" && mode != "private" {
			e.unsupported(w.Name, key, "Kubernetes shares a namespace with the node alone: "+mode)
		}
	}
	e.unsupportedValues(w)
	e.unsupportedNames(w)
	e.unsupportedMounts(w)
	e.unsupportedHealthCheck(w)
}

// written are the keys that a service has.
func written(s types.ServiceConfig) []string {
	text, err := json.Marshal(s)
	tree := map[string]any{}
	if err != nil || json.Unmarshal(text, &tree) != nil {
		return nil // its hash was made of the same text
	}
	maps.DeleteFunc(tree, func(_ string, value any) bool { return value == nil })
	return slices.Sorted(maps.Keys(tree))
}

// plainLinks reports whether links only name services, which can be reached in any case.
func plainLinks(links []string) bool {
	return !slices.ContainsFunc(links, func(link string) bool {
		service, alias, renamed := strings.Cut(link, ":")
		return renamed && service != alias
	})
}

// unsupportedRunning notes what tend does for a workload while it runs, and Kubernetes does not.
func (e *exporter) unsupportedRunning(w *spec.Workload) {
	no := func(key, reason string) { e.unsupported(w.Name, key, reason) }
	for _, d := range w.DependsOn {
		if d.Condition != spec.DependencyStarted {
			no("depends_on."+d.Name, fmt.Sprintf("Kubernetes starts all at once, and does not wait for %s: what cannot go on without it is started again until it can", d.Condition))
		}
		if d.Restart && !implied(w, d.Name) {
			no("depends_on."+d.Name+".restart", "nothing is replaced because something else is")
		}
	}
	if w.Kind != spec.Job && w.RestartPolicy != "" && w.Restart.Condition != spec.RestartAny {
		no("restart", "a container that ends with 0 is started again, too")
	}
	if deploy := w.Template.Deploy; deploy != nil {
		if r := deploy.RestartPolicy; r != nil && (r.Delay != nil || r.Window != nil || r.MaxAttempts != nil && w.Kind != spec.Job) {
			no("deploy.restart_policy", "delays are the kubelet's, and it tries for ever")
		}
		if l := deploy.Resources.Limits; l != nil && l.Pids > 0 {
			no("deploy.resources.limits.pids", unsupportedServiceKeys["pids_limit"])
		}
		if r := deploy.Resources.Reservations; r != nil && len(r.Devices) > 0 {
			no("deploy.resources.reservations.devices", unsupportedServiceKeys["devices"])
		}
	}
	if w.PullInterval > 0 {
		no("pull_policy", "nothing asks the registry for another image under the name: pull Always and restart, or write the digest")
	}
	if w.KeepImages > 0 {
		no("x-tend.keepImages", "the kubelet removes images when the disk is full")
	}
	asked := w.Template.Deploy != nil && w.Template.Deploy.UpdateConfig != nil && w.Template.Deploy.UpdateConfig.FailureAction == string(spec.Rollback)
	kind, undo, backup := "StatefulSet", "kubectl rollout undo does", "make a dump, or have an operator for Postgres keep it"
	if e.isCluster(w) {
		kind, undo, backup = "Cluster", "apply what was there before", "write a ScheduledBackup, and where it is to go"
	}
	if w.Kind != spec.Job && w.OnFailure == spec.Rollback && (e.hasSpec(w) || asked) {
		no("onFailure", "Kubernetes rolls nothing back by itself: "+undo)
	}
	if w.Kind == spec.Database {
		no("progressDeadlineSeconds", "a "+kind+" has no deadline")
		if w.Backup.BeforeUpdate {
			no("backup", "nothing is backed up before an update: "+backup)
		}
		if w.Paused {
			no("paused", "a "+kind+" cannot be paused")
		}
	}
}

// implied reports whether Compose has a workload depend on a service that it links or joins.
func implied(w *spec.Workload, service string) bool {
	return slices.Contains(w.Joins(), service) || slices.ContainsFunc(w.Template.Links, func(link string) bool {
		linked, _, _ := strings.Cut(link, ":")
		return linked == service
	})
}

// unsupportedOfProject notes what has no counterpart and belongs to no kept service.
func (e *exporter) unsupportedOfProject() {
	for _, name := range e.project.Unmanaged {
		if name != spec.ControllerService {
			e.unsupported(name, "x-tend.managed", "a service that tend leaves alone is not exported")
		}
	}
	for _, n := range e.project.Networks {
		key := "networks." + n.Key
		if n.External {
			e.unsupported("", key+".external", "only the services of this project are in it: let others in by a NetworkPolicy")
		}
		c := n.Config
		if c.Driver != "" && c.Driver != "bridge" || len(c.DriverOpts) > 0 || c.Ipam.Driver != "" || len(c.Ipam.Config) > 0 || c.EnableIPv4 != nil || c.EnableIPv6 != nil {
			e.unsupported("", key, "drivers and addresses are the cluster's")
		}
	}
	for _, v := range e.project.Volumes {
		if v.Config.Driver != "" && v.Config.Driver != "local" || len(v.Config.DriverOpts) > 0 {
			e.unsupported("", "volumes."+v.Key, "the driver is the cluster's StorageClass: name one in an overlay")
		}
	}
}

// unsupportedOfAny notes what no object can have: names that Kubernetes does not allow, and
// images that it does not make.
func (e *exporter) unsupportedOfAny(w *spec.Workload) {
	if e.services[w.Name] != w.Name {
		e.unsupported(w.Name, "name", fmt.Sprintf("Kubernetes allows no such name: its objects are called %s, and others reach it by that", e.services[w.Name]))
	}
	if w.Build != nil {
		e.unsupported(w.Name, "build", fmt.Sprintf("a cluster builds nothing: push the image %s to a registry that it pulls from", w.Image))
	}
	for key := range w.Template.Labels {
		if !isAnnotation(key) {
			e.unsupported(w.Name, "labels", fmt.Sprintf("%q cannot be the key of an annotation", key))
		}
	}
}

// unsupportedValues notes the keys of a template whose values have no counterpart.
func (e *exporter) unsupportedValues(w *spec.Workload) {
	t := w.Template
	no := func(key, reason string, of ...any) { e.unsupported(w.Name, key, fmt.Sprintf(reason, of...)) }
	if _, _, numeric := account(t.User); t.User != "" && !numeric {
		no("user", "Kubernetes takes numbers, and %q is %s: write its number, or leave it to the image", t.User, instead(t.User))
	}
	if t.Entrypoint != nil && len(t.Entrypoint) == 0 {
		no("entrypoint", "Kubernetes cannot take away the image's own: write the command as entrypoint")
	}
	if t.Hostname != "" && label(t.Hostname) != t.Hostname {
		no("hostname", "%q is no label of a name", t.Hostname)
	}
	for _, g := range t.GroupAdd {
		if _, ok := number(g); !ok {
			no("group_add", "Kubernetes takes numbers, and %q is %s", g, instead(g))
		}
	}
	for _, option := range t.SecurityOpt {
		switch securityOption(option) {
		case "seccomp:builtin", "seccomp:unconfined", "no-new-privileges:false":
		case "no-new-privileges:true":
			if escalates(t) {
				no("security_opt", "Kubernetes refuses %q beside privileged and SYS_ADMIN", option)
			}
		default:
			no("security_opt", "%q is set by the administrator of the cluster", option)
		}
	}
	for name := range t.Environment {
		if !variable.MatchString(name) {
			no("environment", "%q is no name of a variable to Kubernetes", name)
		}
	}
	for name := range t.Sysctls {
		if sysctlOfNode(t, name) {
			no("sysctls", "%s is a setting of the node, whose namespace the replica has", name)
		}
	}
	e.unsupportedLifecycle(w, no)
}

// instead is what a user or a group is that is no number of Kubernetes.
func instead(written string) string {
	if strings.Trim(written, "0123456789:") == "" {
		return "larger than its largest, 2147483647"
	}
	return "a name"
}

func (e *exporter) unsupportedLifecycle(w *spec.Workload, no func(key, reason string, of ...any)) {
	if _, ok := plainHook(w.Template.PostStart); len(w.Template.PostStart) > 0 && !ok {
		no("post_start", "Kubernetes runs one command there, as the container's user, in its folder and environment: make it one")
	}
	_, plain := plainHook(w.Template.PreStop)
	switch {
	case len(w.Template.PreStop) > 0 && !plain:
		no("pre_stop", "Kubernetes runs one command there, as the container's user, in its folder and environment: make it one")
	case plain && w.Drain > 0:
		no("drainSeconds", "Kubernetes does one thing before the stop signal, which is pre_stop: have it sleep first")
	}
}
