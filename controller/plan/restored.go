package plan

import (
	"maps"
	"slices"
	"time"

	"github.com/tendhq/tend/controller/core"
)

// Restored returns a rollout record as it can be relied on after a restart of
// the controller. Nobody knows what happened meanwhile, so that the containers
// have the last word: what they tell themselves is asked of them again. replicas
// are those that exist now.
func Restored(r core.Rollout, replicas []core.Replica, now time.Time) core.Rollout {
	gone := func(n int) bool {
		return !slices.ContainsFunc(replicas, func(r core.Replica) bool { return r.Number == n })
	}
	r.Attempts, r.Succeeded = maps.Clone(r.Attempts), maps.Clone(r.Succeeded)
	maps.DeleteFunc(r.Attempts, func(n int, a core.Attempt) bool { return gone(n) && a.Error == "" })
	maps.DeleteFunc(r.Succeeded, func(n int, _ bool) bool { return gone(n) })
	// A hook's container is the record that it ran; a backup is worth what the
	// database has not been told since.
	r.Hooked, r.Prepared = "", ""
	if !r.Complete {
		r.ProgressAt, r.AvailableSince = now, time.Time{} // time in which nobody acted does not count
	}

	// A clock that was wrong must not hold anything up for years.
	past := func(t time.Time) time.Time {
		if t.After(now) {
			return now
		}
		return t
	}
	r.StartedAt, r.RestartedAt = past(r.StartedAt), past(r.RestartedAt)
	r.ProgressAt, r.AvailableSince, r.HookTry.At = past(r.ProgressAt), past(r.AvailableSince), past(r.HookTry.At)
	for n, a := range r.Attempts {
		a.At, a.Repair.First, a.Repair.Last = past(a.At), past(a.Repair.First), past(a.Repair.Last)
		r.Attempts[n] = a
	}
	r.Tries, r.Drains = maps.Clone(r.Tries), maps.Clone(r.Drains)
	for id, t := range r.Tries {
		t.At = past(t.At)
		r.Tries[id] = t
	}
	for id, d := range r.Drains {
		d.Since = past(d.Since)
		r.Drains[id] = d
	}
	return r
}
