package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tendhq/tend/controller/spec"
)

// HookRun is the one-off container of a pre-rollout hook. That it exited with
// 0 is the record that the hook has run for its revision: it survives a crash
// of tend between the hook's end and whatever tend could write down of it.
type HookRun struct {
	// Replica is the container; its Number means nothing.
	Replica
	// Hook is the hook's name.
	Hook string
	// Output is the end of what it printed.
	Output string
}

// tendHooks has no hook run for longer than it may, nor for what is not wanted
// any more, and removes the containers that nobody needs to read.
func (p *planner) tendHooks() {
	for _, run := range p.HookRuns {
		i := slices.IndexFunc(p.Spec.PreRollout, func(h spec.Hook) bool { return h.Name == run.Hook })
		wanted := run.Revision == p.Spec.Revision && i >= 0
		over := fmt.Sprintf("hook %s of revision %s is over", run.Hook, short(run.Revision))
		switch {
		case run.State == Removing || run.InFlight != "":
		case IsRunning(run.Replica) && !wanted:
			p.add(StopReplica, run.Replica, "hook %s of revision %s is no longer wanted", run.Hook, short(run.Revision))
		case IsRunning(run.Replica):
			if h := p.Spec.PreRollout[i]; p.due(run.StartedAt.Add(h.Timeout)) {
				p.add(StopReplica, run.Replica, "hook %s has run for more than %s", h.Name, h.Timeout)
			}
		case run.State == Created:
			if p.due(run.Created.Add(leftoverGrace)) {
				p.removeHook(run, "%s was created and not started", run.Name)
			}
		case run.State == Dead:
			p.removeHook(run, "%s is dead: a removal failed half-way", run.Name)
		case !wanted && run.Revision != p.plan.Rollout.Failed, p.outdated(run):
			p.removeHook(run, "%s", over)
		}
	}
}

// removeHook removes the container of a hook, and with it what it kept in anonymous
// volumes: no other container is to go on with that.
func (p *planner) removeHook(run HookRun, cause string, args ...any) {
	if p.add(RemoveReplica, run.Replica, cause, args...) {
		p.plan.Actions[len(p.plan.Actions)-1].Volumes = true
	}
}

// hooked says whether the pre-rollout hooks of the spec's revision have run;
// if not, it has the next one run. Until then no replica is created for the
// revision, or stopped for it.
func (p *planner) hooked() bool {
	if p.needsNoHook() {
		return true
	}
	r := &p.plan.Rollout
	for _, h := range p.Spec.PreRollout {
		run := p.hookRun(h)
		if run != nil && run.State != Created {
			r.HookTry = Try{}
		}
		if !p.ended(run) {
			p.waiting = "waiting for the hook " + h.Name
			if run == nil {
				p.runHook(h)
			}
			p.fault = p.fault || r.HookTry.Count > 1
			return false
		}
		if why := failure(h, run); why != "" {
			p.fail("HookFailed", why, p.seeLogs("correct the hook or the image"))
			p.waiting, p.fault, p.quiet = why, true, true
			return false
		}
	}
	r.Hooked = p.Spec.Revision
	return true
}

// needsNoHook says whether the rollout goes on without the hooks. Where there
// are replicas of the revision, they have run; where none are wanted, they run
// before the first that is.
func (p *planner) needsNoHook() bool {
	return len(p.Spec.PreRollout) == 0 || p.Spec.Replicas == 0 ||
		p.plan.Rollout.Hooked == p.Spec.Revision || p.plan.Status.Updated > 0
}

// hooksFailed says why the rollout cannot begin, or nothing.
func (p *planner) hooksFailed() string {
	if p.needsNoHook() {
		return ""
	}
	for _, h := range p.Spec.PreRollout {
		if run := p.hookRun(h); p.ended(run) {
			if why := failure(h, run); why != "" {
				return why
			}
		}
	}
	return ""
}

// hookRun is the container of a hook at the spec's revision, or nil.
func (p *planner) hookRun(h spec.Hook) *HookRun {
	i := slices.IndexFunc(p.HookRuns, func(run HookRun) bool { return run.Hook == h.Name && run.Revision == p.Spec.Revision })
	if i < 0 {
		return nil
	}
	return &p.HookRuns[i]
}

// runHook has a hook run when all it needs is there, and no other one runs:
// that of a revision that was given up is stopped first.
func (p *planner) runHook(h spec.Hook) {
	if p.lacks(p.Spec.Revision) {
		return
	}
	busy := slices.ContainsFunc(p.HookRuns, func(run HookRun) bool { return run.InFlight != "" || IsRunning(run.Replica) })
	t := p.plan.Rollout.HookTry
	if busy || !p.tryDue("hook "+h.Name, t) {
		return
	}
	p.plan.Rollout.HookTry = Try{Count: t.Count + 1, At: p.Now}
	p.plan.Actions = append(p.plan.Actions, Action{
		Kind: RunHook, Workload: p.Workload, Object: h.Name, Revision: p.Spec.Revision,
		Cause: "before the rollout to revision " + short(p.Spec.Revision),
	})
}

// ended says whether a run is over, and still counts.
func (p *planner) ended(run *HookRun) bool {
	return run != nil && run.State == Exited && run.InFlight == "" && !p.outdated(*run)
}

// outdated is a run that a person asked to have repeated, or one of another image.
func (p *planner) outdated(run HookRun) bool {
	return p.madeFromAnother(run.Replica) || run.Created.Before(p.Intent.RestartedAt)
}

// failure says why a run that is over has failed, or nothing. One that was
// stopped may well exit with 0.
func failure(h spec.Hook, run *HookRun) string {
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
