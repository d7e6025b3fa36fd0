package model

import (
	"context"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/swarm"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/swarm/manager"
)

// service is a service, and what the leader remembers of it.
type service struct {
	manager.Service
	// specVersion is the version of its spec; previous is the one before, which Swarm goes
	// back to by itself.
	specVersion uint64
	previous    *swarm.ServiceSpec
	// rollout is the update under way; nil where there is none.
	rollout *rollout
	// restarts are those of each slot.
	restarts map[slot]*restarts
}

func (of *service) job() *swarm.ReplicatedJob { return of.Spec.Mode.ReplicatedJob }

// Services lists services.
func (s *Swarm) Services(ctx context.Context, project string) (found []manager.Service, err error) {
	err = s.do(ctx, OpServices, project, func() error {
		for _, of := range s.services {
			if of.Spec.Labels[engine.ProjectLabel] != project && of.Spec.Labels[manager.StackLabel] != project {
				continue
			}
			view := of.Service
			view.Spec = copied(of.Spec)
			view.Running, view.Desired, view.Completed = s.counts(of)
			found = append(found, view)
		}
		return nil
	})
	slices.SortFunc(found, func(a, b manager.Service) int { return strings.Compare(a.Spec.Name, b.Spec.Name) })
	return found, err
}

// counts are how many of a service's tasks run, should, and have ended well.
func (s *Swarm) counts(of *service) (running, desired, completed uint64) {
	for _, t := range s.tasks {
		if t.ServiceID != of.ID || t.JobIteration != of.JobIteration {
			continue
		}
		if t.State == swarm.TaskStateRunning && rank[t.DesiredState] <= rank[swarm.TaskStateComplete] {
			running++
		}
		if t.State == swarm.TaskStateComplete && of.job() != nil {
			completed++
		}
		if of.global() && t.DesiredState == swarm.TaskStateRunning {
			desired++
		}
	}
	if of.job() != nil {
		return running, of.concurrent(), completed
	}
	if of.global() {
		return running, desired, completed
	}
	return running, *of.Spec.Mode.Replicated.Replicas, completed
}

// concurrent is how many tasks a job may have at once, total how many are to end well.
func (of *service) concurrent() uint64 {
	if n := of.job().MaxConcurrent; n != nil {
		return *n
	}
	return 1
}

func (of *service) total() uint64 {
	if n := of.job().TotalCompletions; n != nil {
		return *n
	}
	return of.concurrent()
}

// CreateService makes a service.
func (s *Swarm) CreateService(ctx context.Context, spec swarm.ServiceSpec) (id string, err error) {
	spec = copied(spec)
	err = s.do(ctx, OpCreateService, spec.Name, func() error {
		if err := s.check(&spec); err != nil {
			return err
		}
		for _, other := range s.services {
			if other.Spec.Name == spec.Name {
				return failure(engine.Conflict, "name conflicts with an existing object: service %s already exists", spec.Name)
			}
		}
		of := &service{Service: manager.Service{ID: s.newID(), Version: s.changed(), Spec: spec, CreatedAt: s.agenda.Now, UpdatedAt: s.agenda.Now}, restarts: map[slot]*restarts{}}
		id = of.ID
		s.services[id] = of
		s.emit("service", "create", id, spec.Name)
		s.undo = func() { s.forgetService(id) }
		s.agenda.After(step, func() { s.reconcile(of) })
		return nil
	})
	return id, err
}

// UpdateService gives a service another spec.
func (s *Swarm) UpdateService(ctx context.Context, id string, version uint64, spec swarm.ServiceSpec) error {
	spec = copied(spec)
	return s.do(ctx, OpUpdateService, id, func() error {
		of := s.services[id]
		if of == nil {
			return failure(engine.NotFound, "service %s not found", id)
		}
		if err := s.check(&spec); err != nil {
			return err
		}
		switch {
		case (of.job() == nil) != (spec.Mode.ReplicatedJob == nil), of.global() != (spec.Mode.Global != nil):
			return failure(engine.Invalid, "service mode change is not allowed")
		case of.Spec.Name != spec.Name:
			return failure(engine.Invalid, "renaming services is not supported")
		case of.Version != version:
			return failure(engine.Conflict, "update out of sequence")
		}
		s.setSpec(of, spec)
		before := *of.previous
		s.undo = func() { s.setSpec(of, before) }
		return nil
	})
}

// setSpec gives a service another spec, and begins its rollout.
func (s *Swarm) setSpec(of *service, spec swarm.ServiceSpec) {
	before := of.Spec
	of.previous, of.Spec, of.specVersion, of.Update = &before, spec, of.Version, manager.Update{}
	if of.job() != nil {
		of.JobIteration++
	}
	s.touch(of)
	s.agenda.After(step, func() { s.reconcile(of) })
}

// touch raises a service's version.
func (s *Swarm) touch(of *service) {
	of.Version, of.UpdatedAt = s.changed(), s.agenda.Now
	s.emit("service", "update", of.ID, of.Spec.Name)
}

// RemoveService removes a service.
func (s *Swarm) RemoveService(ctx context.Context, id string) error {
	return s.do(ctx, OpRemoveService, id, func() error {
		of := s.services[id]
		if of == nil {
			return nil
		}
		s.forgetService(id)
		s.changed()
		s.emit("service", "remove", id, of.Spec.Name)
		s.undo = func() {
			s.services[id] = of
			s.reconcile(of)
		}
		return nil
	})
}

// forgetService takes a service away with its tasks, but for those of a job: Docker 20.10
// lets them run, and 2.0.0-beta.24 ends them.
func (s *Swarm) forgetService(id string) {
	of := s.services[id]
	delete(s.services, id)
	if of.job() != nil {
		return
	}
	if of.rollout != nil {
		of.rollout.cancelled = true
		of.rollout = nil
	}
	for _, t := range slices.Clone(s.tasks) {
		if t.ServiceID == id {
			s.setDesired(t, swarm.TaskStateRemove)
		}
	}
}

// serviceName is what swarmkit takes for one.
var serviceName = regexp.MustCompile(`^[a-zA-Z0-9](?:[-_]*[A-Za-z0-9]+)*$`)

// check refuses a spec as swarmkit does, and names its networks by their IDs.
func (s *Swarm) check(spec *swarm.ServiceSpec) error {
	c := spec.TaskTemplate.ContainerSpec
	switch {
	case !serviceName.MatchString(spec.Name) || len(spec.Name) > 63:
		return failure(engine.Invalid, "name must be valid as a DNS name component")
	case c == nil || c.Image == "":
		return failure(engine.Invalid, "ContainerSpec: image reference must be provided")
	case spec.Mode.ReplicatedJob != nil && spec.UpdateConfig != nil:
		return failure(engine.Invalid, "Jobs may not have an update config")
	case spec.Mode.GlobalJob != nil:
		return failure(engine.Invalid, "the model has no global jobs")
	}
	if spec.Mode.Replicated == nil && spec.Mode.ReplicatedJob == nil && spec.Mode.Global == nil {
		spec.Mode.Replicated = &swarm.ReplicatedService{}
	}
	if r := spec.Mode.Replicated; r != nil && r.Replicas == nil {
		one := uint64(1)
		r.Replicas = &one
	}
	if p := spec.TaskTemplate.Placement; p != nil {
		for _, c := range p.Constraints {
			if _, err := parseConstraint(c); err != nil {
				return err
			}
		}
	}
	for i, n := range spec.TaskTemplate.Networks {
		found := s.networkNamed(n.Target)
		if found == nil {
			return failure(engine.NotFound, "network %s not found", n.Target)
		}
		spec.TaskTemplate.Networks[i].Target = found.ID
	}
	return s.checkReferences(spec, c)
}

func (s *Swarm) checkReferences(spec *swarm.ServiceSpec, c *swarm.ContainerSpec) error {
	for _, r := range c.Secrets {
		if o := s.secrets[r.SecretID]; o == nil || o.name != r.SecretName {
			return failure(engine.Invalid, "secret not found: %s", r.SecretName)
		}
	}
	for _, r := range c.Configs {
		if o := s.configs[r.ConfigID]; o == nil || o.name != r.ConfigName {
			return failure(engine.Invalid, "config not found: %s", r.ConfigName)
		}
	}
	if spec.EndpointSpec == nil {
		return nil
	}
	for _, p := range spec.EndpointSpec.Ports {
		if p.PublishMode == swarm.PortConfigPublishModeHost || p.PublishedPort == 0 {
			continue
		}
		if spec.EndpointSpec.Mode == swarm.ResolutionModeDNSRR {
			return failure(engine.Invalid, "EndpointSpec: port published with ingress mode can't be used with dnsrr mode")
		}
		for _, other := range s.services {
			if other.Spec.Name != spec.Name && other.publishes(p) {
				return failure(engine.Exhausted, "port '%d' is already in use by service '%s' (%s) as an ingress port", p.PublishedPort, other.Spec.Name, other.ID)
			}
		}
	}
	return nil
}

// publishes reports whether a service has a published port.
func (of *service) publishes(p swarm.PortConfig) bool {
	return of.Spec.EndpointSpec != nil && slices.ContainsFunc(of.Spec.EndpointSpec.Ports, func(own swarm.PortConfig) bool {
		return own.PublishedPort == p.PublishedPort && own.Protocol == p.Protocol
	})
}

// dirty reports whether a task is not what its service's spec asks for. Where only its
// placement changed, one stays whose node will still do.
func (s *Swarm) dirty(of *service, t *task) bool {
	if t.specVersion == of.specVersion {
		return false
	}
	template, made := of.Spec.TaskTemplate, t.Spec
	if !reflect.DeepEqual(template.Placement, made.Placement) && s.fits(template.Placement, s.node(t.NodeID)) {
		made.Placement = template.Placement
	}
	return !reflect.DeepEqual(template, made) || !reflect.DeepEqual(of.Spec.EndpointSpec, t.endpoint)
}
