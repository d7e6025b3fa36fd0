package swarm

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	swarmapi "github.com/docker/docker/api/types/swarm"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/observe"
	"github.com/tendhq/tend/controller/plan/services"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/swarm/convert"
	"github.com/tendhq/tend/controller/swarm/manager"
)

// seen is what the Swarm has, by one look.
type seen struct {
	services []manager.Service
	tasks    []manager.Task
	nodes    []manager.Node
	networks []manager.Network
	secrets  []manager.Secret
	configs  []manager.Config
}

// look lists all that plans depend on. It is all or nothing.
func look(ctx context.Context, m manager.Manager, p *spec.Project) (s seen, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	// The nodes come first, as theirs is a short list however much there is of the project.
	if s.nodes, err = nodes(ctx, m); err != nil {
		return s, err
	}
	if s.services, err = m.Services(ctx, p.Name); err != nil {
		return s, err
	}
	if s.tasks, err = m.Tasks(ctx, p.Name); err != nil {
		return s, err
	}
	if s.networks, err = m.Networks(ctx, p.Name, slices.Sorted(maps.Keys(p.Networks))...); err != nil {
		return s, err
	}
	var secrets, configs []string
	for key, o := range p.Secrets {
		if o.External {
			secrets = append(secrets, cmp.Or(o.Name, key))
		}
	}
	for key, o := range p.Configs {
		if o.External {
			configs = append(configs, cmp.Or(o.Name, key))
		}
	}
	if s.secrets, err = m.Secrets(ctx, p.Name, secrets...); err != nil {
		return s, err
	}
	s.configs, err = m.Configs(ctx, p.Name, configs...)
	return s, err
}

// nodes lists the nodes, where a leader answers soon.
func nodes(ctx context.Context, m manager.Manager) ([]manager.Node, error) {
	soon, cancel := context.WithTimeout(ctx, leaderTimeout)
	defer cancel()
	all, err := m.Nodes(soon)
	if err != nil && soon.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("the leader of the managers has not answered for %s: %w", leaderTimeout, err)
	}
	return all, err
}

// ours reports whether tend made a service for this folder, and if not, why it is left
// alone.
func ours(s manager.Service, project string, folders observe.Folders) (is bool, why string) {
	labels := s.Spec.Labels
	switch folder := folders.Foreign(labels); {
	case labels[spec.LabelProject] == project && labels[spec.LabelRevision] != "" && folder == "":
		return true, ""
	case labels[spec.LabelProject] == project && labels[spec.LabelRevision] != "":
		return false, fmt.Sprintf("the service %s was made from the project of this name in %s", s.Spec.Name, folder)
	case labels[manager.StackLabel] == project:
		return false, fmt.Sprintf("the stack %s was made by docker stack deploy, and not by tend: it has the service %s", project, s.Spec.Name)
	default:
		return false, fmt.Sprintf("the service %s carries the project's label, and was not made by tend", s.Spec.Name)
	}
}

// foreign is why nothing of the project may be touched: a stack of its name, or a service
// of another folder.
func (l *loop) foreign() string {
	for _, s := range l.seen.services {
		if is, why := ours(s, l.project.Name, l.options.Folders); !is {
			return why
		}
	}
	return ""
}

// workloads names the workloads that have services or tasks. A task on a node that is lost
// ends when that one comes back, and nobody waits for it.
func (s seen) workloads() map[string]bool {
	names := map[string]bool{}
	for _, service := range s.services {
		if name := service.Spec.Labels[spec.LabelService]; name != "" {
			names[name] = true
		}
	}
	lost := s.lost()
	for _, t := range s.tasks {
		if name := workloadOf(t); name != "" && !services.Over(t) && !lost[t.NodeID] {
			names[name] = true
		}
	}
	return names
}

// lost are the nodes that are not there, by ID.
func (s seen) lost() map[string]bool {
	lost := map[string]bool{}
	for _, n := range s.nodes {
		lost[n.ID] = !n.There()
	}
	return lost
}

// leaving reports whether a task is being ended on a node that is there, and is soon gone.
func (s seen) leaving() bool {
	lost := s.lost()
	return slices.ContainsFunc(s.tasks, func(t manager.Task) bool { return services.Leaving(t) && !lost[t.NodeID] })
}

// workloadOf is the workload of a task.
func workloadOf(t manager.Task) string {
	if c := t.Spec.ContainerSpec; c != nil {
		return c.Labels[spec.LabelService]
	}
	return ""
}

// held are the nodes of volumes, as services that mount them are pinned there, and load
// counts the tasks on each node.
func (s seen) held() (held map[string]string, load map[string]int) {
	held, load = map[string]string{}, map[string]int{}
	for _, service := range s.services {
		c, node := service.Spec.TaskTemplate.ContainerSpec, convert.PinnedTo(service.Spec)
		if c == nil || node == "" {
			continue
		}
		for _, m := range c.Mounts {
			if m.Source != "" {
				held[m.Source] = node
			}
		}
	}
	for _, t := range s.tasks {
		if t.NodeID != "" && !services.Over(t) {
			load[t.NodeID]++
		}
	}
	return held, load
}

// replica is a task as the state keeps it.
func replica(t manager.Task, service manager.Service, name string) core.Replica {
	workload := workloadOf(t)
	r := core.Replica{
		Workload: workload, Number: t.Slot, ID: t.ID, Name: name,
		Revision: services.RevisionOf(t), Kind: spec.Kind(service.Spec.Labels[spec.LabelKind]), State: stateOf(t.State),
		ExitCode: t.ExitCode, Created: t.CreatedAt, HealthOutput: t.Err, Addresses: addresses(t),
	}
	if t.Spec.ContainerSpec != nil {
		r.Image = t.Spec.ContainerSpec.Image
	}
	switch t.State {
	case swarmapi.TaskStateRunning:
		r.StartedAt, r.ReadySince = t.Since, t.Since
	case swarmapi.TaskStateStarting:
		r.Health = core.Starting
	}
	if services.Over(t) {
		r.FinishedAt = t.Since
	}
	return r
}

// taskName is the name of a task, as Swarm shows it, with the beginning of its ID. Those of a
// global service have the host names of their nodes in the place of a number.
func taskName(t manager.Task, project string, services []manager.Service, nodes []manager.Node) string {
	slot := fmt.Sprint(t.Slot)
	if slices.ContainsFunc(services, func(s manager.Service) bool { return s.ID == t.ServiceID && s.Spec.Mode.Global != nil }) {
		slot = t.NodeID
		if i := slices.IndexFunc(nodes, func(n manager.Node) bool { return n.ID == t.NodeID }); i >= 0 {
			slot = nodes[i].Hostname
		}
	}
	return fmt.Sprintf("%s.%s.%.12s", convert.ServiceName(project, workloadOf(t)), slot, t.ID)
}

// addresses are those of a task, by network name, without the length of their networks.
func addresses(t manager.Task) map[string]string {
	all := map[string]string{}
	for network, address := range t.Networks {
		all[network], _, _ = strings.Cut(address, "/")
	}
	return all
}

// stateOf is the state of a task in the words of containers.
func stateOf(s swarmapi.TaskState) core.State {
	switch s {
	case swarmapi.TaskStateRunning, swarmapi.TaskStateStarting:
		return core.Running
	case swarmapi.TaskStateComplete, swarmapi.TaskStateShutdown, swarmapi.TaskStateFailed, swarmapi.TaskStateRejected, swarmapi.TaskStateOrphaned:
		return core.Exited
	case swarmapi.TaskStateRemove:
		return core.Removing
	default:
		return core.Created
	}
}

// shownReplicas are the tasks that are shown as replicas.
func (s seen) shownReplicas(project string) (all []core.Replica) {
	byID, tasks := map[string]manager.Service{}, map[string][]manager.Task{}
	for _, service := range s.services {
		byID[service.ID] = service
	}
	for _, t := range s.tasks {
		tasks[t.ServiceID] = append(tasks[t.ServiceID], t)
	}
	for _, t := range s.tasks {
		service := byID[t.ServiceID]
		if service.Spec.Labels[spec.LabelHook] != "" || workloadOf(t) == "" || service.ID == "" && services.Over(t) || !services.Shown(t, tasks[t.ServiceID], service.Spec) {
			continue
		}
		all = append(all, replica(t, service, taskName(t, project, []manager.Service{service}, s.nodes)))
	}
	return all
}
