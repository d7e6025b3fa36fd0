package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
)

// defaultDrain is for workloads whose spec is gone.
const defaultDrain = 5 * time.Second

// drain has a replica stopped, in two steps where requests may reach it: its
// endpoint is withdrawn first, and the stop signal follows when everyone who
// follows the endpoints has that in force, or the drain is over.
func (s *steps) drain(r replica, cause string, args ...any) {
	if r.InFlight != "" || s.planned(r.ID) {
		return
	}
	if hooks := s.hooksOn(r); len(hooks) > 0 {
		// What has joined it would be stopped now, and for as long as the hook takes.
		s.waitFor(wait{message: fmt.Sprintf("waiting for the hook in %s to end before %s, which it has joined, is stopped", strings.Join(hooks, ", "), r.Name)})
		return
	}
	asked := s.reachable(r) && s.drainTime() > 0
	if !(asked && s.Subscribers > 0) && len(s.joinersOf(r)) == 0 {
		s.add(core.StopReplica, r.Replica, cause, args...)
		return
	}
	// The containers that have joined it learn of the drain, and go first. Who follows the
	// endpoints by then is asked, too.
	d := core.Drain{Since: s.Now, Cause: fmt.Sprintf(cause, args...), Unasked: !asked}
	s.record.Drains[r.ID] = d
	s.lookAgain(s.Now.Add(s.drainTime()), "the drain of %s is over", r.Name)
	s.tell(core.Normal, "Draining", "%s: %s", r.Name, d.Cause)
}

// reachable reports whether requests may be on their way to a replica: its endpoint is
// published, its revision has ports, nobody remembers its revision, or the workload is not
// wanted any more. A replica that is not ready any more may still answer requests that came before. An ingress
// has no endpoint: it ends its own connections when it is stopped.
func (t *target) reachable(r replica) bool {
	if r.Kind == spec.Ingress || r.class != ready && r.class != unready {
		return false
	}
	made := t.madeFrom(r.Replica)
	return t.Published[r.ID] || t.desired == nil || made == nil || len(made.Ports) > 0
}

// stopDrained stops the replicas whose drain is over. A drain is not taken
// back: the proxies have turned away.
func (s *steps) stopDrained() {
	for _, r := range s.replicas {
		d, draining := s.record.Drains[r.ID]
		until := d.Since.Add(s.drainTime())
		switch {
		case !draining || r.InFlight != "" || r.State == core.Removing:
		case !IsRunning(r.Replica):
			s.add(core.RemoveReplica, r.Replica, "%s", d.Cause)
		case s.isDatabase(r) && s.startingUp(r.Replica): // it was restarted while it drained
			s.lookAgain(s.startsUntil(r.Replica), "%s has had its time to start", r.Name)
		case len(s.joinersOf(r)) > 0:
			s.waitFor(wait{message: fmt.Sprintf("waiting for %s to stop before %s, which it has joined", strings.Join(s.joinersOf(r), ", "), r.Name), quiet: true})
		case d.Unasked || s.Acknowledged[r.ID] || s.Subscribers == 0 || !until.After(s.Now):
			s.add(core.StopReplica, r.Replica, "%s", d.Cause)
		default:
			s.lookAgain(until, "the drain of %s is over", r.Name)
		}
	}
}

// drainTime is how long a replica is given between the withdrawal of its endpoint and
// its stop signal.
func (t *target) drainTime() time.Duration {
	if t.desired == nil {
		return defaultDrain
	}
	return t.desired.Drain
}

// endpoints are the addresses of the ready replicas that are not about to be stopped, with
// the ports and networks of the revision of each, or, where nobody remembers that, of the
// desired one.
func (s *steps) endpoints() []core.Endpoint {
	if s.desired == nil {
		return nil
	}
	var all []core.Endpoint
	for _, r := range s.replicas {
		_, draining := s.record.Drains[r.ID]
		stopping := slices.ContainsFunc(s.actions, func(a core.Action) bool { return a.ID == r.ID && a.Kind == core.StopReplica })
		made := s.madeFrom(r.Replica)
		if made == nil {
			made = s.desired
		}
		if r.class != ready || draining || stopping || len(made.Ports) == 0 {
			continue
		}
		e := core.Endpoint{Workload: s.Workload, ID: r.ID, Replica: r.Name, Revision: r.revision, Addresses: map[string]string{}, Ports: made.Ports}
		for _, network := range slices.Sorted(maps.Keys(r.Addresses)) {
			if key, ok := made.NetworkKeys[network]; ok && r.Addresses[network] != "" {
				e.Addresses[key] = r.Addresses[network]
			}
		}
		all = append(all, e)
	}
	return all
}
