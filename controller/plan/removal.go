package plan

import "strings"

// remove takes a workload away: containers only, never volumes, and not
// before what depends on it.
func (p *planner) remove() {
	if len(p.Dependents) > 0 {
		p.waiting = "waiting for " + strings.Join(p.Dependents, ", ") + " to stop"
		return
	}
	for _, r := range p.replicas {
		switch r.class {
		case leaving:
		case coming, exited, leftover:
			p.add(RemoveReplica, r.Replica, "%s is no longer wanted", p.Workload)
		default:
			p.stop(r, "%s is no longer wanted", p.Workload)
		}
	}
}
