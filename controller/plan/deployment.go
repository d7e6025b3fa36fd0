package plan

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/tendhq/tend/controller/spec"
)

// deployment keeps a number of interchangeable replicas running and moves them
// from one revision to the next. The arithmetic is that of Kubernetes'
// deployment controller (pkg/controller/deployment/rolling.go), with the
// replicas of one container each in the place of replica sets.
func (p *planner) deployment() {
	p.stopDrained()
	p.supervise()
	p.clean()
	p.tendHooks()

	updated, old := p.split()
	desired := p.Spec.Replicas
	standing := p.count(p.holdsPlace)
	rolling := standing > 0 || len(old) > 0
	halted := len(old) > 0 || len(updated) == 0 && (p.earlier() || !p.begun())
	switch {
	case halted && p.paused(), len(old) > 0 && p.cannotBeMade(), !p.hooked():
		p.hold(updated, old)
		return
	case p.Spec.Strategy.Type == spec.Recreate:
		p.retire(old, "stopped before revision %s starts, as the strategy is Recreate", short(p.Spec.Revision))
		if standing > 0 {
			return
		}
		old = nil
	}

	kept := updated[:min(len(updated), desired)]
	p.retire(updated[len(kept):], "%s wanted, %d exist", plural(desired, "replica"), len(updated))
	// As many old replicas may go as leaves enough that are available, or
	// could become so.
	spare := countAvailable(kept) + len(old) - (desired - p.Spec.Strategy.MaxUnavailable)
	leave := old[:min(max(spare, 0), len(old))]
	p.replace(leave)
	p.keep(kept)
	p.keep(old[len(leave):])

	given := p.supplement(max(p.share(len(updated), len(old)), p.lost(kept, old)))

	limit := desired
	if rolling {
		limit += p.Spec.Strategy.MaxSurge
	}
	n := min(desired-len(updated), p.room(limit)-len(given))
	if n <= 0 {
		return
	}
	cause := fmt.Sprintf("%s wanted, %d exist", plural(desired, "replica"), len(updated))
	switch {
	case len(old) > 0 && old[0].revision == p.Spec.Revision:
		cause = p.replacement(old[0])
	case rolling:
		cause = "the rollout to revision " + short(p.Spec.Revision)
	}
	p.create(p.Spec.Revision, p.free(n, given...), "%s", cause)
}

// hold keeps as many replicas as there should be, of whatever revision, while
// the rollout does not move.
func (p *planner) hold(updated, old []replica) {
	desired := p.Spec.Replicas
	limit := desired
	if len(updated) > 0 && len(old) > 0 {
		limit += p.Spec.Strategy.MaxSurge
	}
	all := slices.Concat(updated, old)
	slices.SortStableFunc(all, func(a, b replica) int {
		return cmp.Or(cmp.Compare(useful(b), useful(a)), cmp.Compare(a.Number, b.Number))
	})
	kept := all[:min(len(all), limit)]
	p.retire(all[len(kept):], "%s wanted, %d exist", plural(desired, "replica"), len(all))
	p.keep(kept)
	lacking := p.room(desired)
	if lacking > 0 && p.plan.Rollout.Stable == p.Spec.Revision {
		p.create(p.Spec.Revision, p.free(lacking), "%s wanted, %d exist", plural(desired, "replica"), len(all))
		return
	}
	growth := min(p.growth(len(updated), len(old)), lacking)
	given := p.supplement(max(lacking-growth, p.lost(updated, old)))
	if n := lacking - len(given); n > 0 && len(updated) > 0 {
		p.create(p.Spec.Revision, p.free(n, given...), "%s wanted, %d exist", plural(desired, "replica"), len(all))
	}
}

// lost is how many replicas of the last revision that worked have to come back,
// as others were lost that the rollout counted on: an old one that was taken
// away, or one of the new revision that did not stay available. To Recreate is to
// count on none.
func (p *planner) lost(updated, old []replica) int {
	s := p.Spec.Strategy
	if s.Type == spec.Recreate {
		return 0
	}
	floor := min(p.Spec.Replicas-s.MaxUnavailable, p.plan.Rollout.Available)
	return min(floor-countAvailable(updated)-len(old), p.room(p.Spec.Replicas+s.MaxSurge))
}

// begun reports whether a replica of the spec's revision has ever been made. A new
// workload that is paused is not begun, as in Kubernetes.
func (p *planner) begun() bool {
	r := p.plan.Rollout
	return r.Updated > 0 || r.Stable == p.Spec.Revision
}

// holdsPlace reports whether an old replica keeps its place until it is gone, and with
// it those after it under Recreate. One that has exited does not, as in Kubernetes,
// where it cannot be removed.
func (p *planner) holdsPlace(r replica) bool {
	stuck := r.class == exited && p.plan.Rollout.Tries[r.ID].Error != ""
	return !r.current && r.class != leftover && !stuck
}

// earlier says whether another revision worked before and can be made again.
func (p *planner) earlier() bool {
	stable := p.plan.Rollout.Stable
	return stable != p.Spec.Revision && p.known(stable)
}

// room is how many containers may be created without exceeding a limit. What
// is leaving still holds its memory, its ports and its number. Only what cannot
// be removed is not waited for.
func (p *planner) room(limit int) int {
	return limit - p.count(func(r replica) bool { return r.class != leftover || r.InFlight != "" || p.planned(r.ID) })
}

// share is how many replicas of the last revision that worked are made where replicas
// are missing beyond what the rollout itself may take away, as the workload has grown: a
// rollout that may yet fail is no reason to serve with fewer. The new revision gets what
// growth gives it, and the old one the rest.
func (p *planner) share(updated, old int) int {
	s := p.Spec.Strategy
	switch {
	case old == 0 || updated+old >= p.Spec.Replicas-s.MaxUnavailable:
		return 0
	case updated == 0:
		return p.room(p.Spec.Replicas)
	default:
		return p.room(p.Spec.Replicas+s.MaxSurge) - p.growth(updated, old)
	}
}

// growth is how many replicas of the new revision are made where more are wanted than
// before: as many as keep its share of all that the strategy allows for, as in
// Kubernetes (GetReplicaSetProportion in pkg/controller/deployment/util).
func (p *planner) growth(updated, old int) int {
	if updated == 0 {
		return 0
	}
	surge := p.Spec.Strategy.MaxSurge
	limit := p.Spec.Replicas + surge
	before := max(min(p.Input.Status.Desired, p.Spec.Replicas)+surge, updated+old)
	rounded := (2*updated*limit + before) / (2 * before)
	return max(rounded-updated, 0)
}

// supplement creates n replicas of the last revision that worked, and returns the
// numbers of those that come: the places of the others are the rollout's.
func (p *planner) supplement(n int) []int {
	if n <= 0 || !p.earlier() {
		return nil
	}
	return p.create(p.plan.Rollout.Stable, p.free(n), "%s lacking while revision %s is rolled out", plural(n, "replica"), short(p.Spec.Revision))
}

// split returns the live replicas that are made from the spec's template, the
// most useful first, and those that are to be replaced, the least useful first.
func (p *planner) split() (updated, old []replica) {
	for _, r := range p.replicas {
		switch {
		case !r.live():
		case r.current && !p.wedged(r):
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
	case r.State == Restarting:
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

// wedged is a replica that was ready and is no longer healthy. Where the
// strategy allows a surge, another one takes its place before it is stopped;
// elsewhere, and where nothing can take its place now, it is started again.
func (p *planner) wedged(r replica) bool {
	return r.current && r.class == unhealthy && r.WasReady && p.Spec.Strategy.MaxSurge > 0 && !p.paused()
}

// replace takes away replicas whose place one of the spec's revision takes.
func (p *planner) replace(s []replica) {
	for _, r := range s {
		p.retire([]replica{r}, "%s", p.replacement(r))
	}
}

// replacement says why a replica is replaced.
func (p *planner) replacement(r replica) string {
	switch {
	case r.current:
		return r.Name + " " + r.why()
	case r.rebuilt:
		return fmt.Sprintf("%s is another image now, %s", p.Spec.Image, shortImage(p.ImageID))
	case r.TakenOver:
		return r.Name + " was made from another folder, and is taken over"
	case r.revision == p.Spec.Revision && r.Created.Before(p.Intent.RestartedAt):
		return "a restart was asked for"
	case r.revision == p.Spec.Revision:
		return fmt.Sprintf("number %d belongs to another container", r.Number)
	default:
		return "replaced by revision " + short(p.Spec.Revision)
	}
}

// retire takes replicas away: stopped first where they run. The number of one
// that did not go for its own fault begins anew.
func (p *planner) retire(s []replica, cause string, args ...any) {
	shrunk := p.Spec.Replicas < p.Input.Status.Desired
	for _, r := range s {
		if r.class == ready || shrunk && r.class != exited && r.class != unhealthy {
			delete(p.plan.Rollout.Attempts, r.Number)
		}
		switch r.class {
		case coming: // what is under way cannot be taken back; the next plan does
		case exited:
			p.add(RemoveReplica, r.Replica, cause, args...)
		default:
			p.stop(r, cause, args...)
		}
	}
}

// keep starts what has exited and should run, and stops what runs and does not
// do what it should: then it is started again, at the pace of the backoff. What
// has never been healthy goes on: a start would not make it so.
func (p *planner) keep(s []replica) {
	for _, r := range s {
		switch r.class {
		case exited:
			if p.mayRestart(r) {
				p.restart(r, 0)
			}
		case unhealthy:
			if r.neverHealthy() {
				p.fail("Unhealthy", fmt.Sprintf("%s %s; it is not restarted for that", r.Name, r.why()), p.seeLogs(correctHealth))
				continue
			}
			p.fail("Unhealthy", fmt.Sprintf("%s %s", r.Name, r.why()), p.seeLogs(correctHealth))
			if !p.wedged(r) {
				p.stop(r, "%s %s", r.Name, r.why())
			}
		}
	}
}
