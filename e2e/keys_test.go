package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// builtFiles are a project's whose image is built: a service may name none.
func builtFiles(compose string) files {
	return files{
		"compose.yaml":      compose,
		"app/Dockerfile":    "FROM scratch\nCOPY probe /probe\nENTRYPOINT [\"/probe\"]\nLABEL build=1\n",
		"app/more.env":      "RAW=\"$HOME\" # as it is\n",
		"other.env":         "FROM_ENV_FILES=yes\n",
		"app/.dockerignore": "*.env\n",
	}
}

// newBuiltProject makes a project with the program probe in the folder app.
func newBuiltProject(t *testing.T, compose string) *project {
	t.Helper()
	p := newProject(t, builtFiles(compose))
	out, err := exec.Command("cp", probeProgram, p.path("app/probe")).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return p
}

// composeBuild builds the project's images as a person does.
func (p *project) composeBuild() {
	p.t.Helper()
	p.compose("build", "--quiet")
	p.t.Cleanup(func() {
		_, err := p.engine.ImageRemove(context.Background(), p.name+"-web", image.RemoveOptions{Force: true})
		assert.NoError(p.t, err)
	})
}

// inspected is what the engine says of a service's containers, by number and without
// what differs from one container to the next, what tend writes besides, and the
// engine's restart policy, which tend takes over.
func (p *project) inspected(service string) map[int]string {
	p.t.Helper()
	all := map[int]string{}
	for _, r := range p.replicas(service) {
		config, host := *r.Config, *r.HostConfig
		config.Labels = maps.Clone(config.Labels)
		maps.DeleteFunc(config.Labels, func(name, _ string) bool { return strings.HasPrefix(name, "tend.") })
		if strings.HasPrefix(r.ID, config.Hostname) {
			config.Hostname = ""
		}
		config.Env = slices.Sorted(slices.Values(config.Env)) // Compose writes it as it comes
		host.RestartPolicy, host.LogConfig = container.RestartPolicy{}, container.LogConfig{}
		networks := map[string][]string{}
		for name, n := range r.NetworkSettings.Networks {
			networks[name] = slices.DeleteFunc(slices.Clone(n.Aliases), func(alias string) bool { return strings.HasPrefix(r.ID, alias) })
		}
		text, err := json.MarshalIndent(map[string]any{
			"name": r.Name, "image": r.Image, "config": config, "host": host, "networks": networks, "mounts": r.Mounts, "args": r.Args,
		}, "", "  ")
		require.NoError(p.t, err)
		all[r.number()] = string(text)
	}
	require.NotEmpty(p.t, all)
	return all
}

// builtCompose holds what many a Compose file says and tend once stumbled over.
const builtCompose = `
services:
  web:
    build:
      context: app
      ssh: ["k=./k"]
    expose: ["", "8080"]
    environment: {SEEN: "${FROM_ENV_FILES:-no}"}
    env_file: [{path: app/more.env, format: raw}]
    deploy: {restart_policy: {condition: always}}
`

func TestAServiceThatIsOnlyBuiltIsMadeAsDockerComposeMakesIt(t *testing.T) {
	p := newBuiltProject(t, strings.Replace(builtCompose, "      ssh: [\"k=./k\"]\n", "", 1))
	p.composeBuild()
	p.write("compose.yaml", builtCompose) // a key that is not there cannot be forwarded to a build
	p.compose("up", "-d", "--no-build")
	p.awaitReady("web", 1)
	want := p.inspected("web")
	p.compose("down")
	p.mustTend("apply")
	assert.Equal(t, want, p.inspected("web"))
	assert.Equal(t, `"$HOME" # as it is`, p.replica("web").env("RAW"))
	before := p.identities()
	p.compose("up", "-d", "--no-build")
	p.assertSame(before, "containers after docker compose up")
}

func TestAProjectThatOnlyNeedsTakingOverDoesNotDiffer(t *testing.T) {
	p := newProject(t, rich)
	p.compose("up", "-d")
	p.awaitRich()
	before := p.identities()
	r := p.tend("diff")
	assert.Zero(t, r.code, "%s", r)
	assert.Empty(t, r.out)
	p.assertSame(before, "containers after diff")
	for _, r := range p.replicas("web") {
		assert.Equal(t, container.RestartPolicyUnlessStopped, r.HostConfig.RestartPolicy.Name, "diff takes nothing over")
	}
	p.edit("compose.yaml", `VERSION: "1"`, `VERSION: "2"`)
	r = p.tend("diff")
	assert.Equal(t, 1, r.code, "%s", r)
	assert.Contains(t, r.out, "web: revision: 2 of 2 replicas")
	assert.NotContains(t, r.out, "store")
}

func TestAComposeFileFromTheStandardInputIsKept(t *testing.T) {
	p := newProject(t, files{"other.env": "PROBE=" + probe + "\nFROM=other\n"})
	const content = "services: {web: {image: \"${PROBE}\", environment: {FROM: \"${FROM}\"}}}\n"
	p.flags = []string{"-p", p.name, "-f", "-"}
	piped := func(program string, args ...string) *exec.Cmd {
		cmd := p.command(program, args...)
		cmd.Stdin = strings.NewReader(content)
		cmd.Env = append(cmd.Env, "COMPOSE_ENV_FILES=other.env")
		return cmd
	}
	apply := func(program string, args ...string) {
		t.Helper()
		out, err := piped(program, args...).CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	apply(tend, "apply")
	made := p.awaitEnv("web", 1, "FROM", "other")[0]
	assert.Equal(t, "-", made.Config.Labels["com.docker.compose.project.config_files"])
	before := p.identities()
	apply(compose, "up", "-d")
	p.assertSame(before, "containers after docker compose up")

	// run has read it, and keeps to it; a spec is watched all the same.
	c := &process{p: p, cmd: piped(tend, "run"), stdout: &buffer{}, stderr: &buffer{}, ended: make(chan struct{})}
	c.cmd.Stdout, c.cmd.Stderr = c.stdout, c.stderr
	c.launch()
	p.write("specs/web.yaml", "apiVersion: tend/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 2}\n")
	p.awaitReady("web", 2)
	c.stop()
	var refused bytes.Buffer
	up := piped(tend, "up")
	up.Stderr = &refused
	require.Error(t, up.Run())
	assert.Contains(t, refused.String(), "cannot read the standard input")
}

func TestTwoServicesWithOneContainerNameAreRefused(t *testing.T) {
	p := newProject(t, files{"compose.yaml": `
services:
  api:
    image: ${PROBE}
    container_name: tend-e2e-one-name
  cron:
    image: ${PROBE}
    container_name: tend-e2e-one-name
`})
	for _, command := range []string{"validate", "apply", "run"} {
		r := p.tend(command)
		assert.Equal(t, 1, r.code, "%s", r)
		assert.Contains(t, r.errOut, p.path("compose.yaml")+":8:5: ")
		assert.Contains(t, r.errOut, "service api")
	}
	assert.Empty(t, p.replicas(""))
}

func TestAnImageThatWasBuiltAnewIsRolledOut(t *testing.T) {
	p := newBuiltProject(t, "services: {web: {build: app, deploy: {replicas: 2}}}\n")
	p.composeBuild()
	p.compose("up", "-d", "--no-build")
	p.awaitReady("web", 2)
	p.mustTend("apply")
	rebuild := func(before, after string) {
		p.t.Helper()
		p.edit("app/Dockerfile", "build="+before, "build="+after)
		p.compose("build", "--quiet")
	}
	awaitBuild := func(build string) {
		p.t.Helper()
		p.awaitReplicas("web", 2, func(r replica) bool { return r.ready() && r.Config.Labels["build"] == build })
	}

	rebuild("1", "2")
	r := p.tend("diff")
	assert.Equal(t, 1, r.code, "%s", r)
	assert.Contains(t, r.out, "with the image that "+p.name+"-web is now")
	p.mustTend("apply")
	awaitBuild("2")
	before := p.identities()
	assert.Empty(t, p.mustTend("diff"))
	p.mustTend("apply")
	p.compose("up", "-d", "--no-build")
	p.assertSame(before, "containers after an image that nobody touched")

	tend := p.run()
	rebuild("2", "3")
	tend.awaitEvent("web", "RolloutStarted", p.name+"-web is now")
	awaitBuild("3")
}
