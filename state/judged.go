package state

import (
	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
)

// Made returns the workload that a container of a revision was made from, or is to be:
// as it is written, or an earlier revision of it; nil where that is not known. A
// container that docker compose made has no revision, and counts as made from what is
// written.
func (s *Snapshot) Made(workload, revision string) *spec.Workload {
	row, ok := s.Workload(workload)
	if !ok {
		return nil
	}
	made := s.templateOf(row, revision)
	if made == nil || made == row.Spec {
		return made
	}
	return row.Spec.WithTemplateOf(made)
}

// Probes are those of a workload at a revision, as Made has them.
func (s *Snapshot) Probes(workload, revision string) spec.Probes {
	row, ok := s.Workload(workload)
	if !ok {
		return spec.Probes{}
	}
	made := s.templateOf(row, revision)
	if made == nil {
		return spec.Probes{}
	}
	return made.Probes
}

// templateOf returns the spec that has the template of a revision: the one that is
// written, or an earlier one; nil where the revision is not known.
func (s *Snapshot) templateOf(row *Workload, revision string) *spec.Workload {
	if revision == "" || revision == row.Spec.Revision {
		return row.Spec
	}
	if earlier, ok := s.Revision(row.Name, revision); ok {
		return earlier.Spec
	}
	return nil
}

// Addressed returns a replica with the addresses of the container whose network it shares,
// where it has none of its own.
func (s *Snapshot) Addressed(r core.Replica) core.Replica {
	for _, j := range r.Joins {
		if joined, ok := s.Replica(j.ID); ok && j.Kind == core.JoinNetwork {
			r.Addresses = joined.Addresses
		}
	}
	return r
}

// Probed returns a replica with the results of tend's own probes in this run, where its
// workload has probes. A workload that is no longer written keeps the last results. A
// revision that nobody remembers has no probes, and its health check counts; so it does where
// a replica was published before its probes were written, until they are answered.
func (s *Snapshot) Probed(r core.Replica) core.Replica {
	r.Probe = nil
	workload, written := s.Workload(r.Workload)
	if written {
		if made := s.templateOf(workload, r.Revision); made == nil || !made.Probed() {
			return r
		}
	}
	row, answered := s.Probe(r.ID)
	switch {
	case answered && row.StartedAt.Equal(r.StartedAt): // in this run
		r.Probe = &row.Probe
	case written && (answered || !s.published(r.ID)):
		r.Probe = &core.Probe{}
	}
	return r
}
