package load

import (
	"slices"
	"strconv"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// written is a project in two files; the test spoils each of its values.
var written = []string{`
name: demo
x-common: &common {TZ: UTC}
services:
  web:
    image: web:${TAG-1}
    build: {context: ., args: {A: b}, target: t}
    command: [serve, "--port=80"]
    entrypoint: /bin/sh -c
    environment: {<<: *common, A: 1, B: , FROM: }
    env_file: [{path: a.env, required: false}]
    ports: ["80:80", {target: 81, published: "8081", protocol: tcp}]
    expose: [90]
    volumes: [data:/data, {type: tmpfs, target: /tmp, tmpfs: {size: 1m}}]
    networks: {back: {aliases: [www], ipv4_address: 10.0.0.2}}
    healthcheck: {test: [CMD, "true"], interval: 5s, timeout: 1s, retries: 3, disable: false}
    depends_on: {db: {condition: service_healthy, restart: true, required: true}}
    deploy:
      replicas: ${N-2}
      update_config: {parallelism: 1, order: start-first, delay: 10s}
      restart_policy: {condition: on-failure, max_attempts: 3}
      resources: {limits: {memory: 64M, cpus: "0.5", pids: 10}}
      placement: {constraints: [a==b]}
    ulimits: {nofile: {soft: 100, hard: 200}, nproc: 5}
    logging: {driver: json-file, options: {max-size: 1m}}
    secrets: [key, {source: key, target: /k, mode: 0440}]
    configs: [conf]
    sysctls: [net.core.somaxconn=10]
    extra_hosts: ["a:1.2.3.4"]
    tmpfs: [/run]
    dns: [1.1.1.1]
    stop_grace_period: 1m30s
    mem_limit: 64m
    privileged: false
    init: true
    labels: {a: b}
    develop: {watch: [{path: ., action: rebuild}]}
    x-tend: {managed: true}
  db: {image: db, restart: always, user: "1", cap_add: [ALL], shm_size: 1g}
networks: {back: {driver: bridge, ipam: {config: [{subnet: 10.0.0.0/24}]}}}
volumes: {data: {driver: local, labels: [a=b]}, other: {external: true}}
secrets: {key: {file: ./key}, other: {environment: FROM}}
configs: {conf: {content: hello}}
`, `
services:
  web:
    environment: [A=2]
    ports: ["82"]
    volumes: [other:/data]
    depends_on: [db]
    build: {args: [C=d]}
    deploy: {replicas: 3}
    tmpfs: /run2
`}

// spoilt are the values that each value is replaced by: one in so many of them, which
// are other ones for the next value.
const some = 8

var spoilt = []string{"", "x", "-1", "1.5", "true", "[]", "{}", "[1, {a: b}]", "{a: {b: c}}", "${UNSET:?no}", "2006-01-02", "!reset x", "{1: a}", "10s", "${COMPOSE_PROJECT_NAME}"}

// TestValidProjectIsLoadedAsByComposeGo shows that compose-go accepts each project that
// loadValid accepts, and makes the same of it.
func TestValidProjectIsLoadedAsByComposeGo(t *testing.T) {
	require.True(t, isLoaded(t, written...))
	require.True(t, isLoaded(t, "services: {a: {image: !override b}}"))
	for _, s := range []string{
		"include: []\n" + written[0], "version: '3'\n" + written[0], "services: {a: {image: b}, c: {extends: a}}",
		"services: {1: {image: b}}", "services: {a: {image: b, x: y}}", "[]", "",
		"services: {a: {image: b, mem_limit: \"${COMPOSE_PROJECT_NAME}\"}}",
	} {
		assert.False(t, isLoaded(t, s), s)
	}
	changed, valid := 0, 0
	for file, content := range written {
		for n := range count(parse(t, content)) {
			for i := n % some; i < len(spoilt); i += some {
				root := parse(t, content)
				spoil(t, root, n, spoilt[i])
				text, err := yaml.Marshal(root)
				require.NoError(t, err)
				contents := slices.Clone(written)
				contents[file] = string(text)
				changed++
				if isLoaded(t, contents...) {
					valid++
				}
			}
		}
	}
	t.Logf("%d of %d changed projects are valid", valid, changed)
	assert.Greater(t, valid, changed/10)
	assert.Less(t, valid, changed-changed/10)
}

// isLoaded reports whether loadValid accepts files. If it does, compose-go has to load the
// same project.
func isLoaded(t *testing.T, contents ...string) bool {
	details := func() types.ConfigDetails {
		d := types.ConfigDetails{WorkingDir: "/demo", Environment: types.Mapping{"FROM": "outside"}}
		for i, content := range contents {
			d.ConfigFiles = append(d.ConfigFiles, types.ConfigFile{Filename: strconv.Itoa(i), Content: []byte(content)})
		}
		return d
	}
	named := func(o *loader.Options) { o.SetProjectName("folder", false) }
	got := loadValid(t.Context(), details(), named)
	if got == nil {
		return false
	}
	want, err := loader.LoadWithContext(t.Context(), details(), named)
	assert.NoError(t, err, contents)
	assert.Equal(t, want, got, contents)
	return true
}

func parse(t *testing.T, content string) *yaml.Node {
	var n yaml.Node
	require.NoError(t, yaml.Unmarshal([]byte(content), &n))
	return &n
}

// values calls do for each value in a document that is not a key.
func values(n *yaml.Node, do func(*yaml.Node)) {
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			continue
		}
		do(child)
		values(child, do)
	}
}

func count(root *yaml.Node) (n int) {
	values(root, func(*yaml.Node) { n++ })
	return n
}

// spoil puts a value in the place of the value with a number.
func spoil(t *testing.T, root *yaml.Node, number int, value string) {
	replacement := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"}
	if value != "" {
		replacement = parse(t, value).Content[0]
	}
	i := 0
	values(root, func(n *yaml.Node) {
		if i++; i-1 == number {
			*n = *replacement
		}
	})
}
