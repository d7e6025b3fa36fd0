package plan

import (
	"fmt"
	"strings"
)

// remove takes a workload away: containers only, never volumes, not orphans, and
// not before what depends on it.
func (p *planner) remove() {
	p.stopDrained()
	for _, f := range p.Foreigners {
		p.fail("ForeignContainer", f.Problem(), f.remedy())
	}
	if len(p.Dependents) > 0 {
		p.waiting = "waiting for " + strings.Join(p.Dependents, ", ") + " to stop"
		return
	}
	for _, run := range p.HookRuns {
		switch {
		case run.Orphan:
		case IsRunning(run.Replica):
			p.add(StopReplica, run.Replica, "%s is no longer wanted", p.Workload)
		default:
			p.removeHook(run, "%s is no longer wanted", p.Workload)
		}
	}
	for _, r := range p.replicas {
		switch {
		case r.Orphan:
			p.fail("OrphanContainer", fmt.Sprintf("%s is of a service %s that is not written here and that tend has not kept: it is left alone; --remove-orphans removes it", r.Name, p.Workload),
				"have it removed with --remove-orphans, or write the service again")
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
