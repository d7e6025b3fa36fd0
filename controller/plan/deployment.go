package plan

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
)

// deployment keeps a number of interchangeable replicas running and moves them
// from one revision to the next. It does the arithmetic of Kubernetes'
// deployment controller (pkg/controller/deployment/rolling.go), with replicas of one
// container each in the place of replica sets.
func (s *steps) deployment() {
	s.stopDrained()
	s.superviseRestarts()
	s.followNetworks()
	s.removeLeftovers()
	gone := s.followJoined()
	s.endHooks()

	updated, old := s.split()
	left := func(r replica) bool { return slices.Contains(gone, r.ID) }
	updated, old = slices.DeleteFunc(updated, left), slices.DeleteFunc(old, left)
	standing := s.number(s.holdsPlace)
	rolling := standing > 0 || len(old) > 0
	if !s.mayRoll(updated, old) {
		s.keepBoth(updated, old)
		return
	}
	if s.desired.Strategy.Type == spec.Recreate {
		s.retire(old, "stopped before revision %s starts, as the strategy is Recreate", short(s.desired.Revision))
		if standing > 0 {
			return
		}
		old = nil
	}

	wanted := s.desired.Replicas
	kept := updated[:min(len(updated), wanted)]
	s.retire(updated[len(kept):], "%s wanted, %d exist", plural(wanted, "replica"), len(updated))
	// As many old replicas may go as leaves enough that are available, or
	// could become so.
	spare := countAvailable(kept) + len(old) - (wanted - s.desired.Strategy.MaxUnavailable)
	leave := old[:min(max(spare, 0), len(old))]
	s.replace(leave)
	s.repair(kept)
	s.repair(old[len(leave):])

	stable := s.createStable(max(s.shareOfStable(len(updated), len(old)), s.shortage(kept, old)))

	limit := wanted
	if rolling {
		limit += s.desired.Strategy.MaxSurge
	}
	n := min(wanted-len(updated), s.room(limit)-len(stable))
	if n <= 0 {
		return
	}
	cause := fmt.Sprintf("%s wanted, %d exist", plural(wanted, "replica"), len(updated))
	switch {
	case len(old) > 0 && old[0].revision == s.desired.Revision:
		cause = s.replacement(old[0])
	case rolling:
		cause = "the rollout to revision " + short(s.desired.Revision)
	}
	s.create(s.desired.Revision, s.free(s.desired.Revision, n, stable...), "%s", cause)
}

// mayRoll reports whether the rollout may go on. It may not while it is paused, while
// what it needs is missing, nor before the pre-rollout hooks have run; then it notes
// what it waits for, and has the next hook run.
func (s *steps) mayRoll(updated, old []replica) bool {
	begins := len(updated) == 0 && (s.earlier() || !s.begun())
	if s.paused() && (len(old) > 0 || begins) {
		return false
	}
	if w := s.lacking(s.desired.Revision); w != nil && len(old) > 0 {
		s.waitFor(*w)
		return false
	}
	return s.runHooks()
}

// keepBoth keeps as many replicas as there should be, of whatever revision, while
// the rollout does not move.
func (s *steps) keepBoth(updated, old []replica) {
	wanted := s.desired.Replicas
	limit := wanted
	if len(updated) > 0 && len(old) > 0 {
		limit += s.desired.Strategy.MaxSurge
	}
	all := slices.Concat(updated, old)
	slices.SortStableFunc(all, func(a, b replica) int {
		return cmp.Or(cmp.Compare(useful(b), useful(a)), cmp.Compare(a.Number, b.Number))
	})
	kept := all[:min(len(all), limit)]
	cause := fmt.Sprintf("%s wanted, %d exist", plural(wanted, "replica"), len(all))
	s.retire(all[len(kept):], "%s", cause)
	s.repair(kept)
	n := s.room(wanted)
	if n > 0 && s.record.Stable == s.desired.Revision {
		s.create(s.desired.Revision, s.free(s.desired.Revision, n), "%s", cause)
		return
	}
	growth := min(s.growth(len(updated), len(old)), n)
	stable := s.createStable(max(n-growth, s.shortage(updated, old)))
	if n -= len(stable); n > 0 && len(updated) > 0 {
		s.create(s.desired.Revision, s.free(s.desired.Revision, n, stable...), "%s", cause)
	}
}

// shortage is how many replicas of the last revision that worked have to come back,
// as others were lost that the rollout counted on: an old one that was taken
// away, or one of the new revision that did not stay available. To Recreate is to
// count on none.
func (s *steps) shortage(updated, old []replica) int {
	strategy := s.desired.Strategy
	if strategy.Type == spec.Recreate {
		return 0
	}
	floor := min(s.desired.Replicas-strategy.MaxUnavailable, s.record.Available)
	return min(floor-countAvailable(updated)-len(old), s.room(s.desired.Replicas+strategy.MaxSurge))
}

// holdsPlace reports whether an old replica keeps its place until it is gone, and with
// it those after it under Recreate. One that has exited does not, as in Kubernetes,
// where it cannot be removed.
func (s *steps) holdsPlace(r replica) bool {
	stuck := r.class == exited && s.record.Tries[r.ID].Error != ""
	return !r.current && r.class != leftover && !stuck
}

// shareOfStable is how many replicas of the last revision that worked are made where
// replicas are missing beyond what the rollout itself may take away, as the workload has
// grown: a rollout that may yet fail is no reason to serve with fewer. The new revision
// gets what growth gives it, and the old one the rest.
func (s *steps) shareOfStable(updated, old int) int {
	strategy := s.desired.Strategy
	switch {
	case old == 0 || updated+old >= s.desired.Replicas-strategy.MaxUnavailable:
		return 0
	case updated == 0:
		return s.room(s.desired.Replicas)
	default:
		return s.room(s.desired.Replicas+strategy.MaxSurge) - s.growth(updated, old)
	}
}

// growth is how many replicas of the new revision are made where more are wanted than
// before: as many as keep its share of all that the strategy allows for, as in
// Kubernetes (GetReplicaSetProportion in pkg/controller/deployment/util).
func (t *target) growth(updated, old int) int {
	if updated == 0 {
		return 0
	}
	surge := t.desired.Strategy.MaxSurge
	limit := t.desired.Replicas + surge
	before := max(min(t.Status.Desired, t.desired.Replicas)+surge, updated+old)
	rounded := (2*updated*limit + before) / (2 * before)
	return max(rounded-updated, 0)
}

// createStable creates n replicas of the last revision that worked, and returns the
// numbers of those that come: the places of the others are the rollout's.
func (s *steps) createStable(n int) []int {
	if n <= 0 || !s.earlier() {
		return nil
	}
	return s.create(s.record.Stable, s.free(s.record.Stable, n), "%s lacking while revision %s is rolled out", plural(n, "replica"), short(s.desired.Revision))
}

// split returns the live replicas that are made from the spec's template, the
// most useful first, and those that are to be replaced, the least useful first.
func (t *target) split() (updated, old []replica) {
	updated = make([]replica, 0, len(t.replicas))
	for _, r := range t.replicas {
		switch {
		case !r.live():
		case r.current && !t.wedged(r):
			updated = append(updated, r)
		default:
			old = append(old, r)
		}
	}
	slices.SortStableFunc(updated, func(a, b replica) int { return cmp.Compare(useful(b), useful(a)) })
	slices.Reverse(old)
	slices.SortStableFunc(old, func(a, b replica) int { return cmp.Compare(useful(a), useful(b)) })
	return updated, old
}

// useful orders replicas by how much they would be missed. Among equals the
// lower number stays, as with Compose.
func useful(r replica) int {
	switch {
	case r.State == core.Restarting:
		return 1
	case r.available:
		return 6
	case r.class == ready:
		return 5
	case r.class == starting:
		return 4
	case r.class == coming:
		return 3
	case r.class == unready:
		return 2
	case r.class == unhealthy:
		return 1
	default:
		return 0
	}
}

func countAvailable(s []replica) int {
	n := 0
	for _, r := range s {
		if r.available {
			n++
		}
	}
	return n
}

// wedged reports whether a replica was ready and is no longer healthy. Where the
// strategy allows a surge, another one takes its place before it is stopped;
// elsewhere, and where nothing can take its place now, it is started again.
func (t *target) wedged(r replica) bool {
	return r.current && r.class == unhealthy && r.WasReady && t.desired.Strategy.MaxSurge > 0 && !t.paused()
}

// replace takes away replicas whose place one of the spec's revision takes.
func (s *steps) replace(old []replica) {
	for _, r := range old {
		s.retire([]replica{r}, "%s", s.replacement(r))
	}
}

// replacement says why a replica is replaced.
func (t *target) replacement(r replica) string {
	switch {
	case r.current:
		return r.Name + " " + r.why()
	case r.rebuilt:
		return fmt.Sprintf("%s is another image now, %s", t.desired.Image, shortImage(t.ImageID))
	case r.TakenOver:
		return r.Name + " was made from another folder, and is taken over"
	case r.revision == t.desired.Revision && r.Created.Before(t.Intent.RestartedAt):
		return "a restart was asked for"
	case r.revision == t.desired.Revision:
		return fmt.Sprintf("number %d belongs to another container", r.Number)
	default:
		return "replaced by revision " + short(t.desired.Revision)
	}
}

// retire takes replicas away: stopped first where they run. The number of one
// that did not go for its own fault begins anew.
func (s *steps) retire(replicas []replica, cause string, args ...any) {
	shrunk := s.desired.Replicas < s.Status.Desired
	for _, r := range replicas {
		if r.class == ready || shrunk && r.class != exited && r.class != unhealthy {
			delete(s.record.Attempts, r.Number)
		}
		switch r.class {
		case coming: // what is under way cannot be taken back; the next plan does
		case exited:
			s.add(core.RemoveReplica, r.Replica, cause, args...)
		default:
			s.drain(r, cause, args...)
		}
	}
}

// repair starts what has exited and should run, and stops what runs and does not
// do what it should: then it is started again, at the pace of the back-off. What
// has never been healthy goes on: a start would not make it so.
func (s *steps) repair(replicas []replica) {
	for _, r := range replicas {
		switch r.class {
		case exited:
			s.restartUnlessDone(r)
		case unhealthy:
			if r.neverHealthy() {
				s.fail("Unhealthy", fmt.Sprintf("%s %s; it is not restarted for that", r.Name, r.why()), s.seeLogs(correctHealth))
				continue
			}
			s.fail("Unhealthy", fmt.Sprintf("%s %s", r.Name, r.why()), s.seeLogs(correctHealth))
			if !s.wedged(r) {
				s.drain(r, "%s %s", r.Name, r.why())
			}
		}
	}
}
