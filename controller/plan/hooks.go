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

// hooked says whether the pre-rollout hooks of the spec's revision have run;
// if not, it has the next one run. Until then no replica is created for the
// revision, or stopped for it.
func (p *planner) hooked() bool {
	p.forgetHooks()
	r := &p.plan.Rollout
	if len(p.Spec.PreRollout) == 0 || r.Hooked == p.Spec.Revision || p.plan.Status.Updated > 0 {
		return true
	}
	for _, h := range p.Spec.PreRollout {
		if !p.ran(h) {
			return false
		}
	}
	r.Hooked = p.Spec.Revision
	return true
}

// ran says whether one hook has run, and has it run if not.
func (p *planner) ran(h spec.Hook) bool {
	i := slices.IndexFunc(p.HookRuns, func(run HookRun) bool {
		return run.Hook == h.Name && run.Revision == p.Spec.Revision && !p.outdated(run)
	})
	if i < 0 {
		if p.waiting = p.unmet(p.Spec.Revision); p.waiting == "" {
			p.plan.Actions = append(p.plan.Actions, Action{
				Kind: RunHook, Workload: p.Workload, Object: h.Name, Revision: p.Spec.Revision,
				Cause: "before the rollout to revision " + short(p.Spec.Revision),
			})
			p.waiting = "waiting for the hook " + h.Name
		}
		return false
	}
	run := p.HookRuns[i]
	late := p.Now.Sub(run.StartedAt) >= h.Timeout
	switch {
	case run.InFlight != "":
	case run.State == Exited && run.ExitCode == 0:
		return true
	case run.State == Exited:
		p.hookFailed(run, fmt.Sprintf("hook %s exited with code %s", h.Name, exitCode(run.Replica)))
		return false
	case run.State == Created && p.due(run.Created.Add(leftoverGrace)):
		p.add(RemoveReplica, run.Replica, "%s was created and not started", run.Name)
	case IsRunning(run.Replica) && late:
		p.add(StopReplica, run.Replica, "hook %s has run for more than %s", h.Name, h.Timeout)
	case IsRunning(run.Replica):
		p.plan.at(run.StartedAt.Add(h.Timeout))
	}
	p.waiting = "waiting for the hook " + h.Name
	return false
}

// hookFailed halts the rollout before anything has changed.
func (p *planner) hookFailed(run HookRun, why string) {
	if run.Output != "" {
		why += ": " + strings.ReplaceAll(run.Output, "\n", "; ")
	}
	p.fail("HookFailed", why)
	r := p.plan.Rollout
	if r.Failed == "" && p.Spec.OnFailure == spec.Rollback && r.Stable != p.Spec.Revision && p.known(r.Stable) {
		p.giveBack(why)
	}
}

// outdated is a run that a person asked to have repeated.
func (p *planner) outdated(run HookRun) bool {
	return run.InFlight == "" && run.Created.Before(p.Intent.RestartedAt)
}

// forgetHooks removes the containers of hooks that nobody needs to read any
// more: those of revisions neither wanted nor failed.
func (p *planner) forgetHooks() {
	for _, run := range p.HookRuns {
		needed := run.Revision == p.Spec.Revision || run.Revision == p.plan.Rollout.Failed
		if run.State == Exited && (!needed || p.outdated(run)) {
			p.add(RemoveReplica, run.Replica, "hook %s of revision %s is over", run.Hook, short(run.Revision))
		}
	}
}
