package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/tendhq/tend/api"
	"github.com/tendhq/tend/e2e/kit"
)

// plain is a Compose file with one service without a health check.
const plain = `
services:
  web:
    image: ${PROBE}
    environment: {VERSION: "1"}
`

// awaitTold waits until a command prints a text.
func (p *project) awaitTold(text string, args ...string) {
	p.t.Helper()
	p.await(func() error {
		if r := p.tend(args...); r.code != 0 || !strings.Contains(r.out, text) {
			return fmt.Errorf("tend %s does not tell %q: %s", strings.Join(args, " "), text, r)
		}
		return nil
	})
}

func TestApplyConvergesOnce(t *testing.T) {
	p := newProject(t, files{"compose.yaml": web})
	r := p.tend("apply")
	assert.Zero(t, r.code, "%s", r)
	assert.Contains(t, r.errOut, "Created")
	before := p.replica("web")
	assert.True(t, before.ready(), "apply returns when all is ready")
	assert.Empty(t, p.mustTend("apply"))
	assert.Equal(t, before.State.StartedAt, p.replica("web").State.StartedAt)
}

func TestApplyFailsWithTheReasonAfterItsTimeout(t *testing.T) {
	p := newProject(t, files{"compose.yaml": strings.Replace(web, `VERSION: "1"`, "HEALTH: never", 1)})
	r := p.tend("apply", "--timeout", "4s")
	assert.Equal(t, 1, r.code, "%s", r)
	assert.Contains(t, r.errOut, "web: ")
	assert.Contains(t, r.errOut, "4s")
}

func TestApplyWaitsForTheControllerThatRuns(t *testing.T) {
	p := newProject(t, files{"compose.yaml": web})
	p.run()
	p.awaitReady("web", 1)
	p.edit("compose.yaml", `VERSION: "1"`, `VERSION: "2"`)
	r := p.tend("apply")
	assert.Zero(t, r.code, "%s", r)
	assert.Contains(t, r.errOut, "has converged")
	assert.Equal(t, "2", p.replica("web").env("VERSION"))
	assert.True(t, p.replica("web").ready())
}

func TestValidateSaysWhereAProblemIs(t *testing.T) {
	p := newProject(t, files{"compose.yaml": plain, "specs/web.yaml": webSpec})
	assert.Contains(t, p.mustTend("validate"), "is valid: 1 workloads, 1 spec files")
	p.edit("specs/web.yaml", "replicas: 3", "replicsa: 3")
	r := p.tend("validate", "--host", "unix:///nowhere")
	assert.Equal(t, 1, r.code)
	assert.Contains(t, r.errOut, "specs/web.yaml:5:3: ")
	assert.Contains(t, r.errOut, "replicas", "it says what was meant")
}

func TestDiffTellsByItsExitCode(t *testing.T) {
	p := newProject(t, files{"compose.yaml": plain})
	r := p.tend("diff")
	assert.Equal(t, 1, r.code, "%s", r)
	assert.Contains(t, r.out, "web: replicas: 0 → 1")
	assert.Empty(t, p.replicas(""), "diff changes nothing")

	p.mustTend("apply")
	assert.Empty(t, p.mustTend("diff"))

	p.edit("compose.yaml", `VERSION: "1"`, `VERSION: "2"`)
	r = p.tend("diff")
	assert.Equal(t, 1, r.code, "%s", r)
	assert.Contains(t, r.out, "1 of 1 replicas are not at")
	assert.Contains(t, r.out, "    environment.VERSION: differs, and may be secret\n")
	assert.NotContains(t, r.out, `"2"`)
	var list struct {
		Items []struct {
			Workload string
			Fields   []struct{ Field string }
		}
	}
	require.NoError(t, json.Unmarshal([]byte(p.tend("diff", "-o", "json").out), &list))
	assert.Equal(t, "web", list.Items[0].Workload)
	assert.Equal(t, "environment.VERSION", list.Items[0].Fields[0].Field)

	p.write("compose.yaml", "services: {web: {imgae: x}}")
	r = p.tend("diff")
	assert.Greater(t, r.code, 1, "%s", r)
	assert.Contains(t, r.errOut, "compose.yaml:1:18: ")
}

func TestGetShowsWorkloadsAndReplicas(t *testing.T) {
	p := newProject(t, files{"compose.yaml": web + "    deploy: {replicas: 2}\n  other:\n    image: ${PROBE}\n"})
	r := p.tend("get", "workloads")
	assert.Equal(t, 1, r.code)
	assert.Contains(t, r.errOut, "tend run", "it says how to start a controller")

	p.run()
	p.awaitReady("web", 2)
	p.mustTend("apply")
	table := lines(p.mustTend("get", "workloads"))
	require.Len(t, table, 3)
	assert.Equal(t, []string{"NAME", "KIND", "READY", "UP-TO-DATE", "AVAILABLE", "CONVERGED"}, table[0])
	assert.Equal(t, []string{"other", "Deployment", "1/1", "1", "1", "yes"}, table[1])
	assert.Equal(t, []string{"web", "Deployment", "2/2", "2", "2", "yes"}, table[2])
	assert.Len(t, lines(p.mustTend("get", "workloads", "web")), 2)
	assert.Contains(t, p.mustTend("get", "workloads", "-o", "wide"), probe)

	table = lines(p.mustTend("get", "replicas"))
	require.Len(t, table, 4)
	assert.Equal(t, []string{"NAME", "WORKLOAD", "STATE", "READY", "RESTARTS", "AGE"}, table[0])
	assert.Equal(t, []string{p.name + "-web-1", "web", "running", "(healthy)", "yes", "0"}, table[2][:6])
	assert.Len(t, lines(p.mustTend("get", "replicas", "web")), 3)
	assert.Contains(t, p.mustTend("get", "replicas", "-o", "wide"), p.name+"_default=")

	for format, read := range map[string]func([]byte, any) error{"json": json.Unmarshal, "yaml": yaml.Unmarshal} {
		var list struct {
			Kind  string
			Items []struct {
				Kind     string
				Metadata struct{ Name string }
				Spec     struct{ Replicas int }
				Status   map[string]any
			}
		}
		require.NoError(t, read([]byte(p.mustTend("get", "workloads", "-o", format)), &list), format)
		require.Len(t, list.Items, 2, format)
		assert.Equal(t, "List", list.Kind, format)
		assert.Equal(t, "web", list.Items[1].Metadata.Name, format)
		assert.Equal(t, 2, list.Items[1].Spec.Replicas, format)
		assert.EqualValues(t, 2, list.Items[1].Status["readyReplicas"], format)
	}
	r = p.tend("get", "workloads", "nothing")
	assert.Equal(t, 1, r.code)
	assert.Contains(t, r.errOut, "nothing")
}

func lines(table string) (rows [][]string) {
	for line := range strings.Lines(table) {
		rows = append(rows, strings.Fields(line))
	}
	return rows
}

func TestGetWatchShowsEachChange(t *testing.T) {
	p := newProject(t, files{"compose.yaml": plain})
	p.run()
	p.awaitReady("web", 1)
	watch := p.start("get", "workloads", "-w")
	shows := func(text string) {
		t.Helper()
		p.await(func() error {
			if out := strings.Join(strings.Fields(watch.stdout.String()), " "); !strings.Contains(out, text) {
				return fmt.Errorf("no %q in %q", text, out)
			}
			return nil
		})
	}
	shows("web Deployment 1/1 1 1 yes")
	p.edit("compose.yaml", "image:", "scale: 2\n    image:")
	shows("web Deployment 2/2 2 2 yes")
	watch.stop()
}

func TestDownTakesAllAwayButTheVolumes(t *testing.T) {
	p := newProject(t, rich)
	p.mustTend("apply")
	p.mustTend("down")
	assert.Empty(t, p.replicas(""))
	left := p.leftovers()
	assert.Len(t, left, 1, "%v", left)
	assert.Contains(t, left, "volume "+p.name+"_data")
	p.mustTend("down")
	p.mustTend("apply")
	p.mustTend("down", "-v")
	assert.Empty(t, p.replicas(""))
	assert.Empty(t, p.leftovers())
}

func TestDownLeavesANetworkThatAnotherContainerUses(t *testing.T) {
	p := newProject(t, rich)
	p.mustTend("apply")
	other, err := p.engine.ContainerCreate(t.Context(), &container.Config{Image: probe}, &container.HostConfig{NetworkMode: container.NetworkMode(p.name + "_front")}, nil, nil, "")
	require.NoError(t, err)
	t.Cleanup(func() {
		assert.NoError(t, p.engine.ContainerRemove(context.Background(), other.ID, container.RemoveOptions{Force: true}))
	})
	require.NoError(t, p.engine.ContainerStart(t.Context(), other.ID, container.StartOptions{}))
	down := p.tend("down", "-v")
	require.Zero(t, down.code, "%s", down)
	assert.Contains(t, down.errOut, "network "+p.name+"_front stays")
	assert.Equal(t, []string{"network " + p.name + "_front"}, slices.Collect(maps.Keys(p.leftovers())))
}

func TestUsageErrorsExitWith2(t *testing.T) {
	p := newProject(t, files{"compose.yaml": plain})
	for _, args := range [][]string{
		{"nothing"}, {"run", "--nothing"}, {"get"}, {"get", "nothing"}, {"get", "workloads", "-o", "xml"},
		{"apply", "too", "much"}, {"apply", "--timeout", "soon"},
	} {
		r := p.tend(args...)
		assert.Equal(t, 2, r.code, "tend %v: %s", args, r)
		assert.NotEmpty(t, r.errOut)
		assert.Empty(t, r.out)
	}
	assert.Contains(t, p.mustTend("--help"), "validate")
	assert.Regexp(t, `^tend \S+\n$`, p.mustTend("version"))
}

func TestFlagsNameAnotherProject(t *testing.T) {
	p := newProject(t, files{"compose.yaml": plain, "one.yaml": plain, "two.yaml": `
services:
  web: {environment: {VERSION: "${MINE}"}}
  more: {image: "${PROBE}", profiles: [more]}
`})
	p.write("my.env", strings.Replace(p.read(".env"), "COMPOSE_PROJECT_NAME="+p.name, "MINE=5", 1))
	p.flags = []string{"-f", "one.yaml", "-f", "two.yaml", "--env-file", "my.env", "--profile", "more", "-p", p.name, "--data-dir", p.path("data")}
	p.mustTend("apply")
	assert.Equal(t, "5", p.replica("web").env("VERSION"))
	assert.True(t, p.replica("more").ready())
	assert.FileExists(t, p.path("data/lock"))
	assert.NoDirExists(t, p.path(".tend"))
	p.mustTend("down")
	assert.Empty(t, p.replicas(""))
}

func TestRunLogsJSONToWhatIsNoTerminal(t *testing.T) {
	p := newProject(t, files{"compose.yaml": plain})
	tend := p.run()
	p.awaitReady("web", 1)
	tend.awaitEvent("web", "Created", p.name+"-web-1", "1 replica wanted, 0 exist")
	tend.stop()
	for line := range strings.Lines(tend.stderr.String()) {
		var entry struct{ Level, Time, Msg string }
		require.NoError(t, json.Unmarshal([]byte(line), &entry), line)
		assert.NotEmpty(t, entry.Level)
		assert.NotEmpty(t, entry.Time)
		assert.NotEmpty(t, entry.Msg)
	}
	assert.Empty(t, tend.stdout.String())
	assert.True(t, p.replica("web").ready(), "what runs goes on running")
}

func TestRunTellsAPersonInPlainLines(t *testing.T) {
	p := newProject(t, files{"compose.yaml": plain})
	c, _ := p.startBeforePerson("run")
	p.awaitReady("web", 1)
	p.await(func() error {
		if out := c.stdout.String(); !strings.Contains(out, p.name+"-web-1: 1 replica wanted, 0 exist") {
			return fmt.Errorf("it tells only: %s", out)
		}
		return nil
	})
	c.stop()
	assert.Contains(t, c.stdout.String(), "keeping project "+p.name)
	assert.Contains(t, c.stdout.String(), "what runs goes on running")
	assert.NotContains(t, c.stdout.String(), "{", "no JSON for a person")
}

func TestTheControlAPIIsOnASocketForItsUserAlone(t *testing.T) {
	p := newProject(t, files{"compose.yaml": plain})
	p.run()
	p.awaitReady("web", 1)
	p.awaitTold("yes", "get", "workloads")
	for name, mode := range map[string]os.FileMode{
		".tend": os.ModeDir | 0o700, ".tend/tend.sock": os.ModeSocket | 0o600, ".tend/tokens": os.ModeDir | 0o700, ".tend/tokens/admin": 0o600, ".tend/tokens/read": 0o644, ".tend/lock": 0o600,
	} {
		info, err := os.Stat(p.path(name))
		require.NoError(t, err)
		assert.Equal(t, mode, info.Mode(), name)
	}
	assertAnswers(t, p.overSocket(), "http://localhost", "")
}

// overSocket returns a client that sends its requests to the controller's socket.
func (p *project) overSocket() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return api.DialUnix(ctx, p.path(".tend"))
	}}}
}

func TestTheControlAPIWantsATokenOnLoopback(t *testing.T) {
	address, err := kit.FreeAddress()
	require.NoError(t, err)
	p := newProject(t, files{"compose.yaml": plain})
	p.start("run", "--listen", address)
	p.awaitReady("web", 1)
	p.awaitTold("yes", "get", "workloads")
	over := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	token := func(role api.Role) string { return strings.TrimSpace(p.read(".tend/" + api.TokenFile(role))) }
	status := func(method, path, token string) int {
		r, err := http.NewRequestWithContext(t.Context(), method, "http://"+address+path, nil)
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer "+token)
		answer, err := over.Do(r)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		return answer.StatusCode
	}
	const workloads, pause = "/api/v1/workloads", "/api/v1/workloads/web/rollout/pause"
	assert.Equal(t, http.StatusUnauthorized, status(http.MethodGet, workloads, "none"))
	assertAnswers(t, over, "http://"+address, token(api.Reader))
	assert.Equal(t, http.StatusForbidden, status(http.MethodPost, pause, token(api.Reader)))
	assert.Equal(t, http.StatusOK, status(http.MethodPost, pause, token(api.Admin)))
	p.mustTend("rollout", "resume", "web")
	told := p.mustTend("events", "web")
	assert.Regexp(t, "RolloutPaused .*, asked by admin token\n", told)
	assert.Regexp(t, fmt.Sprintf("RolloutResumed .*, asked by uid %d\n", os.Getuid()), told)

	before := token(api.Admin)
	p.mustTend("token", "rotate")
	assert.Equal(t, http.StatusUnauthorized, status(http.MethodGet, workloads, before))
	assert.Equal(t, http.StatusOK, status(http.MethodGet, workloads, token(api.Admin)))
}

// assertAnswers checks that each path of the API answers as it should.
func assertAnswers(t *testing.T, c *http.Client, base, token string) {
	t.Helper()
	for path, want := range map[string]string{
		"/healthz": `"status":"ok"`, "/readyz": `"status":"`, "/metrics": "tend_", "/openapi.yaml": "openapi:",
		"/api/v1/workloads": `"name":"web"`, "/api/v1/workloads/web": `"kind":"Deployment"`,
		"/api/v1/workloads/web/replicas": `"state":"running"`, "/api/v1/replicas": `"state":"running"`,
		"/api/v1/events": `"reason":"Created"`, "/api/v1/workloads/web/events": `"reason":"Created"`,
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+path, nil)
		require.NoError(t, err)
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		answer, err := c.Do(r)
		require.NoError(t, err, path)
		body, err := io.ReadAll(answer.Body)
		require.NoError(t, answer.Body.Close())
		require.NoError(t, err, path)
		assert.Equal(t, http.StatusOK, answer.StatusCode, "%s: %s", path, body)
		assert.Contains(t, strings.ReplaceAll(string(body), `": `, `":`), want, path)
	}
}
