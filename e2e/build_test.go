package e2e_test

import (
	"context"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/image"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// built is a service that is built from a folder, in a stage, with an argument.
const built = `
services:
  web:
    build:
      context: src
      target: run
      args: {VERSION: "1"}
  inline:
    build:
      context: src
      dockerfile_inline: |
        FROM ${PROBE}
        COPY kept /kept
`

const builtDockerfile = `FROM %PROBE% AS run
ARG VERSION
ENV VERSION=$VERSION
COPY . /src/
FROM run
ENV VERSION=other
`

// removeBuilt removes the images that a project builds, when the test ends.
func (p *project) removeBuilt(services ...string) {
	p.t.Cleanup(func() {
		for _, s := range services {
			_, _ = docker.ImageRemove(context.Background(), p.name+"-"+s, image.RemoveOptions{Force: true}) // it may not have come to exist
		}
	})
}

func TestABuildSectionIsBuilt(t *testing.T) {
	p := newProject(t, files{
		"compose.yaml": built, "src/Dockerfile": strings.Replace(builtDockerfile, "%PROBE%", probe, 1),
		"src/kept": "kept", "src/left/out": "left out", "src/.dockerignore": "left\n",
	})
	p.removeBuilt("web", "inline")
	r := p.tend("apply")
	require.Zero(t, r.code, "%s", r)
	assert.Contains(t, r.errOut, "Built")
	web := p.replica("web")
	assert.Equal(t, "1", web.env("VERSION"))
	assert.True(t, p.replica("inline").ready())
	copied, err := docker.ContainerStatPath(t.Context(), web.ID, "/src/kept")
	require.NoError(t, err)
	assert.Equal(t, int64(4), copied.Size)
	_, err = docker.ContainerStatPath(t.Context(), web.ID, "/src/left")
	assert.Error(t, err, "the .dockerignore leaves it out")
	before := p.identities()
	p.compose("up", "-d")
	p.assertSame(before, "docker compose up -d changed something")

	t.Log("what is here is built anew when that is asked for, and rolled out")
	p.edit("compose.yaml", `VERSION: "1"`, `VERSION: "2"`)
	assert.Empty(t, p.mustTend("apply"))
	p.assertSame(before, "an image that is here was built")
	r = p.tend("apply", "--build")
	require.Zero(t, r.code, "%s", r)
	assert.Equal(t, "2", p.replica("web").env("VERSION"))

	t.Log("a build that fails touches nothing")
	before = p.identities()
	p.write("src/Dockerfile", "FROM "+probe+" AS run\nCOPY nowhere /\n")
	r = p.tend("build", "web")
	assert.Equal(t, 1, r.code, "%s", r)
	assert.Contains(t, r.errOut, "nowhere")
	p.assertSame(before, "a failed build changed something")
	assert.Contains(t, p.tend("build", "nobody").errOut, "has no service nobody")
}

// A controller builds what is missing, and says why it cannot; then nothing waits any longer
// than for the next build.
func TestAControllerBuildsWhatIsMissing(t *testing.T) {
	p := newProject(t, files{
		"compose.yaml": built, "src/Dockerfile": "FROM " + probe + " AS run\nCOPY nowhere /\n", "src/kept": "kept",
	})
	p.removeBuilt("web", "inline")
	tend := p.run()
	tend.awaitEvent("", "BuildFailed", p.name+"-web", "nowhere")
	p.awaitReady("inline", 1)
	p.awaitTold("nowhere", "explain", "web")
	p.write("src/Dockerfile", strings.Replace(builtDockerfile, "%PROBE%", probe, 1))
	p.mustTend("build", "web")
	p.awaitEnv("web", 1, "VERSION", "1")
}
