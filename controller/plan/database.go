package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
)

// database keeps one container per volume at any time: the old one is proven
// exited and removed before a new one is made. Two Postgres servers on one
// volume corrupt it and do not notice, as each is PID 1 in its own namespace
// (docker-library/postgres#171).
func (s *steps) database() {
	if len(s.corrupt) > 0 {
		return // it may hold the volume
	}
	if running := s.running(); len(running) > 1 {
		s.report(problem{
			reason: "MultipleContainers", final: true,
			message: fmt.Sprintf("%s run on the volume of one database; tend touches none of them", strings.Join(running, " and ")),
			remedy:  "stop all but one of them at once, with `docker stop`",
		})
		return
	}
	s.stopDrained()
	s.superviseRestarts()
	s.removeLeftovers()

	var standing []replica // whatever may still hold the volume, or will again
	for _, r := range s.replicas {
		if r.class != leftover {
			standing = append(standing, r)
		}
	}
	switch {
	case len(standing) == 0 && len(s.replicas) > 0: // the leftovers go first
	case len(standing) == 0 && s.desired.Replicas > 0:
		revision := s.desired.Revision
		if stable := s.record.Stable; s.remembers(stable) && (s.paused() || s.unchecked(stable)) {
			revision = stable
		}
		s.create(revision, s.free(revision, 1), "the database has no container")
	default:
		for _, r := range standing {
			s.keepDatabase(r, len(standing) == 1)
		}
	}
}

// formerDatabase returns the wait for a Database's container to go where the service is
// none any more, as when tend was started while its spec was away; nil where there is
// none. Other kinds may run two containers at once, and its volume must not see that.
func (in Input) formerDatabase() *wait {
	i := slices.IndexFunc(in.Replicas, func(r core.Replica) bool { return r.Kind == spec.Database })
	if i < 0 {
		return nil
	}
	name := in.Replicas[i].Name
	return &wait{
		message: fmt.Sprintf("%s is a Database's, and %s is a %s now", name, in.Workload, in.Spec.Kind),
		remedy:  fmt.Sprintf("write the spec of %s again, or remove %s", in.Workload, name),
	}
}

// isDatabase reports whether a container is a Database's, also where its service is
// none any more.
func (t *target) isDatabase(r replica) bool {
	return r.Kind == spec.Database || t.desired != nil && t.desired.Kind == spec.Database
}

// running names the containers whose process may hold the volume.
func (t *target) running() []string {
	var names []string
	for _, r := range t.replicas {
		if r.runs() {
			names = append(names, r.Name)
		}
	}
	return names
}

func (s *steps) keepDatabase(r replica, alone bool) {
	wanted := s.desired.Replicas > 0 && r.current
	if s.desired.Replicas > 0 && !wanted {
		w := s.cannotBeMade()
		if wanted = s.paused() || w != nil; wanted && !s.paused() {
			s.waitFor(*w)
		}
	}
	// What has lost its network does not get it back by waiting, nor by a start.
	wanted = wanted && r.Broken == ""
	cause := s.replacement(r)
	if s.desired.Replicas == 0 {
		cause = "no replica wanted"
	} else if r.class == unhealthy && r.Broken != "" {
		s.fail("Unhealthy", r.Name+" "+r.why(), "")
	}
	switch {
	case r.class == leaving || r.class == coming:
	case r.class == exited && wanted && !alone:
		// Beside another container, even an exited one, it is not clear whose the volume is.
		s.report(problem{
			reason: "MultipleContainers", final: true,
			message: fmt.Sprintf("%s is one of several containers of one database", r.Name),
			remedy:  "remove those that are not wanted, with `docker rm`",
		})
	case r.class == exited && wanted:
		s.restartUnlessDone(r)
	case !wanted && r.class != exited && s.startingUp(r.Replica):
		s.awaitStart(r)
	case !wanted && s.unprepared(r):
		s.prepare(r)
	case r.class == exited:
		s.add(core.RemoveReplica, r.Replica, "%s", cause)
	case !wanted:
		s.drain(r, "%s", cause)
	case r.class == unhealthy:
		// It may be recovering. A restart would begin the recovery anew.
		s.fail("Unhealthy", fmt.Sprintf("%s %s; a database is not restarted for that", r.Name, r.why()), s.seeLogs(correctHealth))
	}
}

// unwantedStart is for how long a database that nobody wants any more may start.
const unwantedStart = 2 * time.Minute

// startsUntil is the instant until which a database may still be starting or recovering.
func (t *target) startsUntil(r core.Replica) time.Time {
	limit := unwantedStart
	if t.desired != nil {
		limit = t.desired.ProgressDeadline
	}
	return r.StartedAt.Add(limit)
}

// startingUp reports whether a database may still be starting or recovering. A stop
// then can end in SIGKILL (docker-library/postgres#1207), and a recovery may
// outlast what the health check allows for.
func (t *target) startingUp(r core.Replica) bool {
	return r.State != core.Restarting && classOf(r, t.Now) != ready && t.startsUntil(r).After(t.Now)
}

// awaitStart has a database that starts be left alone.
func (s *steps) awaitStart(r replica) {
	s.lookAgain(s.startsUntil(r.Replica), "%s has had its time to start", r.Name)
	s.waitFor(wait{message: fmt.Sprintf("waiting for %s to have started before it is stopped", r.Name)})
}

// unprepared reports whether a database has still to be checked against what comes
// next, and backed up, before its container goes. On the way back to what worked
// there is nothing to check, unless that has another image now.
func (s *steps) unprepared(running replica) bool {
	r := s.record
	return s.desired.Replicas > 0 && (s.desired.Revision != r.Stable || running.rebuilt) && r.Prepared != s.desired.Revision
}

// prepare has a database prepared for its update. One that serves nobody cannot
// be backed up, and is not kept for that: another setting may be its cure.
func (s *steps) prepare(r replica) {
	if why := s.record.Refused; why != "" {
		s.waitFor(wait{
			message: why, fault: true, quiet: true,
			problem: &problem{reason: "UpdateRefused", message: why, remedy: "do what the message says, or write the image from before again", final: true},
		})
		return
	}
	kind, what := core.CheckUpdate, "checked"
	if r.class == ready {
		kind, what = core.PrepareUpdate, "checked and backed up"
	}
	next := r.Replica
	next.Revision = s.desired.Revision
	under := s.add(kind, next, "before the update to revision %s", short(s.desired.Revision)) || r.InFlight == core.PrepareUpdate || r.InFlight == core.CheckUpdate
	if under && s.record.Tries[r.ID].Count == 1 {
		// A backup takes the time it takes. Only what has to be repeated counts
		// against the rollout.
		s.waitFor(wait{message: fmt.Sprintf("waiting for %s to be %s", r.Name, what), quiet: true})
	}
}

// changesServer reports whether the data of a Database's container may come to another
// image.
func (t *target) changesServer(running core.Replica) bool {
	stays := func(m core.Mount) bool { return m.Source == t.desired.DataVolume }
	moves := t.desired.DataVolume != "" && !slices.ContainsFunc(running.Mounts, stays) // its data are left alone
	same := t.followsImage() && running.ImageID == t.ImageID
	return !moves && !same
}

// unchecked reports whether the image to come was not checked against the one that
// had the data last, and there is no container to check it against: then that
// one runs again first. Where only the settings differ there is nothing to check.
func (s *steps) unchecked(stable string) bool {
	return stable != s.desired.Revision && s.record.Prepared != s.desired.Revision && s.History[stable].Image != s.desired.Image
}

// prepared returns the rollout record after a database was prepared for its update.
// What it was prepared for may be another image by now.
func prepared(r core.Rollout, a core.Action) core.Rollout {
	if r.ImageID == a.ImageID {
		r.Prepared = a.Revision
	}
	return r
}

// Refused returns the rollout record after it was found that a database cannot be
// brought to a revision, and that trying again would not change that.
func Refused(r core.Rollout, a core.Action, why string) core.Rollout {
	if r.Revision == a.Revision && r.ImageID == a.ImageID {
		r.Refused = why
	}
	return r
}
