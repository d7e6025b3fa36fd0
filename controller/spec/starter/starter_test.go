package starter_test

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/spec/load"
	"github.com/tendhq/tend/controller/spec/starter"
)

const project = `
name: shop
services:
  web:
    image: nginx:1.27
    ports: ["8080:80", "127.0.0.1:8443:443"]
    scale: 3
    depends_on: {migrate: {condition: service_completed_successfully}}
  direct: {image: "web:1", ports: [{target: 80, published: "9000", mode: host}]}
  api:
    image: web:1
    expose: ["3000"]
    restart: always
    healthcheck: {test: [CMD, "check", "--password", "secret"]}
    deploy: {replicas: 2, update_config: {order: start-first, parallelism: 2, monitor: 7s, failure_action: pause}}
  db:
    image: docker.io/pgvector/pgvector:pg16
    volumes: ["data:/var/lib/postgresql/data", "./init:/docker-entrypoint-initdb.d:ro"]
    healthcheck: {disable: true}
  shared: {image: "web:1", scale: 2, volumes: ["data:/data"]}
  migrate: {image: "web:1", command: migrate, deploy: {restart_policy: {condition: on-failure, max_attempts: 4}}}
  once: {image: "web:1", restart: "no"}
  parallel: {image: "web:1", deploy: {mode: replicated-job, replicas: 3}}
  unknown-image: {image: "web:1@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}
volumes: {data: }
`

// loaded loads the project, with spec files.
func loaded(t *testing.T, dir string, drafts ...load.Draft) *spec.Project {
	t.Helper()
	p, err := load.Project(t.Context(), load.Options{ProjectDirectory: dir, IngressImage: "tend/ingress:1", Drafts: drafts})
	require.NoError(t, err)
	return p
}

// workloads are the workloads that a spec may be written for.
func workloads(p *spec.Project) map[string]*spec.Workload {
	all := map[string]*spec.Workload{}
	for name, w := range p.Workloads {
		if w.Kind != spec.Ingress {
			all[name] = w
		}
	}
	return all
}

func TestAStarterSpecChangesWhatItSays(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(project), 0o644))
	before := loaded(t, dir)
	var all []load.Draft
	for name, w := range workloads(before) {
		all = append(all, load.Draft{Path: filepath.Join(dir, "specs", name+".yaml"), Content: starter.Spec(w)})
	}
	after := loaded(t, dir, all...)
	assert.Len(t, after.Specs, len(all))
	told := 0
	for name, w := range before.Workloads {
		now := after.Workloads[name]
		if len(starter.Changes(w)) > 0 {
			told++
			assert.Equal(t, spec.RestartAny, now.Restart.Condition, name)
		} else if w.Kind != spec.Job { // a Job's tries are bounded by backoffLimit instead
			assert.Equal(t, w.Restart.Condition, now.Restart.Condition, name)
		}
		now.Restart.Condition, now.Restart.Reason = w.Restart.Condition, w.Restart.Reason
		assert.True(t, reflect.DeepEqual(w, now), "%s: %+v\nand with a spec: %+v", name, w, now)
	}
	assert.Equal(t, 5, told)
}

var suggestion = regexp.MustCompile(`(?m)^  #([a-z].*)$`)

func TestEachSuggestionIsValid(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(project), 0o644))
	found := map[string]bool{}
	for name, w := range workloads(loaded(t, dir)) {
		content := starter.Spec(w)
		for _, at := range suggestion.FindAllSubmatchIndex(content, -1) {
			found[string(content[at[2]:at[3]])] = true
			edited := append(append([]byte{}, content[:at[2]-1]...), content[at[2]:]...)
			loaded(t, dir, load.Draft{Path: filepath.Join(dir, "specs", name+".yaml"), Content: edited})
		}
	}
	assert.Contains(t, found, "readinessProbe: {tcpSocket: {port: 3000}, periodSeconds: 2}")
	assert.Contains(t, found, "strategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}")
	assert.Contains(t, found, "activeDeadlineSeconds: 600")
}

func TestAStarterSpecTellsWhatWasFound(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(project), 0o644))
	p := loaded(t, dir)
	text := func(name string) string { return string(starter.Spec(p.Workloads[name])) }
	assert.Contains(t, text("web"), "The host port 8080 leads to the port 80 of the replicas that are ready, and stays open while containers are replaced.")
	assert.Contains(t, text("db"), "It mounts data at /var/lib/postgresql/data, "+dir+"/init at /docker-entrypoint-initdb.d (read-only).")
	assert.Contains(t, text("db"), "spec: {engine: postgres}")
	assert.Contains(t, text("db"), "Its health check is disabled")
	assert.NotContains(t, text("api"), "secret")
}
