package services

import (
	"github.com/docker/docker/api/types/swarm"

	"github.com/tendhq/tend/controller/swarm/manager"
)

// Shown reports whether a task is shown as a replica: one that has not ended, and of a slot
// without any the last one. Swarm keeps several of each slot.
func Shown(t manager.Task, all []manager.Task) bool {
	if !Over(t) {
		return true
	}
	for _, other := range all {
		if other.ServiceID != t.ServiceID || other.Slot != t.Slot || other.ID == t.ID {
			continue
		}
		if !Over(other) || other.CreatedAt.After(t.CreatedAt) || other.CreatedAt.Equal(t.CreatedAt) && other.ID > t.ID {
			return false
		}
	}
	return t.State != swarm.TaskStateShutdown || t.DesiredState == swarm.TaskStateRunning
}
