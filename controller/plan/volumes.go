package plan

import (
	"cmp"
	"slices"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
)

// anonymous returns the anonymous volumes of each number: what was known, and
// over it what the replicas that exist have, of two that share a number the
// younger. A container that was never started has written nothing, and adds only
// what is not known. It returns nil where there are none.
func anonymous(known map[int]map[string]string, replicas []core.Replica) map[int]map[string]string {
	type held struct {
		of core.Replica
		core.Mount
	}
	var seen []held
	for _, r := range replicas {
		for _, m := range r.Mounts {
			if m.Anonymous && r.Number >= 1 {
				seen = append(seen, held{r, m})
			}
		}
	}
	if len(seen) == 0 {
		return known
	}
	slices.SortFunc(seen, func(a, b held) int {
		return cmp.Or(a.of.Created.Compare(b.of.Created), cmp.Compare(a.of.ID, b.of.ID), cmp.Compare(a.Source, b.Source))
	})
	all := clone(known)
	copied := map[int]bool{}
	for _, h := range seen {
		n := h.of.Number
		if !copied[n] {
			all[n], copied[n] = clone(all[n]), true
		}
		if _, known := all[n][h.Target]; !known || !h.of.StartedAt.IsZero() {
			all[n][h.Target] = h.Source
		}
	}
	return all
}

// oneAtATime returns the spec with a strategy under which a volume never has two
// containers of the workload at a time: an update stops the old one, and sees it
// gone, before the new one is created. The strategy of the spec allows for the
// volumes that are written; of those that only the engine knows, as an image's,
// the replicas tell, and the record of a number that has no replica now.
func oneAtATime(s *spec.Workload, replicas []core.Replica, anonymous map[int]map[string]string) *spec.Workload {
	if s == nil || s.Strategy.MaxSurge == 0 || s.SurgeAsked {
		return s
	}
	exclusive := vacant(s, replicas, anonymous) || slices.ContainsFunc(replicas, func(r core.Replica) bool {
		return slices.ContainsFunc(r.Mounts, func(m core.Mount) bool {
			// An anonymous volume belongs to its number, however many there are.
			return (m.Anonymous || s.Replicas <= 1) && !s.Shares(m.Target)
		})
	})
	if !exclusive {
		return s
	}
	alone := *s
	alone.Strategy = s.Strategy.WithSurge(0)
	return &alone
}

// vacant reports whether a wanted number has an anonymous volume and no container:
// the next one mounts it.
func vacant(s *spec.Workload, replicas []core.Replica, anonymous map[int]map[string]string) bool {
	for n, mounts := range anonymous {
		taken := slices.ContainsFunc(replicas, func(r core.Replica) bool { return r.Number == n && r.ID != "" })
		for target := range mounts {
			if n <= s.Replicas && !taken && !s.Shares(target) {
				return true
			}
		}
	}
	return false
}

// otherWriter names a running container of the workload that has a volume or bind
// which an exited one would write to as well, if it were started; empty where that
// is allowed, or there is none.
func (t *target) otherWriter(exited replica) string {
	if t.desired.Replicas > 1 || t.desired.SurgeAsked {
		return "" // they are written to share
	}
	for _, r := range t.replicas {
		if r.ID == exited.ID || !r.runs() {
			continue
		}
		for _, m := range r.Mounts {
			sameSource := func(other core.Mount) bool {
				return other.Source == m.Source && !t.desired.Shares(other.Target)
			}
			if slices.ContainsFunc(exited.Mounts, sameSource) {
				return r.Name
			}
		}
	}
	return ""
}
