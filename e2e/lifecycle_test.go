package e2e_test

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// hooked is a service that writes down when it is told to end, as its commands do.
const hooked = `
services:
  web:
    image: redis:7-bookworm
    entrypoint: [sh, -c, 'echo up >>/log/all; trap "echo told >>/log/all; exit 0" TERM; while :; do sleep 0.1; done']
    environment: {VERSION: "1"}
    volumes: ["./log:/log"]
    stop_grace_period: 5s
    post_start:
    - command: [sh, -c, 'echo "started as $$(id -un) $$NAME in $$PWD" >>/log/all']
      user: nobody
      working_dir: /tmp
      environment: {NAME: ann}
    pre_stop:
    - command: [sh, -c, 'echo leaving >>/log/all']
`

// log is what the service and its commands have written.
func (p *project) log() []string {
	p.t.Helper()
	content, err := os.ReadFile(p.path("log/all"))
	require.NoError(p.t, err)
	return strings.Split(strings.TrimSpace(string(content)), "\n")
}

// loggedTo makes a project whose folder log everyone may write to.
func loggedTo(t *testing.T, compose string) *project {
	p := newProject(t, files{"compose.yaml": compose, "log/all": ""})
	require.NoError(t, os.Chmod(p.path("log/all"), 0o666))
	return p
}

func TestCommandsRunAfterTheStartAndBeforeTheSignal(t *testing.T) {
	p := loggedTo(t, hooked)
	const started = "started as nobody ann in /tmp"
	p.mustTend("apply")
	assert.Equal(t, []string{"up", started}, p.log())
	p.edit("compose.yaml", `VERSION: "1"`, `VERSION: "2"`)
	p.mustTend("apply")
	assert.Equal(t, []string{"up", started, "leaving", "told", "up", started}, p.log(), "the update")
	before := p.identities()
	p.compose("up", "-d")
	p.assertSame(before, "docker compose up -d changed something")
	p.mustTend("down")
	assert.Equal(t, []string{"leaving", "told"}, p.log()[6:], "tend down")
}

// A revision whose commands fail is taken back, and says what they said.
func TestAFailedPostStartCommandTakesTheRolloutBack(t *testing.T) {
	p := loggedTo(t, hooked)
	p.write("specs/web.yaml", "apiVersion: tend/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {progressDeadlineSeconds: 3}\n")
	tend := p.run()
	tend.awaitEvent("web", "RolloutComplete")
	p.edit("compose.yaml", `echo "started as`, `echo no such table; exit 4; echo "started as`)
	tend.awaitEvent("web", "RolledBack", "post_start command 1 exited with code 4: no such table")
	p.awaitReady("web", 1)
	p.mustTend("describe", "web")
}

// A command that fails, or goes on for longer than the grace, does not keep a container
// from being stopped.
func TestAFailedPreStopCommandIsToldOf(t *testing.T) {
	for name, command := range map[string]struct{ is, told string }{
		"fails":    {"echo not now; exit 3", "pre_stop command 1 exited with code 3: not now"},
		"hangs on": {"sleep 60", "pre_stop command 1 has not ended in time"},
	} {
		t.Run(name, func(t *testing.T) {
			p := loggedTo(t, strings.Replace(hooked, "echo leaving >>/log/all", command.is, 1))
			tend := p.run()
			tend.awaitEvent("web", "RolloutComplete")
			p.edit("compose.yaml", `VERSION: "1"`, `VERSION: "2"`)
			tend.awaitEvent("web", "PreStopFailed", command.told)
			p.awaitEnv("web", 1, "VERSION", "2")
			assert.Contains(t, p.log(), "told")
		})
	}
}

// A tend that is killed while the commands run has the next one begin anew.
func TestPostStartCommandsOfATendThatWasKilledRunAgain(t *testing.T) {
	p := loggedTo(t, strings.Replace(hooked, `'echo "started as`, `'echo begun >>/log/all; sleep 3; echo "started as`, 1))
	tend := p.run()
	begun := func() error {
		if lines := p.log(); lines[len(lines)-1] != "begun" {
			return fmt.Errorf("%q", lines)
		}
		return nil
	}
	p.await(begun)
	tend.end(syscall.SIGKILL)
	next := p.run()
	next.awaitEvent("web", "RolloutComplete")
	assert.Contains(t, strings.Join(p.log(), "; "), "told; up; begun; started as nobody")
}
