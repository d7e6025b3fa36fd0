package migrate

import (
	"context"
	"slices"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/plan/services"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/swarm/convert"
	"github.com/tendhq/tend/controller/swarm/manager"
	"github.com/tendhq/tend/state"
)

// world is what both sides have, by one look.
type world struct {
	containers []engine.Container
	services   []manager.Service
	tasks      []manager.Task
	overlays   map[string]bool // those that are there, by name
	lost       map[string]bool // the nodes that are not there
}

func (m *move) look(ctx context.Context) (w world, err error) {
	if w.containers, err = m.Engine.Containers(ctx, m.Docker.Name); err != nil {
		return w, err
	}
	w.containers = slices.DeleteFunc(w.containers, func(c engine.Container) bool { return m.Folders.Foreign(c.Labels) != "" })
	if w.services, err = m.Manager.Services(ctx, m.Docker.Name); err != nil {
		return w, err
	}
	if w.tasks, err = m.Manager.Tasks(ctx, m.Docker.Name); err != nil {
		return w, err
	}
	nodes, err := m.Manager.Nodes(ctx)
	if err != nil {
		return w, err
	}
	w.lost = map[string]bool{}
	for _, n := range nodes {
		w.lost[n.ID] = !n.There()
	}
	networks, err := m.Manager.Networks(ctx, m.Docker.Name)
	w.overlays = map[string]bool{}
	for _, n := range networks {
		w.overlays[n.Name] = n.Driver != ""
	}
	return w, err
}

// input is what a plan depends on.
func (m *move) input(w world) Input {
	in := Input{To: m.To}
	joined := !slices.ContainsFunc(w.containers, func(c engine.Container) bool { return len(m.unjoined(c)) > 0 })
	docker, swarm := m.containers.State().Snapshot(), m.Services.State().Snapshot()
	for _, name := range m.order {
		on := m.Swarm.Workloads[name]
		one := Workload{
			Name: name, DependsOn: dependencies(on), Joined: m.plan.Join && joined, Job: on.Kind == spec.Job, Database: on.Kind == spec.Database, Alone: alone(m.Docker.Workloads[name], on),
			Published: len(m.ingresses(name)) > 0, Stays: m.Stays[name], Failed: m.failed[name], Noted: m.noted[name], Prepared: m.prepared[name],
			On: map[Side]Seen{
				Docker: m.seen(Docker, docker, name, on.Kind == spec.Job, onEngine(w, name)),
				Swarm:  m.seen(Swarm, swarm, name, on.Kind == spec.Job, onSwarm(w, on)),
			},
		}
		seen := one.On[Docker]
		for _, ingress := range m.ingresses(name) {
			held := m.seen(Docker, docker, ingress, false, hasIngress(w, ingress))
			one.Held = one.Held || held.There
			if m.plan.Ingress[name] {
				seen.Converged = seen.Converged && held.Converged
				seen.Stalled += held.Stalled
			}
		}
		one.On[Docker] = seen
		in.Workloads = append(in.Workloads, one)
	}
	return in
}

// dependencies names what a workload depends on.
func dependencies(w *spec.Workload) (names []string) {
	for _, d := range w.DependsOn {
		names = append(names, d.Name)
	}
	return names
}

// alone reports whether a workload must be gone from one side before it may be on the other.
func alone(docker, swarm *spec.Workload) bool {
	return len(docker.Contended()) > 0 || len(swarm.Contended()) > 0 || len(docker.FixedHostPorts) > 0
}

// seen is what a side has of a workload: what was listed, and what its controller has
// concluded of that. A side whose controller still knows the workload may still make it.
func (m *move) seen(side Side, snap *state.Snapshot, name string, job, listed bool) Seen {
	kept := m.plan.Keep[side][spec.ServiceOf(name)]
	if m.plan.Keep == nil {
		kept = listed // a side keeps what it has until the first plan
	}
	status, known := snap.Status(name)
	s := Seen{There: listed || known, Kept: kept}
	row, written := snap.Workload(name)
	if !known || !written || !kept || status.ObservedGeneration != row.Generation {
		return s
	}
	s.Converged = status.Converged
	s.Ran = job && status.Converged
	if status.Outcome.Halted() {
		s.Stalled = status.Obstacle
	}
	return s
}

// onEngine reports whether the engine has a container of a workload, or of its hooks.
func onEngine(w world, name string) bool {
	return slices.ContainsFunc(w.containers, func(c engine.Container) bool {
		oneOff := c.Labels[spec.LabelOneoff] == "True" && c.Labels[spec.LabelHook] == ""
		return c.Labels[spec.LabelService] == name && !oneOff
	})
}

// hasIngress reports whether the engine has the container of an ingress.
func hasIngress(w world, name string) bool {
	return slices.ContainsFunc(w.containers, func(c engine.Container) bool { return c.Labels[spec.LabelIngress] == name })
}

// onSwarm reports whether the Swarm has the service of a workload, or a task that may still
// run. One that writes nowhere is not waited for where its node is lost, as nobody can tell
// when it ends.
func onSwarm(w world, of *spec.Workload) bool {
	writes := len(of.Contended()) > 0
	return slices.ContainsFunc(w.services, func(s manager.Service) bool { return s.Spec.Labels[spec.LabelService] == of.Name }) ||
		slices.ContainsFunc(w.tasks, func(t manager.Task) bool {
			c := t.Spec.ContainerSpec
			return c != nil && c.Labels[spec.LabelService] == of.Name && !services.Over(t) && (writes || !w.lost[t.NodeID])
		})
}

// serviceOf is the service of a workload, and the node of a task of it that runs.
func serviceOf(w world, project, name string) (service *manager.Service, node string) {
	for i, s := range w.services {
		if s.Spec.Name == convert.ServiceName(project, name) {
			service = &w.services[i]
		}
	}
	for _, t := range w.tasks {
		if service != nil && t.ServiceID == service.ID && !services.Over(t) {
			node = t.NodeID
		}
	}
	return service, node
}
