package services

import (
	"github.com/docker/docker/api/types/swarm"

	"github.com/tendhq/tend/controller/swarm/manager"
)

// sameSlot reports whether one of two tasks of a service follows the other. In a global
// service each node is a slot.
func sameSlot(a, b manager.Task, of swarm.ServiceSpec) bool {
	return a.Slot == b.Slot && (of.Mode.Global == nil || a.NodeID == b.NodeID)
}

// Shown reports whether a task of a service is shown as a replica: one that has not ended, and
// of a slot without any the last one. Swarm keeps several of each slot.
func Shown(t manager.Task, all []manager.Task, of swarm.ServiceSpec) bool {
	if !Over(t) {
		return true
	}
	for _, other := range all {
		if other.ServiceID != t.ServiceID || !sameSlot(other, t, of) || other.ID == t.ID {
			continue
		}
		if !Over(other) || other.CreatedAt.After(t.CreatedAt) || other.CreatedAt.Equal(t.CreatedAt) && other.ID > t.ID {
			return false
		}
	}
	return !neverRan(t) && t.State != swarm.TaskStateShutdown || t.DesiredState == swarm.TaskStateRunning
}
