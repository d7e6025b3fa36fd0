// Package convert translates a workload into a service of Docker Swarm, and names the keys
// of a project that a Swarm cannot honour. It is pure. docs/reference/swarm.md shows the
// whole translation, and is made from this package's table.
package convert

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/swarm"

	"github.com/tendhq/tend/controller/spec"
)

// Labels of tend's own, on services, besides spec.LabelRevision and spec.LabelKind.
const (
	// LabelHookRevision holds the revision that the job of a pre-rollout hook runs for.
	LabelHookRevision = "tend.hook.revision"
	// LabelResumed counts how often tend has had Swarm go on with an update: Swarm begins none
	// for a spec that it has.
	LabelResumed = "tend.resumed"
	// LabelObject holds the Compose key of a secret or config, whose name has a hash.
	LabelObject = "tend.object"
)

// Objects are the Swarm's objects that a service refers to.
type Objects struct {
	// Networks are the IDs by name.
	Networks map[string]string
	// Secrets and Configs are the names of the versions to use, by Compose key, and IDs
	// the IDs by those names.
	Secrets, Configs map[string]string
	IDs              map[string]string
	// Node is the ID of the node that the service is pinned to; empty where it is not.
	Node string
	// Image is the image with its digest; empty where the name that is written is to stand.
	Image string
}

// ServiceName is the name of a workload's service, as docker stack deploy names it.
func ServiceName(project, workload string) string { return project + "_" + workload }

// NetworkName is the name of a network's overlay. It differs from that of the network's bridge,
// as a container can be in both, and comes before it in the order in which a container's names
// are looked up: what has moved to the Swarm is found there first. A name that a person has
// chosen stays.
func NetworkName(p *spec.Project, n spec.Network) string {
	if n.External || n.Name != p.Name+"_"+n.Key {
		return n.Name
	}
	return p.Name + "-" + n.Key
}

// HookName is the name of the service that runs a hook for a revision.
func HookName(project string, w *spec.Workload, hook string) string {
	return ServiceName(project, w.Name) + "_" + hook + "_" + w.Revision[:min(8, len(w.Revision))]
}

// Service returns the service of a workload. The defaults that Swarm would fill in are in it,
// so that it can be compared with the service that a manager returns.
func Service(p *spec.Project, w *spec.Workload, o Objects) swarm.ServiceSpec {
	s := swarm.ServiceSpec{
		Annotations: swarm.Annotations{Name: ServiceName(p.Name, w.Name), Labels: serviceLabels(p, w)},
		TaskTemplate: swarm.TaskSpec{
			ContainerSpec: containerSpec(p, w, o),
			Resources:     resources(w.Template),
			RestartPolicy: restartPolicy(w),
			Placement:     placement(w.Template, o.Node),
			Networks:      networks(p, w, o),
			LogDriver:     logDriver(w.Template),
			Runtime:       swarm.RuntimeContainer,
		},
		Mode:         mode(w),
		EndpointSpec: endpoint(w.Template),
	}
	if w.Kind != spec.Job {
		s.UpdateConfig = updateConfig(w)
	} else {
		s.EndpointSpec = nil // a job publishes nothing
	}
	return s
}

// Hook is the job that runs a pre-rollout hook of a workload.
func Hook(p *spec.Project, w *spec.Workload, h spec.Hook, o Objects) swarm.ServiceSpec {
	s := Service(p, w, o)
	s.TaskTemplate.ContainerSpec.Args = h.Command
	return once(p, w, h.Name, s)
}

// serviceLabels are those of a service: deploy.labels, and over them Compose's and tend's.
func serviceLabels(p *spec.Project, w *spec.Workload) map[string]string {
	labels := map[string]string{}
	if d := w.Template.Deploy; d != nil {
		maps.Copy(labels, d.Labels)
	}
	maps.Copy(labels, map[string]string{
		spec.LabelProject: p.Name, spec.LabelService: w.Name, spec.LabelWorkingDir: p.WorkingDir,
		spec.LabelRevision: w.Revision, spec.LabelKind: string(w.Kind),
	})
	return labels
}

// containerSpec is what a task's container is made from.
func containerSpec(p *spec.Project, w *spec.Workload, o Objects) *swarm.ContainerSpec {
	t, grace := w.Template, w.StopGrace
	labels := maps.Clone(map[string]string(t.Labels))
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, map[string]string{spec.LabelProject: p.Name, spec.LabelService: w.Name, spec.LabelRevision: w.Revision})
	return &swarm.ContainerSpec{
		Image: cmp.Or(o.Image, w.Image), Labels: labels,
		Command: t.Entrypoint, Args: t.Command, Hostname: t.Hostname, Env: environment(t.Environment),
		Dir: t.WorkingDir, User: t.User, Groups: t.GroupAdd, Init: t.Init,
		StopSignal: t.StopSignal, StopGracePeriod: &grace,
		TTY: t.Tty, OpenStdin: t.StdinOpen, ReadOnly: t.ReadOnly,
		Mounts:      mounts(p, w),
		Healthcheck: healthcheck(t.HealthCheck),
		Hosts:       hosts(t.ExtraHosts),
		DNSConfig:   dns(t),
		Secrets:     secrets(t.Secrets, o), Configs: configs(t.Configs, o),
		Isolation: container.IsolationDefault,
		Sysctls:   t.Sysctls, CapabilityAdd: capabilities(t.CapAdd), CapabilityDrop: capabilities(t.CapDrop),
		Ulimits: ulimits(t.Ulimits),
	}
}

// environment lists the variables, sorted; one without a value removes the image's.
func environment(variables types.MappingWithEquals) (env []string) {
	for name, value := range variables {
		if value == nil {
			env = append(env, name)
		} else {
			env = append(env, name+"="+*value)
		}
	}
	slices.Sort(env)
	return env
}

// hosts are lines of /etc/hosts, as Swarm wants them.
func hosts(all types.HostsList) (lines []string) {
	for name, addresses := range all {
		for _, ip := range addresses {
			lines = append(lines, ip+" "+name)
		}
	}
	slices.Sort(lines)
	return lines
}

func dns(t types.ServiceConfig) *swarm.DNSConfig {
	if len(t.DNS)+len(t.DNSSearch)+len(t.DNSOpts) == 0 {
		return nil
	}
	return &swarm.DNSConfig{Nameservers: t.DNS, Search: t.DNSSearch, Options: t.DNSOpts}
}

// capabilities are as the kernel names them.
func capabilities(all []string) (names []string) {
	for _, c := range all {
		c = strings.ToUpper(c)
		if c != "ALL" && !strings.HasPrefix(c, "CAP_") {
			c = "CAP_" + c
		}
		names = append(names, c)
	}
	return names
}

func ulimits(all map[string]*types.UlimitsConfig) (limits []*container.Ulimit) {
	for _, name := range slices.Sorted(maps.Keys(all)) {
		u := all[name]
		limits = append(limits, &container.Ulimit{Name: name, Soft: int64(cmp.Or(u.Soft, u.Single)), Hard: int64(cmp.Or(u.Hard, u.Single))})
	}
	return limits
}

func healthcheck(h *types.HealthCheckConfig) *container.HealthConfig {
	switch {
	case h == nil:
		return nil
	case h.Disable:
		return &container.HealthConfig{Test: []string{"NONE"}}
	}
	config := &container.HealthConfig{Test: h.Test, Interval: duration(h.Interval), Timeout: duration(h.Timeout), StartPeriod: duration(h.StartPeriod)}
	if h.Retries != nil {
		config.Retries = int(*h.Retries)
	}
	return config
}

func duration(d *types.Duration) time.Duration {
	if d == nil {
		return 0
	}
	return time.Duration(*d)
}

// mode is how many tasks there are, and whether they run to completion.
func mode(w *spec.Workload) swarm.ServiceMode {
	n := uint64(w.Replicas)
	if w.Kind == spec.Job {
		return swarm.ServiceMode{ReplicatedJob: &swarm.ReplicatedJob{MaxConcurrent: &n, TotalCompletions: &n}}
	}
	if w.Global != nil {
		return swarm.ServiceMode{Global: &swarm.GlobalService{}}
	}
	return swarm.ServiceMode{Replicated: &swarm.ReplicatedService{Replicas: &n}}
}

// leastMonitor is how long Swarm watches a new task for failure where nothing longer is
// written: its own default.
const leastMonitor = 5 * time.Second

// updateConfig is how Swarm replaces tasks. It pauses on the first failure, as tend decides
// what follows.
func updateConfig(w *spec.Workload) *swarm.UpdateConfig {
	u := &swarm.UpdateConfig{
		Order: swarm.UpdateOrderStopFirst, Parallelism: uint64(max(1, w.Strategy.MaxUnavailable)),
		Delay: w.MinReady, Monitor: max(w.MinReady, leastMonitor), FailureAction: swarm.UpdateFailureActionPause,
	}
	switch {
	case w.Strategy.Type == spec.Recreate:
		u.Parallelism = 0 // all at once
	case w.Strategy.MaxSurge > 0:
		u.Order, u.Parallelism = swarm.UpdateOrderStartFirst, uint64(w.Strategy.MaxSurge)
	}
	return u
}

// restartPolicy is which tasks Swarm replaces, and when.
func restartPolicy(w *spec.Workload) *swarm.RestartPolicy {
	conditions := map[spec.RestartCondition]swarm.RestartPolicyCondition{
		spec.RestartAny: swarm.RestartPolicyConditionAny, spec.RestartOnFailure: swarm.RestartPolicyConditionOnFailure, spec.RestartNone: swarm.RestartPolicyConditionNone,
	}
	delay, most := 5*time.Second, uint64(w.Restart.MaxAttempts) // Swarm's own
	r := &swarm.RestartPolicy{Condition: conditions[w.Restart.Condition], Delay: &delay, MaxAttempts: &most}
	if w.Kind == spec.Job {
		most = uint64(w.BackoffLimit)
		if r.Condition = swarm.RestartPolicyConditionOnFailure; most == 0 {
			r.Condition = swarm.RestartPolicyConditionNone
		}
	}
	if d := w.Template.Deploy; d != nil && d.RestartPolicy != nil {
		if d.RestartPolicy.Delay != nil {
			delay = time.Duration(*d.RestartPolicy.Delay)
		}
		if d.RestartPolicy.Window != nil {
			window := time.Duration(*d.RestartPolicy.Window)
			r.Window = &window
		}
	}
	return r
}

// pinned is how a constraint begins that keeps a service on one node.
const pinned = "node.id=="

// PinOf returns the node that constraints keep a service on; empty where that is none.
func PinOf(constraints []string) string {
	for _, c := range constraints {
		if node, ok := strings.CutPrefix(strings.ReplaceAll(c, " ", ""), pinned); ok {
			return node
		}
	}
	return ""
}

// PinnedTo returns the node that a service is kept on; empty where that is none.
func PinnedTo(s swarm.ServiceSpec) string {
	if s.TaskTemplate.Placement == nil {
		return ""
	}
	return PinOf(s.TaskTemplate.Placement.Constraints)
}

// Constraints are those that are written for a workload.
func Constraints(w *spec.Workload) []string {
	if d := w.Template.Deploy; d != nil {
		return d.Placement.Constraints
	}
	return nil
}

func placement(t types.ServiceConfig, node string) *swarm.Placement {
	p := &swarm.Placement{}
	if d := t.Deploy; d != nil {
		p.Constraints, p.MaxReplicas = slices.Clone(d.Placement.Constraints), d.Placement.MaxReplicas
		for _, preference := range d.Placement.Preferences {
			p.Preferences = append(p.Preferences, swarm.PlacementPreference{Spread: &swarm.SpreadOver{SpreadDescriptor: preference.Spread}})
		}
	}
	if node != "" && PinOf(p.Constraints) == "" {
		p.Constraints = append(p.Constraints, pinned+node)
	}
	p.Platforms = platforms(t)
	return p
}

// platforms are those of the nodes that may run a template; none where each may.
func platforms(t types.ServiceConfig) []swarm.Platform {
	os, rest, ok := strings.Cut(t.Platform, "/")
	if !ok {
		return nil
	}
	arch, _, _ := strings.Cut(rest, "/")
	return []swarm.Platform{{OS: os, Architecture: arch}}
}

// Platforms are those of the nodes that may run a workload; none where each may.
func Platforms(w *spec.Workload) []swarm.Platform { return platforms(w.Template) }

// resources are limits and reservations; deploy wins over the older keys.
func resources(t types.ServiceConfig) *swarm.ResourceRequirements {
	l := swarm.Limit{NanoCPUs: int64(t.CPUS * 1e9), MemoryBytes: int64(t.MemLimit), Pids: t.PidsLimit}
	r := swarm.Resources{MemoryBytes: int64(t.MemReservation)}
	if d := t.Deploy; d != nil {
		if limits := d.Resources.Limits; limits != nil {
			l.NanoCPUs = cmp.Or(int64(limits.NanoCPUs*1e9), l.NanoCPUs)
			l.MemoryBytes, l.Pids = cmp.Or(int64(limits.MemoryBytes), l.MemoryBytes), cmp.Or(limits.Pids, l.Pids)
		}
		if reserved := d.Resources.Reservations; reserved != nil {
			r.NanoCPUs, r.MemoryBytes = int64(reserved.NanoCPUs*1e9), cmp.Or(int64(reserved.MemoryBytes), r.MemoryBytes)
			for _, g := range reserved.GenericResources {
				if s := g.DiscreteResourceSpec; s != nil {
					r.GenericResources = append(r.GenericResources, swarm.GenericResource{DiscreteResourceSpec: &swarm.DiscreteGenericResource{Kind: s.Kind, Value: s.Value}})
				}
			}
		}
	}
	all := &swarm.ResourceRequirements{}
	if l != (swarm.Limit{}) {
		all.Limits = &l
	}
	if r.NanoCPUs != 0 || r.MemoryBytes != 0 || len(r.GenericResources) > 0 {
		all.Reservations = &r
	}
	return all
}

func logDriver(t types.ServiceConfig) *swarm.Driver {
	if t.Logging == nil {
		return nil
	}
	return &swarm.Driver{Name: t.Logging.Driver, Options: t.Logging.Options}
}

// networks are the attachments of a service, each with the name of the service there.
func networks(p *spec.Project, w *spec.Workload, o Objects) (all []swarm.NetworkAttachmentConfig) {
	for _, name := range w.Networks {
		a := swarm.NetworkAttachmentConfig{Target: cmp.Or(o.Networks[name], name), Aliases: []string{w.Name}}
		if n := w.Template.Networks[p.Networks[name].Key]; n != nil {
			a.Aliases, a.DriverOpts = append(a.Aliases, n.Aliases...), n.DriverOpts
		}
		all = append(all, a)
	}
	return all
}

func endpoint(t types.ServiceConfig) *swarm.EndpointSpec {
	e := &swarm.EndpointSpec{Mode: swarm.ResolutionModeVIP}
	if d := t.Deploy; d != nil && d.EndpointMode != "" {
		e.Mode = swarm.ResolutionMode(d.EndpointMode)
	}
	for _, p := range t.Ports {
		port, _ := strconv.ParseUint(p.Published, 10, 16)
		e.Ports = append(e.Ports, swarm.PortConfig{
			Protocol: swarm.PortConfigProtocol(p.Protocol), TargetPort: p.Target, PublishedPort: uint32(port),
			PublishMode: swarm.PortConfigPublishMode(cmp.Or(p.Mode, "ingress")),
		})
	}
	return e
}
