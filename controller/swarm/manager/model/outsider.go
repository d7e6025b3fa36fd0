package model

import (
	"slices"

	"github.com/docker/docker/api/types/swarm"

	"github.com/tendhq/tend/controller/swarm/manager"
)

// Truth is all that the Swarm has, of whatever project, whether or not a manager answers.
type Truth struct {
	Services []manager.Service
	Tasks    []manager.Task
	Nodes    []manager.Node
	Secrets  []string
	Configs  []string
}

// Truth returns what there is. Its specs are the model's own, and only to be read.
func (s *Swarm) Truth() (all Truth) {
	s.agenda.Lock()
	defer s.agenda.Unlock()
	for _, of := range sorted(s.services) {
		view := of.Service
		view.Running, view.Desired, view.Completed = s.counts(of)
		all.Services = append(all.Services, view)
	}
	for _, t := range s.tasks {
		all.Tasks = append(all.Tasks, t.Task)
	}
	for _, n := range s.nodes {
		all.Nodes = append(all.Nodes, n.Node)
	}
	for _, o := range sorted(s.secrets) {
		all.Secrets = append(all.Secrets, o.name)
	}
	for _, o := range sorted(s.configs) {
		all.Configs = append(all.Configs, o.name)
	}
	return all
}

// Refuse has every request fail as Unavailable with an error, as manager.ErrNoSwarm, until
// it is called with nil.
func (s *Swarm) Refuse(err error) {
	s.agenda.Lock()
	defer s.agenda.Unlock()
	s.refusal = err
}

// ForgetLastWrite undoes the last change that was asked for, as where a Swarm comes back from
// a backup that is older than that.
func (s *Swarm) ForgetLastWrite() {
	s.agenda.Lock()
	defer s.agenda.Unlock()
	if undo := s.undo; undo != nil {
		s.undo = nil
		undo()
	}
}

// UpdateBehind changes a service's spec by its name, as a person does.
func (s *Swarm) UpdateBehind(name string, change func(*swarm.ServiceSpec)) {
	s.agenda.Lock()
	defer s.agenda.Unlock()
	for _, of := range s.services {
		if of.Spec.Name == name {
			spec := copied(of.Spec)
			change(&spec)
			s.setSpec(of, spec)
		}
	}
}

// Exit has the container of a running task end by itself.
func (s *Swarm) Exit(id string, code int) {
	s.agenda.Lock()
	defer s.agenda.Unlock()
	if i := slices.IndexFunc(s.tasks, func(t *task) bool { return t.ID == id }); i >= 0 {
		s.exit(s.tasks[i], code)
	}
}
