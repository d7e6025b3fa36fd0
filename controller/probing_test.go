package controller

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/model"
)

// A replica that boots for longer than its liveness probe would allow is let boot by
// its startup probe, and serves as soon as that has passed: neither the other probes
// nor their consequences wait for a period.
func TestASlowBootIsFollowedByServingAtOnce(t *testing.T) {
	inWorld(t, func(w *world) {
		const boot = 90 * time.Second
		asked := map[string][]time.Duration{} // since the first of all, by probe; the engine's lock guards it
		var first time.Time
		w.engine.AddImage("slow:1", model.Behavior{Exec: func(e engine.ExecSpec) (int, time.Duration) {
			if first.IsZero() {
				first = time.Now()
			}
			up := time.Since(first)
			asked[e.Command[0]] = append(asked[e.Command[0]], up)
			if up < boot {
				return 1, 0
			}
			return 0, 0
		}})
		w.write("web: {image: 'slow:1', expose: ['80']}\nnext: {image: 'plain:1', depends_on: {web: {condition: service_healthy}}}", `
kind: Deployment
metadata: {name: web}
spec:
  startupProbe: {exec: {command: [started]}, periodSeconds: 10, failureThreshold: 60}
  readinessProbe: {exec: {command: [ready]}, periodSeconds: 60}
  livenessProbe: {exec: {command: [live]}, periodSeconds: 60, failureThreshold: 1}
`)
		w.pass(time.Second)
		started := w.container("p-web-1").StartedAt
		w.pass(time.Until(started.Add(boot - time.Second)))
		require.Empty(t, w.ctl.State().Snapshot().Endpoints("web"))
		require.Equal(t, started, w.container("p-web-1").StartedAt, "it was not killed while it booted")
		w.pass(time.Second + 500*time.Millisecond)
		snap := w.ctl.State().Snapshot()
		require.Len(t, snap.Endpoints("web"), 1)
		assert.Less(t, snap.Replicas("next")[0].StartedAt.Sub(started), boot+500*time.Millisecond, "what waited for it has started")
		w.pass(100 * time.Second)
		assert.Equal(t, []time.Duration{boot, boot + time.Minute}, asked["ready"])
		assert.Equal(t, []time.Duration{boot, boot + time.Minute}, asked["live"])
		assert.Equal(t, boot, asked["started"][len(asked["started"])-1])
		assert.Equal(t, started, w.container("p-web-1").StartedAt)
	})
}
