package plan

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// defaultDrain is for workloads whose spec is gone.
const defaultDrain = 5 * time.Second

// stop has a replica stopped, in two steps where requests may reach it: its
// endpoint is withdrawn first, and the stop signal follows when everyone who
// follows the endpoints has that in force, or the drain is over.
func (p *planner) stop(r replica, cause string, args ...any) {
	if r.InFlight != "" || p.planned(r.ID) {
		return
	}
	if !p.reachable(r) || p.Subscribers == 0 || p.drain() == 0 {
		p.add(StopReplica, r.Replica, cause, args...)
		return
	}
	d := Drain{Since: p.Now, Cause: fmt.Sprintf(cause, args...)}
	p.plan.Rollout.Drains[r.ID] = d
	p.plan.at(p.Now.Add(p.drain()))
	p.event(Normal, "Draining", "%s: %s", r.Name, d.Cause)
}

// reachable says whether requests may be on their way to a replica. One that is
// not ready any more may still be at work on those that came before.
func (p *planner) reachable(r replica) bool {
	return (r.class == ready || r.class == unready) && (p.Spec == nil || len(p.Spec.Ports) > 0)
}

// stopDrained stops the replicas whose drain is over. A drain is not taken
// back: the proxies have turned away.
func (p *planner) stopDrained() {
	for _, r := range p.replicas {
		d, draining := p.plan.Rollout.Drains[r.ID]
		switch {
		case !draining || r.InFlight != "" || r.State == Removing:
		case !IsRunning(r.Replica):
			p.add(RemoveReplica, r.Replica, "%s", d.Cause)
		case p.isDatabase(r) && p.startingUp(r.Replica): // it was restarted while it drained
		case p.Acknowledged[r.ID] || p.Subscribers == 0 || p.due(d.Since.Add(p.drain())):
			p.add(StopReplica, r.Replica, "%s", d.Cause)
		}
	}
}

func (p *planner) drain() time.Duration {
	if p.Spec == nil {
		return defaultDrain
	}
	return p.Spec.Drain
}

// openDrains returns the drains of containers that still exist.
func (p *planner) openDrains() map[string]Drain {
	open := map[string]Drain{}
	for _, r := range p.Replicas {
		if d, ok := p.Rollout.Drains[r.ID]; ok {
			open[r.ID] = d
		}
	}
	return open
}

// publish lists the endpoints: ready replicas that are not about to be stopped.
func (p *planner) publish() {
	if p.Spec == nil || len(p.Spec.Ports) == 0 {
		return
	}
	for _, r := range p.replicas {
		_, draining := p.plan.Rollout.Drains[r.ID]
		stopping := slices.ContainsFunc(p.plan.Actions, func(a Action) bool { return a.ID == r.ID && a.Kind == StopReplica })
		if r.class != ready || draining || stopping {
			continue
		}
		e := Endpoint{Workload: p.Workload, ID: r.ID, Replica: r.Name, Revision: r.revision, Addresses: map[string]string{}, Ports: p.Spec.Ports}
		for _, network := range slices.Sorted(maps.Keys(r.Addresses)) {
			if key, ok := p.Spec.NetworkKeys[network]; ok && r.Addresses[network] != "" {
				e.Addresses[key] = r.Addresses[network]
			}
		}
		p.plan.Endpoints = append(p.plan.Endpoints, e)
	}
}
