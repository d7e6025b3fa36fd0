// Package kubernetes says a project in the objects of Kubernetes, as tend export
// kubernetes writes them. It is pure: a project goes in; objects, and what of the project
// they do not say, come out. docs/reference/kubernetes.md has the whole translation.
package kubernetes

import (
	"cmp"
	"maps"
	"slices"

	"github.com/tendhq/tend/controller/spec"
)

// Result is a project in the objects of Kubernetes.
type Result struct {
	// Objects are sorted as they are best applied: what others refer to comes first.
	Objects []Object
	// Unsupported is what the project says and no object does, by service and key.
	Unsupported []Unsupported
	// Empty are the Secrets whose values are to be filled in, as none is ever exported.
	Empty []string
	// Hooks reports whether there are Jobs that must be complete before other objects are
	// applied.
	Hooks bool
	// images are those that containers run.
	images []string
}

// Object is one object of Kubernetes.
type Object struct {
	Kind, Name string
	// fields are those of the object, with Kubernetes' names.
	fields object
}

// Unsupported is a key that has no counterpart.
type Unsupported struct {
	// Service is the Compose service; empty where the key is one of the whole project.
	Service string
	// Key is the path of the key, with the names of Compose and the spec.
	Key string
	// Reason is why, and what to do instead, in one sentence.
	Reason string
}

// object is a mapping of an object of Kubernetes.
type object map[string]any

// versions are the API versions of the kinds, in the order in which they are applied.
var versions = []struct{ kind, apiVersion string }{
	{"Secret", "v1"},
	{"ConfigMap", "v1"},
	{"PersistentVolumeClaim", "v1"},
	{"NetworkPolicy", "networking.k8s.io/v1"},
	{"Service", "v1"},
	{"StatefulSet", "apps/v1"},
	{"Cluster", "postgresql.cnpg.io/v1"},
	{"Job", "batch/v1"},
	{"Deployment", "apps/v1"},
	{"HorizontalPodAutoscaler", "autoscaling/v2"},
	{"PodDisruptionBudget", "policy/v1"},
	{"Ingress", "networking.k8s.io/v1"},
	{"Gateway", "gateway.networking.k8s.io/v1"},
	{"HTTPRoute", "gateway.networking.k8s.io/v1"},
}

// Alternative is a kind of object that a cluster can be given, in place of what each has.
type Alternative string

// CloudNativePG is its Clusters in place of StatefulSets for Databases, and GatewayAPI its
// HTTPRoutes in place of Ingresses.
const (
	CloudNativePG Alternative = "cnpg"
	GatewayAPI    Alternative = "gateway"
)

// Labels that the objects carry; the first two select the replicas of a workload.
const (
	labelName    = "app.kubernetes.io/name"
	labelProject = "app.kubernetes.io/part-of"
	// labelHooks is "job" on the Job of pre-rollout hooks, and "awaited" on the workload
	// that is to be applied once the Job is complete.
	labelHooks = "tend.pre-rollout"
	// labelNetwork and the name of a network are on the replicas that are in it.
	labelNetwork = "network.tend/"
)

// exporter collects the objects of a project.
type exporter struct {
	project *spec.Project
	// contents are those of the project's configs, by Compose key.
	contents     map[string][]byte
	alternatives []Alternative
	// Each of these has Kubernetes' names for Compose's keys.
	services, volumes, configs, secrets, networks map[string]string
	result                                        Result
}

// Export translates a project. contents are those of its configs, by Compose key.
func Export(p *spec.Project, contents map[string][]byte, alternatives ...Alternative) Result {
	e := &exporter{project: p, contents: contents, alternatives: alternatives}
	workloads := e.workloads()
	services, volumes, networks := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, v := range p.Volumes {
		volumes[v.Key] = true
	}
	for _, n := range p.Networks {
		networks[n.Key] = true
	}
	for _, w := range workloads {
		services[w.Name] = true
	}
	e.services, e.volumes, e.networks = labels(services), labels(volumes), labels(networks)
	e.configs, e.secrets = labels(keysOf(p.Configs)), labels(keysOf(p.Secrets))

	for _, w := range workloads {
		e.workload(w)
		e.unsupportedKeys(w)
	}
	e.files(workloads)
	e.claims(workloads)
	e.policies()
	e.reached(workloads)
	e.published(workloads)
	e.unsupportedOfProject()
	e.sort()
	return e.result
}

// sort brings all that was collected into an order that does not change from run to run.
func (e *exporter) sort() {
	order := map[string]int{}
	for i, v := range versions {
		order[v.kind] = i
	}
	slices.SortFunc(e.result.Objects, func(a, b Object) int {
		return cmp.Or(cmp.Compare(order[a.Kind], order[b.Kind]), cmp.Compare(a.Name, b.Name))
	})
	slices.SortFunc(e.result.Unsupported, func(a, b Unsupported) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Key, b.Key), cmp.Compare(a.Reason, b.Reason))
	})
	e.result.Unsupported = slices.Compact(e.result.Unsupported)
	slices.Sort(e.result.Empty)
}

// workloads are those that people have written, by name.
func (e *exporter) workloads() (all []*spec.Workload) {
	for _, name := range slices.Sorted(maps.Keys(e.project.Workloads)) {
		if w := e.project.Workloads[name]; w.Kind != spec.Ingress {
			all = append(all, w)
		}
	}
	return all
}

// add adds an object; fields are those beside apiVersion, kind and metadata.
func (e *exporter) add(kind, name string, meta, fields object) {
	o := object{"kind": kind, "metadata": meta}
	for _, v := range versions {
		if v.kind == kind {
			o["apiVersion"] = v.apiVersion
		}
	}
	meta["name"] = name
	maps.Copy(o, fields)
	e.result.Objects = append(e.result.Objects, Object{Kind: kind, Name: name, fields: o})
}

// unsupported notes a key of a service that has no counterpart.
func (e *exporter) unsupported(service, key, reason string) {
	e.result.Unsupported = append(e.result.Unsupported, Unsupported{Service: service, Key: key, Reason: reason})
}

// labels are those of a workload's objects.
func (e *exporter) labels(w *spec.Workload) map[string]string {
	return map[string]string{labelName: e.services[w.Name], labelProject: label(e.project.Name)}
}

// selector is what selects the replicas of a workload.
func (e *exporter) selector(w *spec.Workload) map[string]string {
	if e.isCluster(w) {
		return map[string]string{labelCluster: e.services[w.Name]}
	}
	return e.labels(w)
}

// ofWorkload is the metadata of an object that belongs to a workload.
func (e *exporter) ofWorkload(w *spec.Workload) object { return object{"labels": e.labels(w)} }

// ofProject is the metadata of an object that several workloads may use.
func (e *exporter) ofProject() object {
	return object{"labels": map[string]string{labelProject: label(e.project.Name)}}
}

// keysOf are the keys of a map, as a set.
func keysOf[V any](m map[string]V) map[string]bool {
	set := map[string]bool{}
	for key := range m {
		set[key] = true
	}
	return set
}

// with sets a field where its value says anything: an empty text, list or mapping, and
// nil, are left out.
func (o object) with(name string, value any) object {
	switch v := value.(type) {
	case nil:
		return o
	case string:
		if v == "" {
			return o
		}
	case []string:
		if len(v) == 0 {
			return o
		}
	case []object:
		if len(v) == 0 {
			return o
		}
	case []int:
		if len(v) == 0 {
			return o
		}
	case object:
		if len(v) == 0 {
			return o
		}
	case map[string]string:
		if len(v) == 0 {
			return o
		}
	}
	o[name] = value
	return o
}
