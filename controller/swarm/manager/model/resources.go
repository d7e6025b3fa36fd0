package model

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/swarm/manager"
)

// object is a secret or a config.
type object struct {
	id, name string
	labels   map[string]string
	created  time.Time
}

// network is a network, whose driver is empty until it has got its addresses.
type network struct {
	manager.Network
	subnet int
}

// selected reports whether a list is to have an object.
func selected(labels map[string]string, name, project string, names []string) bool {
	return labels[engine.ProjectLabel] == project || slices.Contains(names, name)
}

// Networks lists networks.
func (s *Swarm) Networks(ctx context.Context, project string, names ...string) (found []manager.Network, err error) {
	err = s.do(ctx, OpNetworks, project, func() error {
		for _, n := range s.networks {
			if selected(n.Labels, n.Name, project, names) {
				of := n.Network
				of.Labels = maps.Clone(n.Labels)
				found = append(found, of)
			}
		}
		return nil
	})
	slices.SortFunc(found, func(a, b manager.Network) int { return cmp.Compare(a.Name, b.Name) })
	return found, err
}

// CreateNetwork makes a network.
func (s *Swarm) CreateNetwork(ctx context.Context, n engine.NetworkSpec) (id string, err error) {
	err = s.do(ctx, OpCreateNetwork, n.Name, func() error {
		if s.networkNamed(n.Name) != nil {
			return failure(engine.Conflict, "network with name %s already exists", n.Name)
		}
		made := &network{Network: manager.Network{ID: s.newID(), Name: n.Name, Attachable: n.Config.Attachable, Labels: maps.Clone(n.Labels)}, subnet: len(s.networks)}
		id = made.ID
		s.networks[id] = made
		s.changed()
		s.emit("network", "create", id, n.Name)
		s.undo = func() { delete(s.networks, id) }
		s.agenda.After(step, func() {
			if s.networks[id] == nil {
				return
			}
			made.Driver = cmp.Or(n.Config.Driver, "overlay")
			s.emit("network", "update", id, n.Name)
		})
		return nil
	})
	return id, err
}

// RemoveNetwork removes a network.
func (s *Swarm) RemoveNetwork(ctx context.Context, id string) error {
	return s.do(ctx, OpRemoveNetwork, id, func() error {
		n := s.networks[id]
		if n == nil {
			return nil
		}
		attached := func(t swarm.TaskSpec) bool {
			return slices.ContainsFunc(t.Networks, func(a swarm.NetworkAttachmentConfig) bool { return a.Target == id })
		}
		for _, of := range s.services {
			if attached(of.Spec.TaskTemplate) {
				return failure(engine.Conflict, "network %s is in use by service %s", id, of.ID)
			}
		}
		for _, t := range s.tasks {
			if attached(t.Spec) && t.live() && !t.ended() {
				return failure(engine.Conflict, "network %s is in use by task %s", id, t.ID)
			}
		}
		delete(s.networks, id)
		s.changed()
		s.emit("network", "remove", id, n.Name)
		s.undo = func() { s.networks[id] = n }
		return nil
	})
}

// networkNamed finds a network by its name or ID; nil where there is none.
func (s *Swarm) networkNamed(name string) *network {
	for _, n := range s.networks {
		if n.Name == name || n.ID == name {
			return n
		}
	}
	return nil
}

// address is the next one that a network has.
func (s *Swarm) address(n *network) string {
	s.addresses++
	return fmt.Sprintf("10.%d.%d.%d", n.subnet+1, s.addresses/250, s.addresses%250+2)
}

// The most bytes that a secret and a config may have (swarmkit's validation of payloads).
const (
	secretLimit = 500 << 10
	configLimit = 1000 << 10
)

// Secrets lists secrets.
func (s *Swarm) Secrets(ctx context.Context, project string, names ...string) (found []manager.Secret, err error) {
	err = s.do(ctx, OpSecrets, project, func() error {
		for _, o := range listed(s.secrets, project, names) {
			found = append(found, manager.Secret{ID: o.id, Name: o.name, Labels: maps.Clone(o.labels), CreatedAt: o.created})
		}
		return nil
	})
	return found, err
}

// CreateSecret makes a secret.
func (s *Swarm) CreateSecret(ctx context.Context, of swarm.SecretSpec) (id string, err error) {
	err = s.do(ctx, OpCreateSecret, of.Name, func() (err error) {
		id, err = s.createObject("secret", s.secrets, of.Annotations, len(of.Data), secretLimit)
		return err
	})
	return id, err
}

// RemoveSecret removes a secret.
func (s *Swarm) RemoveSecret(ctx context.Context, id string) error {
	return s.do(ctx, OpRemoveSecret, id, func() error {
		return s.removeObject("secret", s.secrets, id, func(c *swarm.ContainerSpec) bool {
			return slices.ContainsFunc(c.Secrets, func(r *swarm.SecretReference) bool { return r.SecretID == id })
		})
	})
}

// Configs lists configs.
func (s *Swarm) Configs(ctx context.Context, project string, names ...string) (found []manager.Config, err error) {
	err = s.do(ctx, OpConfigs, project, func() error {
		for _, o := range listed(s.configs, project, names) {
			found = append(found, manager.Config{ID: o.id, Name: o.name, Labels: maps.Clone(o.labels), CreatedAt: o.created})
		}
		return nil
	})
	return found, err
}

// CreateConfig makes a config.
func (s *Swarm) CreateConfig(ctx context.Context, of swarm.ConfigSpec) (id string, err error) {
	err = s.do(ctx, OpCreateConfig, of.Name, func() (err error) {
		id, err = s.createObject("config", s.configs, of.Annotations, len(of.Data), configLimit)
		return err
	})
	return id, err
}

// RemoveConfig removes a config.
func (s *Swarm) RemoveConfig(ctx context.Context, id string) error {
	return s.do(ctx, OpRemoveConfig, id, func() error {
		return s.removeObject("config", s.configs, id, func(c *swarm.ContainerSpec) bool {
			return slices.ContainsFunc(c.Configs, func(r *swarm.ConfigReference) bool { return r.ConfigID == id })
		})
	})
}

func listed(of map[string]*object, project string, names []string) []*object {
	var found []*object
	for _, o := range of {
		if selected(o.labels, o.name, project, names) {
			found = append(found, o)
		}
	}
	slices.SortFunc(found, func(a, b *object) int { return cmp.Compare(a.name, b.name) })
	return found
}

func (s *Swarm) createObject(kind string, all map[string]*object, of swarm.Annotations, size, limit int) (string, error) {
	for _, o := range all {
		if o.name == of.Name {
			return "", failure(engine.Conflict, "%s %s already exists", kind, of.Name)
		}
	}
	if of.Name == "" || size == 0 || size > limit {
		return "", failure(engine.Invalid, "a %s has a name, and 1 to %d bytes", kind, limit)
	}
	o := &object{id: s.newID(), name: of.Name, labels: maps.Clone(of.Labels), created: s.agenda.Now}
	all[o.id] = o
	s.changed()
	s.emit(kind, "create", o.id, o.name)
	s.undo = func() { delete(all, o.id) }
	return o.id, nil
}

func (s *Swarm) removeObject(kind string, all map[string]*object, id string, uses func(*swarm.ContainerSpec) bool) error {
	o := all[id]
	if o == nil {
		return nil
	}
	var users []string
	for _, of := range s.services {
		if c := of.Spec.TaskTemplate.ContainerSpec; c != nil && uses(c) {
			users = append(users, of.Spec.Name)
		}
	}
	if len(users) > 0 {
		slices.Sort(users)
		return failure(engine.Conflict, "%s '%s' is in use by the following services: %s", kind, o.name, strings.Join(users, ", "))
	}
	delete(all, id)
	s.changed()
	s.emit(kind, "remove", id, o.name)
	s.undo = func() { all[id] = o }
	return nil
}
