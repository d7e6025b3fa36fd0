package spec_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/spec/load"
)

// parityProject is a project in which whatever could disturb a hash is in play.
var parityProject = map[string]string{
	"compose.yaml": `
include: [inner/compose.yaml]
services:
  web:
    extends: {file: base.yaml, service: base}
    image: tend-parity:1
    command: [serve, "--port=${PORT}"]
    env_file: [web.env, {path: missing.env, required: false}]
    label_file: [web.labels]
    environment: {A: "1", FROM_DOTENV: , UNSET: }
    ports: ["127.0.0.1:39481-39490:80", "81"]
    volumes: [data:/data, ./files:/files:ro, {type: tmpfs, target: /tmp, tmpfs: {size: 1m}}]
    networks: {default: {aliases: [www]}, back: }
    healthcheck: {test: [CMD, "true"], interval: 5s, retries: 3}
    labels: {own: label, tend.revision: forged}
    logging: {driver: json-file, options: {max-size: 1m}}
    depends_on: {db: {condition: service_healthy, restart: true}}
    stop_grace_period: 3s
    ulimits: {nofile: {soft: 100, hard: 200}}
    secrets: [secret]
    pull_policy: never
    x-tend: {managed: true}
    deploy:
      replicas: 2
      update_config: {parallelism: 1, order: start-first}
      restart_policy: {condition: on-failure, delay: 5s}
      resources: {limits: {memory: 64M, cpus: "0.5"}}
  db:
    image: tend-parity:1
    command: x
    restart: unless-stopped
    volumes: [elsewhere:/data]
    sysctls: {net.core.somaxconn: 10}
    cap_drop: [ALL]
    extra_hosts: [a:10.0.0.1]
  off: {image: tend-parity:1, profiles: [off]}
networks:
  back: {internal: true, labels: {a: b}, driver_opts: {com.docker.network.bridge.enable_icc: "true"}}
volumes:
  data: {labels: {c: d}}
  elsewhere: {name: tend-parity-elsewhere, driver: local}
secrets:
  secret: {file: secret.txt}
`,
	"inner/compose.yaml": "services: {inner: {image: \"tend-parity:1\", command: x, env_file: [inner.env], volumes: [\".:/inner\"]}}\n",
	"inner/inner.env":    "INNER=1\n",
	"base.yaml":          "services: {base: {environment: {BASE: \"1\"}, entrypoint: [run], volumes: [\"./base:/base\"]}}\n",
	"web.env":            "B=2\nC=${A}${PORT}\n",
	"web.labels":         "from=file\n",
	".env":               "PORT=80\nFROM_DOTENV=yes\n",
	"secret.txt":         "s\n",
	"files/x":            "",
	"base/x":             "",
}

// What docker compose v2.40.3 writes on containers, networks and volumes is
// what tend would write: else docker compose up would replace them.
func TestLabelsNamesAndHashesAreThoseOfCompose(t *testing.T) {
	dir := t.TempDir()
	for name, content := range parityProject {
		write(t, filepath.Join(dir, name), content)
	}
	const name = "tend-spec-parity"
	docker, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, docker.Close()) })
	imported, err := docker.ImageImport(t.Context(),
		image.ImportSource{Source: bytes.NewReader(make([]byte, 1024)), SourceName: "-"}, "tend-parity:1", image.ImportOptions{})
	require.NoError(t, err, "this test needs a running Docker Engine")
	require.NoError(t, imported.Close())

	compose := func(ctx context.Context, args ...string) {
		t.Helper()
		command := exec.CommandContext(ctx, composeBinary(t), slices.Concat([]string{"-p", name}, args)...)
		command.Dir = dir
		output, err := command.CombinedOutput()
		require.NoError(t, err, "docker compose %s: %s", args, output)
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		compose(ctx, "down", "--volumes", "--timeout", "0")
		_, err := docker.ImageRemove(ctx, "tend-parity:1", image.RemoveOptions{Force: true})
		assert.NoError(t, err)
	})
	compose(t.Context(), "create")

	project, err := load.Project(t.Context(), load.Options{ProjectDirectory: dir, Name: name})
	require.NoError(t, err)

	containers, err := docker.ContainerList(t.Context(), container.ListOptions{
		All: true, Filters: filters.NewArgs(filters.Arg("label", spec.LabelProject+"="+name)),
	})
	require.NoError(t, err)
	require.Len(t, containers, 4)
	for _, c := range containers {
		w := project.Workloads[c.Labels[spec.LabelService]]
		number, err := strconv.Atoi(c.Labels[spec.LabelContainerNumber])
		require.NoError(t, err)
		ours := spec.ContainerLabels(project, w, number, c.ImageID, nil)
		delete(ours, spec.LabelRevision)
		delete(ours, spec.LabelKind)
		delete(c.Labels, spec.LabelRevision)
		assert.Equal(t, c.Labels, ours, w.Name)
		assert.Equal(t, c.Names, []string{"/" + spec.ContainerName(project.Name, w, number)})
	}

	networks, err := docker.NetworkList(t.Context(), network.ListOptions{
		Filters: filters.NewArgs(filters.Arg("label", spec.LabelProject+"="+name)),
	})
	require.NoError(t, err)
	require.Len(t, networks, 2)
	for _, n := range networks {
		ours := spec.NetworkLabels(project, project.Networks[n.Name])
		assert.Equal(t, n.Labels, ours)
	}
	for _, v := range []string{name + "_data", "tend-parity-elsewhere"} {
		theirs, err := docker.VolumeInspect(t.Context(), v)
		require.NoError(t, err)
		ours := spec.VolumeLabels(project, project.Volumes[v])
		assert.Equal(t, theirs.Labels, ours)
	}
}

// composeBinary is the docker compose that the Makefile builds, or the one in
// the PATH if it is of the same version.
func composeBinary(t *testing.T) string {
	t.Helper()
	built, err := filepath.Abs("../../build/bin/docker-compose")
	require.NoError(t, err)
	if _, err := os.Stat(built); err == nil {
		return built
	}
	inPath, err := exec.LookPath("docker-compose")
	require.NoError(t, err, "there is no docker-compose; make setup builds it")
	version, err := exec.CommandContext(t.Context(), inPath, "version", "--short").Output()
	require.NoError(t, err)
	require.Equal(t, spec.ComposeVersion, strings.TrimPrefix(strings.TrimSpace(string(version)), "v"))
	return inPath
}
