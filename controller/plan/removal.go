package plan

import "strings"

// remove takes a workload away: containers only, never volumes, and not
// before what depends on it.
func (p *planner) remove() {
	p.stopDrained()
	if len(p.Dependents) > 0 {
		p.waiting = "waiting for " + strings.Join(p.Dependents, ", ") + " to stop"
		return
	}
	for _, run := range p.HookRuns {
		if IsRunning(run.Replica) {
			p.add(StopReplica, run.Replica, "%s is no longer wanted", p.Workload)
		} else {
			p.removeHook(run, "%s is no longer wanted", p.Workload)
		}
	}
	for _, r := range p.replicas {
		switch {
		case r.class == leaving:
		case r.class == coming || r.class == exited || r.class == leftover:
			p.add(RemoveReplica, r.Replica, "%s is no longer wanted", p.Workload)
		case p.isDatabase(r) && p.startingUp(r.Replica):
			p.awaitStart(r)
		default:
			p.stop(r, "%s is no longer wanted", p.Workload)
		}
	}
}
