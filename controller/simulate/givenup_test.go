package simulate

import (
	"fmt"
	"slices"
	"time"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/plan"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/state"
)

// advance is how far a rollout has come, by what the controller was told of the
// containers: never by what it has written down of that.
type advance struct {
	revision string
	begun    time.Time // the rollout, as the controller says
	at       time.Time // when it came forward last, or could not for another's sake
	// held is true while it could not.
	held bool
	// The most replicas of the revision that there were, that were ready, and that
	// were available.
	updated, ready, available int
	// crashed is true once one of them has ended, or is to end as somebody has paused it: then
	// it is left open for how long one has to be ready to count as available.
	crashed bool
}

// justly checks that a revision is given up for what has happened to its containers:
// as its hook has failed, or the data is another server's, or as nothing has come
// forward for progressDeadlineSeconds, which is more replicas of the revision, more of
// them ready, or more of them available. Once all are available the deadline is met.
func (v *invariants) justly(in plan.Input, p plan.Plan, snap *state.Snapshot) {
	if in.Spec == nil || in.Spec.Kind == spec.Job {
		delete(v.advances, in.Workload)
		return
	}
	failed := ""
	if p.Rollout.Failed != in.Rollout.Failed {
		failed = p.Rollout.Failed
	}
	a := v.advance(in, p, failed)
	all := a.comeForward(in, snap)
	held := a.held
	if a.held = v.paused(snap, in.Workload) || waited(in); held || a.held {
		a.at = in.Now
	}
	v.advances[in.Workload] = a
	if failed != "" {
		v.givenUp[in.Workload] = failed
	}
	switch deadline := in.Spec.ProgressDeadline; {
	case failed == "" || hookFailed(in, failed) || v.unreadable(in):
	case in.Now.Before(a.at.Add(deadline)):
		v.blame("revision %s of %s is given up %s after it came forward last, and has %s: %s", failed, in.Workload, in.Now.Sub(a.at), deadline, p.Rollout.Failure)
	case all && !a.crashed:
		v.blame("revision %s of %s is given up, and all its replicas are available: %s", failed, in.Workload, p.Rollout.Failure)
	}
}

// advance is what was known of the rollout under way, or of the one that is given up.
// What an earlier run of the controller has counted is not counted again.
func (v *invariants) advance(in plan.Input, p plan.Plan, failed string) advance {
	a, known := v.advances[in.Workload]
	switch {
	case failed != "" && known && a.revision == failed:
		return a
	case failed != "":
		return advance{revision: failed, begun: in.Rollout.StartedAt, at: in.Now}
	case known && a.revision == p.Rollout.Revision && a.begun.Equal(p.Rollout.StartedAt):
		return a
	}
	a = advance{revision: p.Rollout.Revision, begun: p.Rollout.StartedAt, at: in.Now}
	if r := in.Rollout; r.Revision == a.revision && r.StartedAt.Equal(a.begun) {
		a.updated, a.ready, a.available = r.Updated, r.UpdatedReady, r.UpdatedAvailable
		for _, attempt := range r.Attempts {
			a.crashed = a.crashed || attempt.Revision == a.revision && attempt.Count > 1
		}
	}
	return a
}

// comeForward updates the counts with the containers as they are now. It reports whether
// all wanted replicas are available and no others exist.
func (a *advance) comeForward(in plan.Input, snap *state.Snapshot) (all bool) {
	updated, ready, available, others := map[int]bool{}, map[int]bool{}, map[int]bool{}, 0
	for _, r := range in.Replicas {
		_, draining := in.Rollout.Drains[r.ID]
		of := a.revision == revisionOf(r) && !(in.Spec.Revision == a.revision && in.ImageID != "" && r.ImageID != "" && r.ImageID != in.ImageID) &&
			!r.TakenOver && (r.InFlight == core.CreateReplica || !r.Created.Before(in.Intent.RestartedAt))
		a.crashed = a.crashed || of && (r.State == core.Exited || r.State == core.Restarting || r.State == core.Paused || r.RestartCount > 0)
		switch {
		case !of:
			others++
		case draining || r.InFlight == core.StopReplica || r.InFlight == core.RemoveReplica:
		case r.InFlight == core.CreateReplica || r.InFlight == core.StartReplica: // what came of it is known when it ends
			updated[r.Number] = true
		case r.State == core.Exited && !lostNetwork(in, snap, r), r.State == core.Created && in.Now.Sub(r.Created) < 10*time.Second:
			updated[r.Number] = true
		case plan.IsRunning(r):
			updated[r.Number] = true
			if held(snap, r.ID) {
				ready[r.Number] = true
				available[r.Number] = !a.crashed && !in.Now.Before(r.ReadySince.Add(in.Spec.MinReady))
			}
		}
	}
	n := 0
	for _, is := range available {
		if is {
			n++
		}
	}
	if len(updated) > a.updated || len(ready) > a.ready || n > a.available {
		a.at = in.Now
	}
	a.updated, a.ready, a.available = max(a.updated, len(updated)), max(a.ready, len(ready)), max(a.available, n)
	return n >= in.Spec.Replicas && others == 0
}

// lostNetwork reports whether an exited container cannot be started again, for want of a
// network that it was in.
func lostNetwork(in plan.Input, snap *state.Snapshot, r core.Replica) bool {
	for name, id := range r.NetworkIDs {
		if now, known := in.Networks[name]; known && now != id {
			return true
		}
	}
	return missesNetwork(snap, r, func(name string) bool {
		_, joined := r.Addresses[name]
		return joined
	})
}

// revisionOf is what a replica was made from, also where docker compose made it.
func revisionOf(r core.Replica) string {
	if r.Revision != "" {
		return r.Revision
	}
	if len(r.ConfigHash) > len(composeHash) {
		return r.ConfigHash[len(composeHash):]
	}
	return ""
}

// waited reports whether the controller has said that the rollout waits for a
// dependency, and that is still so.
func waited(in plan.Input) bool {
	c := in.Status.Condition(core.Progressing)
	return c != nil && c.Reason == "Waiting" && slices.ContainsFunc(in.Dependencies, func(d plan.Dependency) bool {
		return d.Condition == spec.DependencyHealthy && d.Ready == 0 && c.Message == fmt.Sprintf("waiting for %s to be healthy", d.Name)
	})
}

// hookFailed reports whether a hook of a revision has failed, or took longer than it
// may.
func hookFailed(in plan.Input, revision string) bool {
	hooks := in.Spec.PreRollout
	if of := in.History[revision]; of != nil { // an undo leads to another one than is written
		hooks = of.PreRollout
	}
	return slices.ContainsFunc(in.HookRuns, func(run core.HookRun) bool {
		i := slices.IndexFunc(hooks, func(h spec.Hook) bool { return h.Name == run.Hook })
		return i >= 0 && run.Revision == revision && run.State == core.Exited &&
			(run.ExitCode != 0 || run.FinishedAt.Sub(run.StartedAt) >= hooks[i].Timeout)
	})
}

// unreadable reports whether a database's data is of another server than the one that is
// written, or its container was a moment ago: a refusal may outlast what it was for.
func (v *invariants) unreadable(in plan.Input) bool {
	const moment = 5 * time.Minute
	for data, at := range v.served {
		if data != servers[in.Spec.Image] && time.Since(at) < moment && in.Spec.Kind == spec.Database {
			return true
		}
	}
	return false
}
