package e2e_test

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/e2e/kit"
)

// rich is a project that uses most of Compose's keys.
var rich = files{
	"web.env":      "FROM_FILE=yes\n",
	"secret.txt":   "hush",
	"config.txt":   "as you like it",
	"compose.yaml": richCompose,
}

const richCompose = `
x-logging: &logging
  driver: json-file
  options: {max-size: 1m}

services:
  web:
    image: ${PROBE}
    hostname: web
    env_file: [web.env]
    environment: {VERSION: "1"}
    command: []
    labels: {com.example.team: a, com.example.price: "5$$"}
    logging: *logging
    volumes: ["data:/data", "./config.txt:/etc/bound.txt:ro", "/anonymous"]
    tmpfs: [/tmp]
    networks:
      front: {aliases: [www]}
      back: {}
    secrets: [hush, {source: hush, target: /run/other, mode: 0400}]
    configs: [{source: liking, target: /etc/liking}]
    healthcheck: {test: [CMD, /probe, health], interval: 1s, timeout: 10s, retries: 3, start_period: 30s}
    stop_grace_period: 5s
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
    read_only: true
    init: true
    mem_limit: 64m
    ulimits: {nofile: 1024}
    extra_hosts: ["elsewhere:192.0.2.1"]
    ports: ["127.0.0.1::8080"]
    restart: unless-stopped
    depends_on:
      store: {condition: service_healthy}
    deploy: {replicas: 2}
  store:
    image: ${PROBE}
    networks: [back]
    expose: ["8080"]
    volumes: [{type: volume, source: data, target: /data, read_only: true}, {type: tmpfs, target: /scratch}]
    healthcheck: {test: [CMD, /probe, health], interval: 1s, timeout: 10s, retries: 3, start_period: 30s}
    restart: always
  plain:
    image: ${PROBE}
    entrypoint: [/probe]

networks:
  front:
    labels: {com.example.net: front}
  back:
    internal: true

volumes:
  data:
    labels: {com.example.vol: data}

secrets:
  hush: {file: secret.txt}
configs:
  liking: {file: config.txt}
`

// awaitRich waits until the project of richCompose runs.
func (p *project) awaitRich() {
	p.t.Helper()
	p.awaitReady("web", 2)
	p.awaitReady("store", 1)
	p.awaitReady("plain", 1)
}

// resource is what Compose made a network or a volume with.
type resource struct {
	ID     string
	Labels map[string]string
}

// resources are the project's networks and volumes, by name.
func (p *project) resources() map[string]resource {
	labelled := filters.NewArgs(filters.Arg("label", kit.ProjectLabel+"="+p.name))
	all := map[string]resource{}
	networks, err := p.engine.NetworkList(p.t.Context(), network.ListOptions{Filters: labelled})
	require.NoError(p.t, err)
	for _, n := range networks {
		all["network "+n.Name] = resource{n.ID, n.Labels}
	}
	volumes, err := p.engine.VolumeList(p.t.Context(), volume.ListOptions{Filters: labelled})
	require.NoError(p.t, err)
	for _, v := range volumes.Volumes {
		all["volume "+v.Name] = resource{v.CreatedAt, v.Labels}
	}
	return all
}

// leftovers are the resources that a removal left, without the networks that the
// engine refuses to remove for no reason.
func (p *project) leftovers() map[string]resource {
	all := p.resources()
	maps.DeleteFunc(all, func(name string, r resource) bool {
		return strings.HasPrefix(name, "network ") && p.engine.miscounts(p.t.Context(), r.ID, p.engine.NetworkRemove(p.t.Context(), r.ID))
	})
	return all
}

// miscounts reports whether the engine has refused to remove a network although no
// container uses it. Some engines lose count of its endpoints when many come and go at
// once (moby/moby#42119), and keep the network until they are restarted.
func (e engine) miscounts(ctx context.Context, id string, refusal error) bool {
	if !errdefs.IsPermissionDenied(refusal) {
		return false
	}
	n, err := e.NetworkInspect(ctx, id, network.InspectOptions{})
	return err == nil && len(n.Containers) == 0
}

func TestDockerComposeUpChangesNothingThatTendMade(t *testing.T) {
	p := newProject(t, rich)
	tend := p.run()
	p.awaitRich()
	p.mustTend("apply")
	tend.stop()
	before, resources := p.identities(), p.resources()
	p.compose("up", "-d")
	p.assertSame(before, "containers after docker compose up")
	assert.Equal(t, resources, p.resources())
	assert.ElementsMatch(t, slices.Collect(maps.Keys(resources)), []string{
		"network " + p.name + "_front", "network " + p.name + "_back", "network " + p.name + "_default", "volume " + p.name + "_data",
	})
}

func TestTendApplyChangesNothingThatDockerComposeMade(t *testing.T) {
	p := newProject(t, rich)
	p.compose("up", "-d")
	p.awaitRich()
	before, resources := p.identities(), p.resources()
	p.mustTend("apply")
	p.assertSame(before, "containers after tend apply")
	assert.Equal(t, resources, p.resources())
	assert.Empty(t, p.mustTend("diff"))
}

func TestARunningProjectIsTakenOverWithoutARestart(t *testing.T) {
	p := newProject(t, rich)
	p.compose("up", "-d")
	p.awaitRich()
	before, policies := p.identities(), p.restartPolicies()
	tend := p.run()
	for _, name := range []string{"web-1", "web-2", "store-1"} {
		service, _, _ := strings.Cut(name, "-")
		tend.awaitEvent(service, "Adopted", p.name+"-"+name)
	}
	p.mustTend("apply")
	p.assertSame(before, "containers after they were adopted")
	assert.Equal(t, policies, p.restartPolicies())
	assert.Empty(t, p.mustTend("diff"))
}

func TestOnlyWhatDiffersIsReplacedWhenAProjectIsTakenOver(t *testing.T) {
	p := newProject(t, rich)
	p.compose("up", "-d")
	p.awaitRich()
	before := p.identities()
	p.edit("compose.yaml", `VERSION: "1"`, `VERSION: "2"`)
	p.run()
	p.awaitEnv("web", 2, "VERSION", "2")
	after := p.identities()
	for _, name := range []string{p.name + "-store-1", p.name + "-plain-1"} {
		assert.Equal(t, before[name], after[name], name)
	}
	for _, r := range p.replicas("web") {
		assert.NotEqual(t, before[r.name()].ID, r.ID)
	}
}

func TestDockerComposeCommandsWorkOnWhatTendMade(t *testing.T) {
	p := newProject(t, rich)
	require.Equal(t, "2.40.3", strings.TrimSpace(p.compose("version", "--short")))
	tend := p.run()
	p.awaitRich()
	names := map[string]string{}
	for line := range strings.Lines(p.compose("ps", "--format", "json")) {
		var c struct{ Name, Service, State, Health string }
		require.NoError(t, json.Unmarshal([]byte(line), &c))
		names[c.Name] = c.Service
		assert.Equal(t, "running", c.State)
	}
	assert.Equal(t, map[string]string{
		p.name + "-web-1": "web", p.name + "-web-2": "web", p.name + "-store-1": "store", p.name + "-plain-1": "plain",
	}, names)
	logs := p.compose("logs", "--no-color", "web")
	assert.Contains(t, logs, "web-1  | ")
	assert.Contains(t, logs, "web-2  | ")
	assert.Contains(t, logs, "FROM_FILE=yes")
	assert.Empty(t, p.compose("exec", "-T", "--index", "2", "web", "/probe", "health"))
	assert.Contains(t, p.compose("top"), "/probe")
	assert.Contains(t, p.compose("ls", "--format", "json"), p.name)

	tend.stop()
	p.compose("down")
	assert.Empty(t, p.replicas(""))
	assert.Equal(t, []string{"volume " + p.name + "_data"}, slices.Collect(maps.Keys(p.leftovers())))
}

func TestDependenciesAreWaitedForByTheirConditions(t *testing.T) {
	p := newProject(t, files{"compose.yaml": `
services:
  app:
    image: ${PROBE}
    depends_on:
      migrate: {condition: service_completed_successfully}
      cache: {condition: service_started}
      db: {condition: service_healthy}
  migrate:
    image: ${PROBE}
    environment: {EXIT: "0", EXIT_AFTER: 2s}
    depends_on:
      db: {condition: service_healthy}
  cache:
    image: ${PROBE}
  db:
    image: ${PROBE}
    healthcheck: {test: [CMD, /probe, health], interval: 1s, timeout: 10s, retries: 3, start_period: 30s}
`})
	tend := p.run()
	tend.awaitEvent("migrate", "Waiting", "db to be healthy")
	app := p.awaitReady("app", 1)[0]
	db, cache, migrate := p.replica("db"), p.replica("cache"), p.replica("migrate")
	require.NotEmpty(t, db.State.Health.Log)
	healthy := db.State.Health.Log[0].End
	assert.False(t, instant(t, migrate.State.StartedAt).Before(healthy), "the Job waits for a healthy database")
	assert.False(t, instant(t, app.State.StartedAt).Before(instant(t, migrate.State.FinishedAt)), "app waits for the Job to complete")
	assert.False(t, instant(t, app.State.StartedAt).Before(instant(t, cache.State.StartedAt)))
	assert.Equal(t, "exited", migrate.State.Status)
	p.mustTend("apply")
}

func TestAJobThatFailsIsTriedAgainAndHoldsBackWhatNeedsIt(t *testing.T) {
	p := newProject(t, files{"compose.yaml": `
services:
  app:
    image: ${PROBE}
    depends_on:
      migrate: {condition: service_completed_successfully}
  migrate:
    image: ${PROBE}
    environment: {EXIT: "4"}
`, "specs/migrate.yaml": "apiVersion: tend/v1\nkind: Job\nmetadata: {name: migrate}\nspec: {backoffLimit: 0}\n"})
	tend := p.run()
	tend.awaitEvent("migrate", "BackoffLimitExceeded", "exited with code 4", "1 run failed")
	tend.awaitEvent("app", "Waiting", "migrate to complete")
	assert.Empty(t, p.replicas("app"))
	p.edit("compose.yaml", `EXIT: "4"`, `EXIT: "0"`)
	p.awaitReady("app", 1)
}
