package controller

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/model"
)

// A container whose post_start commands fail is a start that has failed: it is tried again
// after the back-off, and not as if somebody had stopped it.
func TestAStartWhosePostStartCommandFailsBacksOff(t *testing.T) {
	inWorld(t, func(w *world) {
		w.engine.AddImage("hooked:1", model.Behavior{Exec: func(engine.ExecSpec) (int, time.Duration) { return 3, time.Second }})
		w.write("web: {image: 'hooked:1', post_start: [{command: prepare}]}")
		w.pass(time.Minute)
		starts := 0
		for _, c := range w.engine.Calls() {
			if c.Op == model.OpStart {
				starts++
			}
		}
		require.Equal(t, 3, starts, "at once, after 10 s and after 20 s more")
	})
}
