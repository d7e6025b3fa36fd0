package services

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"github.com/tendhq/tend/controller/swarm/manager"
)

// Of a workload with deploy.mode: global each node that may have one has a replica. Nodes come
// and go by themselves: what is on none of the eligible ones is no part of a rollout.

// global reports whether the service has a task on each node.
func (v view) global() bool { return v.Service != nil && v.Service.Spec.Mode.Global != nil }

// host is the host name of a task's node, or its ID where the node is gone.
func (v view) host(t manager.Task) string { return cmp.Or(v.nodes[t.NodeID].Hostname, t.NodeID) }

// subject is a task as a sentence begins with it.
func (v view) subject(t manager.Task) string {
	if v.global() {
		return "replica on " + v.host(t)
	}
	return fmt.Sprintf("replica %d", t.Slot)
}

// spread has as many replicas of a global workload desired as there are eligible nodes.
func (t *target) spread() {
	if t.desired == nil || t.desired.Global == nil {
		return
	}
	t.eligible = map[string]bool{}
	for _, n := range t.Nodes {
		if n.There() && eligible(n, t.desired) {
			t.eligible[n.ID] = true
		}
	}
	desired := *t.desired
	desired.Replicas = len(t.eligible)
	t.desired = &desired
}

// counted reports whether a task counts for the rollout.
func (t *target) counted(k task) bool { return t.eligible == nil || t.eligible[k.NodeID] }

// nowhere reports whether no node may have a replica: that nothing is missing then shows
// nothing of a revision.
func (t *target) nowhere() bool { return t.eligible != nil && len(t.eligible) == 0 }

// waitForNodes waits for a node where none may have a replica.
func (s *steps) waitForNodes() {
	if s.nowhere() && s.wait.message == "" {
		s.wait = wait{message: "waiting for a node that may have a replica: none is there, active, and as placement.constraints and platform say", remedy: "see docker node ls"}
	}
}

// noteNodes begins anew to judge the progress of a rollout where other nodes are to have
// replicas: those that have come have their own time, and those that have gone take with them
// what was counted.
func (t *target) noteNodes() {
	r, nodes := &t.record, slices.Sorted(maps.Keys(t.eligible))
	if slices.Equal(nodes, r.Swarm.Nodes) {
		return
	}
	r.Swarm.Nodes, r.ProgressAt = nodes, t.Now
	r.Updated, r.UpdatedReady, r.UpdatedAvailable, r.Ready, r.Available, r.Old = 0, 0, 0, 0, 0, t.counts.old
}

// standstill is how long an update may do nothing before Swarm is told to go on.
const standstill = 30 * time.Second

// stands reports whether Swarm goes on with an update and nothing comes of it. It waits for
// ever for a task whose node is lost, and for no other one meanwhile.
func (s *steps) stands() bool {
	c := s.counts
	lost := func(k task) bool { return k.live && !s.counted(k) && k.State != swarm.TaskStateRunning }
	if s.eligible == nil || s.Service.Update.State != swarm.UpdateStateUpdating || c.updated > c.updatedAvailable ||
		c.old == 0 && !slices.ContainsFunc(s.tasks, lost) {
		return false
	}
	at := s.watched(s.record.ProgressAt).Add(min(standstill+s.desired.MinReady, s.desired.ProgressDeadline/2))
	s.lookAgain(at, "Swarm is told to go on with its update")
	return !s.Now.Before(at)
}
