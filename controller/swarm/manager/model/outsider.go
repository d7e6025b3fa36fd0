package model

import (
	"slices"

	"github.com/docker/docker/api/types/swarm"
)

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
