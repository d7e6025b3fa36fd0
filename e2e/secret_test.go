package e2e_test

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/api"
)

// A canary stands wherever a project holds a secret. It may be seen nowhere but
// where it was written, in the container, and in the history that a rollback
// needs, which is a file for its owner alone.
func TestNoSecretIsTold(t *testing.T) {
	const canary = "c4n4ry"
	p := newProject(t, files{
		"compose.yaml": `
services:
  web:
    image: ${PROBE}
    environment: {VERSION: "1", PASSWORD: c4n4ry-of-the-environment, FROM_ENV_FILE: "${TOKEN}"}
    env_file: web.env
    secrets: [s, e]
    configs: [c]
secrets:
  s: {file: secret.txt}
  e: {environment: TOKEN}
configs:
  c: {content: "password: c4n4ry-of-the-config"}
`,
		"web.env":        "KEY=c4n4ry-of-the-env-file\n",
		"secret.txt":     "c4n4ry-of-the-secret\n",
		"specs/web.yaml": specOf("replicas: 2\n  progressDeadlineSeconds: 30"),
	})
	p.write(".env", p.read(".env")+"TOKEN=c4n4ry-of-the-dotenv\n")

	tend := p.run()
	p.awaitReady("web", 2)
	p.mustTend("wait", "web")
	told := map[string]string{}
	ask := func(args ...string) {
		r := p.tend(args...)
		told["tend "+strings.Join(args, " ")] = r.out + r.errOut
	}
	// A change of a secret, a rollout that fails and is taken back, and mistakes
	// in the lines that hold a secret.
	p.edit("compose.yaml", "c4n4ry-of-the-environment", "c4n4ry-of-the-environment-2")
	p.awaitEnv("web", 2, "PASSWORD", "c4n4ry-of-the-environment-2")
	p.mustTend("wait", "web")
	p.edit("compose.yaml", `VERSION: "1"`, `VERSION: "2"`)
	p.edit("compose.yaml", "    env_file", "    command: [no such command]\n    env_file")
	ask("diff")
	tend.awaitEvent("web", "RolledBack")
	p.awaitReady("web", 2)
	ask("diff")
	p.edit("compose.yaml", "PASSWORD: c4n4ry", "PASSWORD: [c4n4ry]\n#")
	tend.awaitEvent("", "InvalidSpec")
	ask("validate")

	for _, args := range [][]string{
		{"get", "workloads"}, {"get", "workloads", "-o", "json"}, {"get", "replicas", "-o", "json"}, {"describe", "web"},
		{"explain", "web"}, {"events"}, {"rollout", "history", "web"}, {"endpoints"},
	} {
		ask(args...)
	}
	socket := p.overSocket()
	for _, path := range []string{
		"/metrics", "/healthz", "/readyz", "/api/v1/workloads", "/api/v1/workloads/web", "/api/v1/workloads/web/replicas",
		"/api/v1/workloads/web/revisions", "/api/v1/events", "/api/v1/endpoints", "/api/v1/discovery/prometheus", "/api/v1/discovery/traefik",
	} {
		response, err := socket.Get("http://tend" + path)
		require.NoError(t, err)
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		assert.Less(t, response.StatusCode, 300, "%s: %s", path, body)
		told[path] = string(body)
	}
	tend.stop()
	told["what tend run printed"] = tend.stdout.String() + tend.stderr.String()

	for where, text := range told {
		assert.NotEmpty(t, text, where)
		assert.NotContains(t, text, canary, where)
	}
	require.NoError(t, filepath.WalkDir(p.path(".tend"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if filepath.Base(path) != "state.db" {
			assert.NotContains(t, string(content), canary, path)
		}
		if path == p.path(".tend/"+api.TokenFile(api.Reader)) {
			return err // other users' containers mount it; the folder keeps those of the host out
		}
		info, statErr := d.Info()
		require.NoError(t, statErr)
		assert.Zero(t, info.Mode().Perm()&0o077, path)
		return err
	}))
}
