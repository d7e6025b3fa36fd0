package state

import (
	"time"

	"github.com/tendhq/tend/controller/plan"
	"github.com/tendhq/tend/controller/spec"
)

// Made returns the workload that a container of a revision was or is to be made from: as
// it is written, or an earlier revision of it; nil where that is not known. A container
// that docker compose made has no revision, and counts as made from what is written.
func (s *Snapshot) Made(workload, revision string) *spec.Workload {
	row, ok := s.Workload(workload)
	if !ok {
		return nil
	}
	if revision == "" || revision == row.Spec.Revision {
		return row.Spec
	}
	if earlier, ok := s.Revision(workload, revision); ok {
		return row.Spec.WithTemplateOf(earlier.Spec)
	}
	return nil
}

// Probed returns a replica with the results of tend's own probes in the place of the
// container's health check, where its workload has probes. A workload that is not written
// any more keeps the last results; a revision of which nothing is remembered is asked
// nothing, and the health check tells.
func (s *Snapshot) Probed(r plan.Replica) plan.Replica {
	row, known := s.Probe(r.ID)
	known = known && row.StartedAt.Equal(r.StartedAt) // of this run
	_, written := s.Workload(r.Workload)
	has := known && !written
	if w := s.Made(r.Workload, r.Revision); w != nil {
		has = w.Probes.Any()
	}
	if !has || r.State != plan.Running {
		return r
	}
	r.Probed, r.HealthExitCode = true, 0
	r.Health, r.ReadySince, r.HealthOutput, r.WasReady = plan.Starting, time.Time{}, "", false
	if !known {
		return r
	}
	r.WasReady, r.HealthOutput = row.WasReady, row.Message
	switch {
	case !row.Live:
		r.Health = plan.Unhealthy
	case !row.Started || !row.Ready && !row.WasReady:
		r.Health = plan.Starting
	case !row.Ready:
		r.Health = plan.Unready
	default:
		r.Health, r.ReadySince = plan.Healthy, row.Since
	}
	return r
}

// IsReady reports whether a replica does what it should, on all the networks that it is
// known to have been made for.
func (s *Snapshot) IsReady(r plan.Replica) bool {
	w := s.Made(r.Workload, r.Revision)
	lost := w != nil && (r.Revision != "" || r.ConfigHash == w.ConfigHash) && plan.LostNetwork(r, w) != ""
	return !lost && plan.IsReady(s.Probed(r))
}
