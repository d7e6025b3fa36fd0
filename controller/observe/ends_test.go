package observe

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/engine"
)

// Engines differ in which comes first.
func TestAStopIsToldByItsEventsInEitherOrder(t *testing.T) {
	started := time.Unix(100, 0)
	for _, order := range [][]string{{"die", "stop"}, {"stop", "die"}} {
		for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP} {
			s := newEnds()
			s.note(engine.Event{Action: "start", ContainerID: "a", Time: started})
			s.note(engine.Event{Action: "kill", ContainerID: "a", Signal: signal, Time: started.Add(time.Second)})
			looked := false
			for i, action := range order {
				looked = s.note(engine.Event{Action: action, ContainerID: "a", Time: started.Add(time.Duration(2+i) * time.Second)}) || looked
			}
			assert.True(t, looked)
			r := core.Replica{ID: "a", State: core.Exited, StartedAt: started}
			s.tell(&r)
			assert.True(t, r.Interrupted, "%v after %v", order, signal)
			assert.False(t, r.Unwatched)
		}
	}
}
