package e2e_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// web is a Compose file with one service that has a health check.
const web = `
services:
  web:
    image: ${PROBE}
    environment: {VERSION: "1"}
    stop_grace_period: 5s
    healthcheck: {test: [CMD, /probe, health], interval: 1s, timeout: 10s, retries: 2, start_period: 30s}
`

// webSpec keeps three replicas, and never fewer in an update.
const webSpec = `apiVersion: tend/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  strategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}
`

func TestAProjectWithoutSpecsIsKeptAtItsDeploySections(t *testing.T) {
	p := newProject(t, files{"compose.yaml": `
services:
  web:
    image: ${PROBE}
    deploy: {replicas: 3}
  scaled:
    image: ${PROBE}
    scale: 2
  single:
    image: ${PROBE}
  none:
    image: ${PROBE}
    deploy: {replicas: 0}
  once:
    image: ${PROBE}
    restart: "no"
    environment: {EXIT: "0"}
  other:
    image: ${PROBE}
    x-tend: {managed: false}
`})
	tend := p.run()
	p.awaitReady("web", 3)
	p.awaitReady("scaled", 2)
	p.awaitReady("single", 1)
	tend.awaitEvent("once", "Complete")
	assert.Equal(t, "exited", p.replica("once").State.Status)
	assert.Empty(t, p.replicas("none"))
	assert.Empty(t, p.replicas("other"))

	p.edit("compose.yaml", "replicas: 3", "replicas: 2")
	p.awaitReady("web", 2)
	for i, r := range p.replicas("web") {
		assert.Equal(t, i+1, r.number())
	}
	assert.Equal(t, 1, strings.Count(tend.stderr.String(), p.name+"-once-1: revision"), "a job that has succeeded does not run again")
}

func TestASpecFileScalesAWorkloadUpAndDown(t *testing.T) {
	p := newProject(t, files{"compose.yaml": web, "specs/web.yaml": webSpec})
	tend := p.run()
	first := p.awaitReady("web", 3)
	p.edit("specs/web.yaml", "replicas: 3", "replicas: 5")
	tend.awaitEvent("web", "SpecChanged", "replicas 3 → 5")
	five := p.awaitReady("web", 5)
	p.edit("specs/web.yaml", "replicas: 5", "replicas: 2")
	two := p.awaitReady("web", 2)
	for i := range first {
		assert.Equal(t, first[i].ID, five[i].ID, "a replica is kept when others come")
	}
	for i := range two {
		assert.Equal(t, first[i].ID, two[i].ID, "the lowest numbers stay")
		assert.Equal(t, first[i].State.StartedAt, two[i].State.StartedAt)
	}
}

func TestASpecFileThatAppearsIsTakenUp(t *testing.T) {
	p := newProject(t, files{"compose.yaml": web})
	p.run()
	p.awaitReady("web", 1)
	p.write("specs/web.yaml", webSpec)
	p.awaitReady("web", 3)
}

func TestANewEnvironmentValueRollsThroughTheReplicas(t *testing.T) {
	p := newProject(t, files{"compose.yaml": web, "specs/web.yaml": webSpec})
	tend := p.run()
	old := p.awaitReady("web", 3)
	seen := p.record("web")
	p.edit("compose.yaml", `VERSION: "1"`, `VERSION: "2"`)
	updated := p.awaitEnv("web", 3, "VERSION", "2")
	tend.awaitEvent("web", "RolloutComplete")

	during := seen.seen()
	assert.GreaterOrEqual(t, during.MinReady, 3, "fewer were ready than maxUnavailable: 0 allows\n%s", strings.Join(during.story, "\n"))
	assert.LessOrEqual(t, during.MaxRunning, 4, "more ran than maxSurge: 1 allows\n%s", strings.Join(during.story, "\n"))
	for _, o := range old {
		for _, u := range updated {
			assert.NotEqual(t, o.ID, u.ID)
		}
	}
}

func TestAnUpdateMayTakeAwayMaxUnavailableReplicasAndNoMore(t *testing.T) {
	p := newProject(t, files{"compose.yaml": web, "specs/web.yaml": strings.Replace(webSpec, "maxSurge: 1, maxUnavailable: 0", "maxSurge: 0, maxUnavailable: 1", 1)})
	p.run()
	p.awaitReady("web", 3)
	seen := p.record("web")
	p.edit("compose.yaml", `VERSION: "1"`, `VERSION: "2"`)
	p.awaitEnv("web", 3, "VERSION", "2")

	during := seen.seen()
	assert.GreaterOrEqual(t, during.MinReady, 2, strings.Join(during.story, "\n"))
	assert.LessOrEqual(t, during.MaxRunning, 3, strings.Join(during.story, "\n"))
}

func TestRecreateStopsAllOldReplicasBeforeTheFirstNewOneStarts(t *testing.T) {
	p := newProject(t, files{"compose.yaml": web, "specs/web.yaml": `apiVersion: tend/v1
kind: Deployment
metadata: {name: web}
spec: {replicas: 2, strategy: {type: Recreate}}
`})
	p.run()
	p.awaitReady("web", 2)
	seen := p.record("web")
	p.edit("compose.yaml", `VERSION: "1"`, `VERSION: "2"`)
	p.awaitEnv("web", 2, "VERSION", "2")

	during := seen.seen()
	assert.Zero(t, during.MinRunning, strings.Join(during.story, "\n"))
	assert.LessOrEqual(t, during.MaxRunning, 2, strings.Join(during.story, "\n"))
}

func TestANewImageRollsThroughTheReplicas(t *testing.T) {
	p := newProject(t, files{"compose.yaml": web, "specs/web.yaml": webSpec})
	p.run()
	p.awaitReady("web", 3)
	p.write("specs/web.yaml", webSpec+"  template: {image: \"${NEW_PROBE}\"}\n")
	updated := p.awaitReplicas("web", 3, func(r replica) bool { return r.ready() && r.Config.Image == newProbe })
	image, err := docker.ImageInspect(t.Context(), newProbe)
	require.NoError(t, err)
	for _, r := range updated {
		assert.Equal(t, image.ID, r.Image)
	}
}

func TestAWorkloadTakenOutOfTheComposeFileIsRemovedAndItsVolumeStays(t *testing.T) {
	p := newProject(t, files{"compose.yaml": web + `
  store:
    image: ${PROBE}
    volumes: ["data:/data"]
volumes:
  data: {}
`})
	p.run()
	p.awaitReady("web", 1)
	p.awaitReady("store", 1)
	before := p.replica("web").ID
	p.write("compose.yaml", web)
	p.awaitReplicas("store", 0, replica.ready)
	assert.Equal(t, before, p.replica("web").ID)
	_, err := docker.VolumeInspect(t.Context(), p.name+"_data")
	assert.NoError(t, err, "a volume is never removed")
}
