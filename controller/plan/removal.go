package plan

import (
	"fmt"
	"strings"

	"github.com/tendhq/tend/controller/core"
)

// remove takes a workload away: containers only, never volumes, not orphans, and
// not before what depends on it.
func (s *steps) remove() {
	s.stopDrained()
	for _, f := range s.Foreigners {
		s.fail("ForeignContainer", foreignProblem(f), foreignRemedy(f))
	}
	if len(s.Dependents) > 0 {
		s.waitFor(wait{message: "waiting for " + strings.Join(s.Dependents, ", ") + " to stop"})
		return
	}
	for _, run := range s.HookRuns {
		switch {
		case run.Orphan:
		case IsRunning(run.Replica):
			s.add(core.StopReplica, run.Replica, "%s is no longer wanted", s.Workload)
		default:
			s.removeHook(run, "%s is no longer wanted", s.Workload)
		}
	}
	for _, r := range s.replicas {
		switch {
		case r.Orphan:
			s.fail("OrphanContainer", fmt.Sprintf("%s is of a service %s that is not written here and that tend has not kept: it is left alone; --remove-orphans removes it", r.Name, s.Workload),
				"have it removed with --remove-orphans, or write the service again")
		case r.class == leaving:
		case r.class == coming || r.class == exited || r.class == leftover:
			s.add(core.RemoveReplica, r.Replica, "%s is no longer wanted", s.Workload)
		case s.isDatabase(r) && s.startingUp(r.Replica):
			s.awaitStart(r)
		default:
			s.drain(r, "%s is no longer wanted", s.Workload)
		}
	}
}
