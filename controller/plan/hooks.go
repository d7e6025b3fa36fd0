package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
)

// endHooks stops hooks that have exceeded their timeout or belong to a revision that is
// no longer wanted, and removes the containers of hooks that are over.
func (s *steps) endHooks() {
	for _, run := range s.HookRuns {
		i := slices.IndexFunc(s.desired.PreRollout, func(h spec.Hook) bool { return h.Name == run.Hook })
		wanted := run.Revision == s.desired.Revision && i >= 0
		switch {
		case run.State == core.Removing || run.InFlight != "":
		case IsRunning(run.Replica) && !wanted:
			s.add(core.StopReplica, run.Replica, "hook %s of revision %s is no longer wanted", run.Hook, short(run.Revision))
		case IsRunning(run.Replica):
			h := s.desired.PreRollout[i]
			if at := run.StartedAt.Add(h.Timeout); at.After(s.Now) {
				s.lookAgain(at, "hook %s has run for too long", h.Name)
			} else {
				s.add(core.StopReplica, run.Replica, "hook %s has run for more than %s", h.Name, h.Timeout)
			}
		case run.State == core.Created:
			if at := run.Created.Add(leftoverGrace); at.After(s.Now) {
				s.lookAgain(at, "%s counts as left over", run.Name)
			} else {
				s.removeHook(run, "%s was created and not started", run.Name)
			}
		case run.State == core.Dead:
			s.removeHook(run, "%s is dead: a removal failed half-way", run.Name)
		case !wanted && run.Revision != s.record.Failed, s.outdated(run):
			s.removeHook(run, "hook %s of revision %s is over", run.Hook, short(run.Revision))
		}
	}
}

// removeHook removes the container of a hook, and with it what it kept in anonymous
// volumes: no other container is to go on with that.
func (s *steps) removeHook(run core.HookRun, cause string, args ...any) {
	if s.add(core.RemoveReplica, run.Replica, cause, args...) {
		s.actions[len(s.actions)-1].Volumes = true
	}
}

// hooks is how far the pre-rollout hooks of the desired revision are.
type hooks struct {
	// needed is false where the rollout goes on without them.
	needed bool
	// next is the first that has not ended, and run its container, nil where there is
	// none; next is nil where all have ended, or one has failed.
	next *spec.Hook
	run  *core.HookRun
	// failed says why one has failed; empty where none has.
	failed string
	// begun is true where one of them has begun to run.
	begun bool
}

// hooks tells how far the pre-rollout hooks are. Where there are replicas of the
// revision, they have run; where none are wanted, they run before the first that is.
func (t *target) hooks() hooks {
	if len(t.desired.PreRollout) == 0 || t.desired.Replicas == 0 || t.rollout.Hooked == t.desired.Revision || t.counts.updated > 0 {
		return hooks{}
	}
	so := hooks{needed: true}
	for _, h := range t.desired.PreRollout {
		run := t.hookRun(h)
		so.begun = so.begun || run != nil && run.State != core.Created
		if run == nil || run.State != core.Exited || run.InFlight != "" || t.outdated(*run) {
			so.next, so.run = &h, run
			return so
		}
		if so.failed = failure(h, run); so.failed != "" {
			return so
		}
	}
	return so
}

// hookRun is the container of a hook at the desired revision, or nil.
func (t *target) hookRun(h spec.Hook) *core.HookRun {
	i := slices.IndexFunc(t.HookRuns, func(run core.HookRun) bool { return run.Hook == h.Name && run.Revision == t.desired.Revision })
	if i < 0 {
		return nil
	}
	return &t.HookRuns[i]
}

// outdated reports whether a person asked to have a run repeated, or it was one of
// another image.
func (t *target) outdated(run core.HookRun) bool {
	return t.madeFromAnother(run.Replica) || run.Created.Before(t.Intent.RestartedAt)
}

// runHooks has the next pre-rollout hook of the desired revision run, and reports
// whether all have. Until then no replica is created for the revision, or stopped for it.
func (s *steps) runHooks() bool {
	so := s.hooks()
	if so.begun {
		s.record.HookTry = core.Try{}
	}
	switch {
	case !so.needed:
		return true
	case so.failed != "":
		s.waitFor(wait{
			message: so.failed, fault: true, quiet: true,
			problem: &problem{reason: "HookFailed", message: so.failed, remedy: s.seeLogs("correct the hook or the image"), final: true},
		})
		return false
	case so.next == nil:
		s.record.Hooked = s.desired.Revision
		return true
	}
	w := wait{message: "waiting for the hook " + so.next.Name}
	if so.run == nil {
		if lacking := s.lacking(s.desired.Revision); lacking != nil {
			w = *lacking
		} else {
			s.runHook(*so.next)
		}
	}
	w.fault = w.fault || s.record.HookTry.Count > 1
	s.waitFor(w)
	return false
}

// runHook has a hook run when no other one runs: that of a revision that was given up is
// stopped first.
func (s *steps) runHook(h spec.Hook) {
	busy := slices.ContainsFunc(s.HookRuns, func(run core.HookRun) bool { return run.InFlight != "" || IsRunning(run.Replica) })
	if busy || !s.retry("hook "+h.Name, s.record.HookTry) {
		return
	}
	s.record.HookTry = core.Try{Count: s.record.HookTry.Count + 1, At: s.Now}
	joins, _ := s.joins(s.desired)
	s.actions = append(s.actions, core.Action{
		Kind: core.RunHook, Workload: s.Workload, Object: h.Name, Revision: s.desired.Revision, Spec: s.desired, Command: h.Command, Joins: joins,
		Cause: "before the rollout to revision " + short(s.desired.Revision),
	})
}

// failure says why a run that is over has failed, or nothing. One that was
// stopped may well exit with 0.
func failure(h spec.Hook, run *core.HookRun) string {
	var why string
	switch {
	case run.FinishedAt.Sub(run.StartedAt) >= h.Timeout:
		why = fmt.Sprintf("hook %s has run for more than %s", h.Name, h.Timeout)
	case run.ExitCode != 0:
		why = fmt.Sprintf("hook %s exited with code %s", h.Name, exitCode(run.Replica))
	default:
		return ""
	}
	if run.Output != "" {
		why += ": " + strings.ReplaceAll(run.Output, "\n", "; ")
	}
	return why
}
