package swarm_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const byTheClock = `apiVersion: tend/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  autoscaling:
    minReplicas: 2
    maxReplicas: 6
    metrics:
    - type: Cron
      cron: {timeZone: UTC, start: "10 0 * * *", end: "30 0 * * *", desiredReplicas: 5}
`

// The bubble of synctest begins at midnight.
func TestAWorkloadIsScaledByTheClock(t *testing.T) {
	inTime(t, func(w *world) {
		require.NoError(t, os.Mkdir(filepath.Join(w.dir, "specs"), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(w.dir, "specs", "web.yaml"), []byte(byTheClock), 0o600))
		const compose = `services: {web: {image: "web:1"}}`
		w.start(compose)
		w.converges()
		assert.EqualValues(t, 3, w.service("web").Running, "it begins with what is written")

		time.Sleep(9 * time.Minute)
		w.converges()
		assert.EqualValues(t, 2, w.service("web").Running)
		time.Sleep(3 * time.Minute)
		w.converges()
		assert.EqualValues(t, 5, w.service("web").Running)
		assert.Contains(t, w.told(), "web: Autoscaled from 2 to 5 replicas")
		version := w.service("web").Version

		w.stop() // and what it knew is lost
		w.start(compose)
		time.Sleep(2 * time.Minute)
		w.converges()
		assert.Equal(t, version, w.service("web").Version, "it begins with as many as there are")

		time.Sleep(25 * time.Minute)
		w.converges()
		assert.EqualValues(t, 2, w.service("web").Running)
	})
}
