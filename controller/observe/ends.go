package observe

import (
	"maps"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/engine"
)

// ends are what events have told about the ends of containers, by ID.
type ends struct {
	mu sync.Mutex
	of map[string]end
}

// end holds when a container was told to end, and when its process ended.
type end struct{ told, died time.Time }

func newEnds() *ends { return &ends{of: map[string]end{}} }

// note takes in an event, and reports whether its container has to be inspected.
func (s *ends) note(e engine.Event) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	end := s.of[e.ContainerID]
	look := true
	switch e.Action {
	case "create":
		// It is started in a moment, or was created by an action that has it inspected
		// at its end.
		return false
	case "destroy":
		delete(s.of, e.ContainerID)
		return true
	case "die":
		end.died = e.Time
	case "kill":
		if endsProcess(e.Signal) {
			end.told = e.Time
		}
		look = false // a signal by itself changes nothing
	case "stop":
		// The process has ended before the stop event; mostly a kill event has told so.
		look = end.told.IsZero()
		end.told = e.Time
	case "start":
		end.told, end.died = time.Time{}, time.Time{}
	}
	s.of[e.ContainerID] = end
	return look
}

// endsProcess reports whether a signal is sent to end a process. Others, as SIGHUP, ask
// it for something else; where one of them is a container's stop signal, a stop event
// follows.
func endsProcess(s syscall.Signal) bool {
	return slices.Contains([]syscall.Signal{syscall.SIGTERM, syscall.SIGKILL, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGABRT}, s)
}

// tell adds to an exited replica how its run ended, where that is known. All times are
// the engine's.
func (s *ends) tell(r *core.Replica) {
	if r.State != core.Exited || r.StartedAt.IsZero() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	end := s.of[r.ID]
	r.Interrupted = !end.told.Before(r.StartedAt)
	r.Unwatched = !r.Interrupted && end.died.Before(r.StartedAt)
}

// keep forgets all containers but the given ones.
func (s *ends) keep(ids map[string]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.of, func(id string, _ end) bool { return !ids[id] })
}
