package spec_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/spec/load"
)

// hashedProject returns the workload web of a project with the given lines in
// its service, and a dependency with a command.
func hashedProject(t *testing.T, lines, dependency string, files map[string]string) *spec.Workload {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "demo")
	write(t, filepath.Join(dir, "compose.yaml"), `
services:
  web:
    image: web:1
`+lines+`
  db:
    image: db:1
    command: `+dependency+`
secrets: {s: {file: s.txt}}
configs: {c: {content: "{{C}}"}}
`)
	write(t, filepath.Join(dir, "s.txt"), "secret")
	for name, content := range files {
		write(t, filepath.Join(dir, name), content)
	}
	p, err := load.Project(t.Context(), load.Options{ProjectDirectory: dir})
	require.NoError(t, err)
	return p.Workloads["web"]
}

func TestRevisionFollowsWhatAContainerIsMadeFrom(t *testing.T) {
	const spec = "apiVersion: tend/v1\nkind: Deployment\nmetadata: {name: web}\n"
	type project struct {
		lines, dependency string
		files             map[string]string
	}
	for _, c := range []struct {
		name          string
		before, after project
		differ        bool
	}{
		{"nothing", project{}, project{}, false},
		{"the order of keys", project{lines: "    environment: {A: b, C: d}"}, project{lines: "    environment: {C: d, A: b}"}, false},
		{"list instead of mapping", project{lines: "    environment: {A: b}"}, project{lines: "    environment: [A=b]"}, false},
		{"replicas", project{}, project{lines: "    deploy: {replicas: 3}"}, false},
		{"scale", project{}, project{lines: "    scale: 3"}, false},
		{"how it rolls", project{}, project{lines: "    deploy: {update_config: {parallelism: 2}, restart_policy: {delay: 3s}}"}, false},
		{"restart", project{}, project{lines: "    restart: always"}, false},
		{"depends_on", project{}, project{lines: "    depends_on: [db]"}, false},
		{"build", project{}, project{lines: "    build: ."}, false},
		{"pull policy", project{}, project{lines: "    pull_policy: never"}, false},
		{"extension", project{}, project{lines: "    x-anything: 1"}, false},
		{"replicas in the spec", project{}, project{files: map[string]string{"specs/web.yaml": spec + "spec: {replicas: 3}\n"}}, false},
		{"how it fails", project{}, project{lines: "    deploy: {update_config: {failure_action: pause}}"}, false},
		{"a dependency", project{lines: "    depends_on: [db]"}, project{lines: "    depends_on: [db]", dependency: "x"}, false},

		{"a dependency to follow",
			project{lines: "    depends_on: {db: {condition: service_started, restart: true}}"},
			project{lines: "    depends_on: {db: {condition: service_started, restart: true}}", dependency: "x"}, true},
		{"image in the spec", project{}, project{files: map[string]string{"specs/web.yaml": spec + "spec: {template: {image: \"web:2\"}}\n"}}, true},
		{"environment", project{}, project{lines: "    environment: {A: b}"}, true},
		{"env file", project{lines: "    env_file: [e]", files: map[string]string{"e": "A=1"}}, project{lines: "    env_file: [e]", files: map[string]string{"e": "A=2"}}, true},
		{"labels", project{}, project{lines: "    labels: {A: b}"}, true},
		{"limits", project{}, project{lines: "    deploy: {resources: {limits: {memory: 1G}}}"}, true},
		{"a probe", project{}, project{files: map[string]string{"specs/web.yaml": spec + "spec: {readinessProbe: {tcpSocket: {port: 80}}}\n"}}, true},
		{"how often a probe is made",
			project{files: map[string]string{"specs/web.yaml": spec + "spec: {livenessProbe: {tcpSocket: {port: 80}, periodSeconds: 1}}\n"}},
			project{files: map[string]string{"specs/web.yaml": spec + "spec: {livenessProbe: {tcpSocket: {port: 80}, periodSeconds: 2}}\n"}}, true},
		{"stop grace", project{}, project{lines: "    stop_grace_period: 3s"}, true},
		{"secret content", project{lines: "    secrets: [s]"}, project{lines: "    secrets: [s]", files: map[string]string{"s.txt": "new"}}, true},
		{"config content",
			project{lines: "    configs: [c]"},
			project{lines: "    configs: [c]", files: map[string]string{"compose.override.yaml": "configs: {c: {content: new}}"}}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := hashedProject(t, c.before.lines, c.before.dependency, c.before.files)
			after := hashedProject(t, c.after.lines, c.after.dependency, c.after.files)
			assert.Equal(t, c.differ, before.Revision != after.Revision)
			assert.Len(t, after.Revision, 16)
		})
	}
}

// A hash that changed without a change of its project would replace every
// container at the next start of tend. The config hashes were written by
// docker compose v2.40.3.
func TestHashesAreStable(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "demo")
	write(t, filepath.Join(dir, "compose.yaml"), `
services:
  web:
    image: web:1
    command: [serve]
    environment: {A: b}
    ports: ["8080-8090:80"]
    volumes: [data:/data]
    networks: {front: {aliases: [www]}}
    healthcheck: {test: [CMD, "true"], interval: 5s}
    stop_grace_period: 3s
    deploy: {replicas: 2, resources: {limits: {memory: 64M}}}
  probed: {image: web:1, environment: {POSTGRES_PASSWORD: x}}
  db: {image: db:1, volumes: ["data:/var/lib/postgresql/data"]}
networks: {front: {internal: true}}
volumes: {data: {labels: {a: b}}}
`)
	write(t, filepath.Join(dir, "specs", "all.yaml"), `
apiVersion: tend/v1
kind: Deployment
metadata: {name: probed}
spec:
  startupProbe: {exec: {command: [a, b]}, failureThreshold: 30}
  readinessProbe: {httpGet: {path: /ready, port: 80, httpHeaders: [{name: A, value: b}]}, timeoutSeconds: 0.5}
  livenessProbe: {postgres: {}}
---
apiVersion: tend/v1
kind: Database
metadata: {name: db}
spec: {engine: postgres, readinessProbe: {postgres: {}}}
`)
	p, err := load.Project(t.Context(), load.Options{ProjectDirectory: dir})
	require.NoError(t, err)
	assert.Equal(t, "ad2f8b4e4fb829b5", p.Workloads["web"].Revision)
	assert.Equal(t, "e598fe95679622f7", p.Workloads["probed"].Revision)
	assert.Equal(t, "e535fb8e4473e9f3", p.Workloads["db"].Revision)
	assert.Equal(t, "e65fb16b725e1c66d30e24b3f7d21227c2879dd08598bd3b6b730bcfd7655aae", p.Workloads["web"].ConfigHash)
	assert.Equal(t, "d21984f079abe6ddb2bd2016d64f07632a561120793e000b7806235af1652b74", p.Networks["demo_front"].ConfigHash)
	assert.Equal(t, "37366ed301c909f521ad130fabc72824834aec4d693943198fa50044656c65d9", p.Volumes["demo_data"].ConfigHash)
}

func TestContainerLabelsOverrideTheServicesOwn(t *testing.T) {
	p := &spec.Project{Name: "demo", WorkingDir: "/demo", ConfigFiles: []string{"/demo/a.yaml", "/demo/b.yaml"}, EnvFiles: []string{"x.env"}}
	w := &spec.Workload{Name: "web", Kind: spec.Deployment, Revision: "r", ConfigHash: "h"}
	w.Template.Labels = map[string]string{spec.LabelRevision: "forged", "own": "label"}
	assert.Equal(t, map[string]string{
		"own":                                         "label",
		"com.docker.compose.project":                  "demo",
		"com.docker.compose.service":                  "web",
		"com.docker.compose.version":                  "2.40.3",
		"com.docker.compose.oneoff":                   "False",
		"com.docker.compose.config-hash":              "h",
		"com.docker.compose.container-number":         "7",
		"com.docker.compose.depends_on":               "",
		"com.docker.compose.image":                    "sha256:i",
		"com.docker.compose.project.config_files":     "/demo/a.yaml,/demo/b.yaml",
		"com.docker.compose.project.working_dir":      "/demo",
		"com.docker.compose.project.environment_file": "x.env",
		"tend.revision":                               "r",
		"tend.kind":                                   "Deployment",
	}, spec.ContainerLabels(p, w, 7, "sha256:i", nil))
	assert.Equal(t, "forged", w.Template.Labels[spec.LabelRevision], "the project was changed")
	assert.Equal(t, "demo-web-7", spec.ContainerName(p.Name, w, 7))
	w.ContainerName = "fixed"
	assert.Equal(t, "fixed", spec.ContainerName(p.Name, w, 1))
}

func TestPolicyIsInNoHash(t *testing.T) {
	plain := hashedProject(t, "", "", nil)
	const document = "apiVersion: tend/v1\nkind: Deployment\nmetadata: {name: web}\nspec: "
	for _, policy := range []string{
		"{replicas: 3, strategy: {type: Recreate}, minReadySeconds: 1, progressDeadlineSeconds: 9, revisionHistoryLimit: 1, paused: true}",
		"{drainSeconds: 3, onFailure: pause, preRollout: [{name: a, command: [b]}]}",
	} {
		w := hashedProject(t, "", "", map[string]string{"specs/web.yaml": document + policy + "\n"})
		assert.Equal(t, plain.Revision, w.Revision, policy)
		assert.Equal(t, plain.ConfigHash, w.ConfigHash, policy)
	}
}

func write(t testing.TB, path, content string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
}
