package plan

import (
	"fmt"
	"strings"
	"time"

	"github.com/tendhq/tend/controller/spec"
)

// database keeps one container per volume at any time: the old one is proven
// exited and removed before a new one is made. Two Postgres servers on one
// volume corrupt it and do not notice, as each is PID 1 in its own namespace
// (docker-library/postgres#171).
func (p *planner) database() {
	if len(p.replicas) < len(p.Replicas) {
		return // a container with corrupt labels may hold the volume
	}
	if running := p.running(); len(running) > 1 {
		p.fail("MultipleContainers", fmt.Sprintf("%s run on the volume of one database: stop all but one at once; tend touches none of them", strings.Join(running, " and ")),
			"stop all but one of them at once, with `docker stop`")
		return
	}
	p.stopDrained()
	p.supervise()
	p.clean()

	var standing []replica // whatever may still hold the volume, or will again
	for _, r := range p.replicas {
		if r.class != leftover {
			standing = append(standing, r)
		}
	}
	switch {
	case len(standing) == 0 && len(p.replicas) > 0: // the leftovers go first
	case len(standing) == 0 && p.Spec.Replicas > 0:
		revision := p.Spec.Revision
		if stable := p.plan.Rollout.Stable; p.known(stable) && (p.paused() || p.unchecked(stable)) {
			revision = stable
		}
		p.create(revision, p.free(1), "the database has no container")
	default:
		for _, r := range standing {
			p.keepDatabase(r, len(standing) == 1)
		}
	}
}

// wasDatabase says whether a Database's container is there and the service is
// none any more, as when tend was started while its spec was away. Other kinds
// may run two containers at once, and its volume must not see that.
func (p *planner) wasDatabase() bool {
	for _, r := range p.Replicas {
		if r.Kind == spec.Database {
			p.waiting = fmt.Sprintf("%s is a Database's, and %s is a %s now: write its spec again, or remove the container", r.Name, p.Workload, p.written.Kind)
			p.remedy = fmt.Sprintf("write the spec of %s again, or remove %s", p.Workload, r.Name)
			return true
		}
	}
	return false
}

// isDatabase says whether a container is a Database's, also where its service is
// none any more.
func (p *planner) isDatabase(r replica) bool {
	return r.Kind == spec.Database || p.Spec != nil && p.Spec.Kind == spec.Database
}

// running names the containers whose process may hold the volume.
func (p *planner) running() []string {
	var names []string
	for _, r := range p.replicas {
		if r.runs() {
			names = append(names, r.Name)
		}
	}
	return names
}

func (p *planner) keepDatabase(r replica, alone bool) {
	// What has lost its network does not get it back by waiting, nor by a start.
	wanted := p.Spec.Replicas > 0 && (r.current || p.paused() || p.cannotBeMade()) && r.Broken == ""
	cause := p.replacement(r)
	if p.Spec.Replicas == 0 {
		cause = "no replica wanted"
	} else if r.class == unhealthy && r.Broken != "" {
		p.fail("Unhealthy", r.Name+" "+r.why(), "")
	}
	switch {
	case r.class == leaving || r.class == coming:
	case r.class == exited && wanted:
		// Beside another container, even an exited one, it is not clear whose the volume is.
		if alone && p.mayRestart(r) {
			p.restart(r, 0)
		} else if !alone {
			p.fail("MultipleContainers", fmt.Sprintf("%s is one of several containers of one database: remove those that are not wanted", r.Name),
				"remove those that are not wanted, with `docker rm`")
		}
	case !wanted && r.class != exited && p.startingUp(r.Replica):
		p.awaitStart(r)
	case !wanted && p.unprepared(r):
		p.prepare(r)
	case r.class == exited:
		p.add(RemoveReplica, r.Replica, "%s", cause)
	case !wanted:
		p.stop(r, "%s", cause)
	case r.class == unhealthy:
		// It may be recovering. A restart would begin the recovery anew.
		p.fail("Unhealthy", fmt.Sprintf("%s %s; a database is not restarted for that", r.Name, r.why()), p.seeLogs(correctHealth))
	}
}

// unwantedStart is for how long a database that nobody wants any more may start.
const unwantedStart = 2 * time.Minute

// startingUp says whether a database may still be starting or recovering. A stop
// then can end in SIGKILL (docker-library/postgres#1207), and a recovery may
// outlast what the health check allows for.
func (p *planner) startingUp(r Replica) bool {
	limit := unwantedStart
	if p.Spec != nil {
		limit = p.Spec.ProgressDeadline
	}
	return r.State != Restarting && classify(r, p.Now) != ready && !p.due(r.StartedAt.Add(limit))
}

// awaitStart has a database that starts be left alone.
func (p *planner) awaitStart(r replica) {
	p.waiting = fmt.Sprintf("waiting for %s to have started before it is stopped", r.Name)
}

// unprepared says whether a database has still to be checked against what comes
// next, and backed up, before its container goes. On the way back to what worked
// there is nothing to check, unless that has another image now.
func (p *planner) unprepared(running replica) bool {
	r := p.plan.Rollout
	return p.Spec.Replicas > 0 && (p.Spec.Revision != r.Stable || running.rebuilt) && r.Prepared != p.Spec.Revision
}

// prepare has a database prepared for its update. One that serves nobody cannot
// be backed up, and is not kept for that: another setting may be its cure.
func (p *planner) prepare(r replica) {
	if why := p.plan.Rollout.Refused; why != "" {
		p.fail("UpdateRefused", why, "do what the message says, or write the image from before again")
		p.waiting, p.fault, p.quiet = why, true, true
		return
	}
	kind, what := CheckUpdate, "checked"
	if r.class == ready {
		kind, what = PrepareUpdate, "checked and backed up"
	}
	next := r.Replica
	next.Revision = p.Spec.Revision
	under := p.add(kind, next, "before the update to revision %s", short(p.Spec.Revision)) || r.InFlight == PrepareUpdate || r.InFlight == CheckUpdate
	if under && p.plan.Rollout.Tries[r.ID].Count == 1 {
		// A backup takes the time it takes. Only what has to be repeated counts
		// against the rollout.
		p.waiting, p.quiet = fmt.Sprintf("waiting for %s to be %s", r.Name, what), true
	}
}

// unchecked says whether the image to come was not checked against the one that
// had the data last, and there is no container to check it against: then that
// one runs again first. Where only the settings differ there is nothing to check.
func (p *planner) unchecked(stable string) bool {
	return stable != p.Spec.Revision && p.plan.Rollout.Prepared != p.Spec.Revision && p.History[stable].Image != p.Spec.Image
}

// Prepared returns the rollout record after a database was prepared for its update.
// What it was prepared for may be another image by now.
func Prepared(r Rollout, a Action) Rollout {
	if r.ImageID == a.ImageID {
		r.Prepared = a.Revision
	}
	return r
}

// Refused returns the rollout record after it was found that a database cannot be
// brought to a revision, and that trying again would not change that.
func Refused(r Rollout, a Action, why string) Rollout {
	if r.Revision == a.Revision && r.ImageID == a.ImageID {
		r.Refused = why
	}
	return r
}
