package e2e_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Each replica uses what CPU it is given while the file is there, and nothing otherwise, so
// that the number goes to one bound and to the other.
func TestReplicasFollowTheCPULoad(t *testing.T) {
	p := newProject(t, files{"compose.yaml": `
services:
  web:
    image: ${PROBE}
    environment: {BUSY: /load/busy}
    volumes: ["./load:/load:ro"]
    deploy: {resources: {limits: {cpus: "0.1", memory: 100M}}}
`, "load/readme": "", "specs/web.yaml": `apiVersion: tend/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 1
  autoscaling:
    maxReplicas: 3
    metrics:
    - {type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}}
    behavior: {scaleDown: {stabilizationWindowSeconds: 0}}
`})
	tend := p.run()
	p.awaitReady("web", 1)
	p.write("load/busy", "")
	tend.awaitEvent("web", "Autoscaled", "from 1 to ", "cpu is ", "and the target is 50%")
	p.awaitReady("web", 3)
	p.awaitTold("maxReplicas is 3", "explain", "web")
	assert.Contains(t, p.mustTend("explain", "web"), "It is scaled to 3 of 1 to 3 replicas: ")
	r := p.tend("scale", "web", "--replicas", "2")
	assert.Equal(t, 1, r.code, "%s", r)
	assert.Contains(t, r.errOut, "web is scaled by its metrics, between 1 and 3 replicas")

	require.NoError(t, os.Remove(p.path("load/busy")))
	tend.awaitEvent("web", "Autoscaled", "to 1 replicas: cpu is ")
	p.awaitReady("web", 1)
	assert.Contains(t, p.mustTend("describe", "web"), "1, between 1 and 3: ")
}
