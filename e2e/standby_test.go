package e2e_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/stretchr/testify/assert"

	"github.com/tendhq/tend/state/durable/durabletest"
)

// takeover is within what time another tend has to act.
const takeover = 10 * time.Second

// awaitLog waits until the process has told a text in its log.
func (c *process) awaitLog(text string) {
	c.p.t.Helper()
	c.p.await(func() error {
		if !strings.Contains(c.stderr.String(), text) {
			return fmt.Errorf("%s does not tell %q: %s", c, text, c.stderr)
		}
		return nil
	})
}

// standsBy starts a second controller and waits until it knows of the first.
func (p *project) standsBy(first *process, args ...string) *process {
	p.t.Helper()
	second := p.run(args...)
	second.awaitLog(fmt.Sprintf("standing by: process %d", first.cmd.Process.Pid))
	return second
}

// assertTakesOver waits until a process keeps the project, which it was not
// allowed to before.
func assertTakesOver(second *process, since time.Time) {
	second.p.t.Helper()
	second.awaitLog("keeping project")
	assert.Less(second.p.t, time.Since(since), takeover)
}

func TestASecondTendStandsByAndTakesOver(t *testing.T) {
	p := newProject(t, files{"compose.yaml": plain})
	first := p.run()
	p.awaitReady("web", 1)
	second := p.standsBy(first)

	down := p.tend("down")
	assert.Equal(t, 1, down.code)
	assert.Contains(t, down.errOut, "another tend keeps this project")
	p.edit("compose.yaml", `VERSION: "1"`, `VERSION: "2"`)
	p.awaitEnv("web", 1, "VERSION", "2")
	assert.Zero(t, p.tend("apply").code, "apply asks the one that acts")

	killed := time.Now()
	first.end(syscall.SIGKILL)
	assertTakesOver(second, killed)
	p.edit("compose.yaml", `VERSION: "2"`, `VERSION: "3"`)
	p.awaitEnv("web", 1, "VERSION", "3")
	p.awaitTold("yes", "get", "workloads")

	third := p.standsBy(second)
	second.stop()
	third.awaitLog("keeping project")
	p.mustTend("apply")
}

// The kernel does not take a lock from a process that may wake up: nobody acts
// in its place, and nobody acts beside it.
func TestAFrozenTendKeepsTheLock(t *testing.T) {
	p := newProject(t, files{"compose.yaml": plain})
	first := p.run()
	p.awaitReady("web", 1)
	second := p.standsBy(first)
	assert.NoError(t, first.cmd.Process.Signal(syscall.SIGSTOP))
	p.edit("compose.yaml", `VERSION: "1"`, `VERSION: "2"`)
	before := p.identities()
	deadline := time.After(takeover)
	for waiting := true; waiting; {
		select {
		case <-deadline:
			waiting = false
		case <-time.After(glance):
			p.assertSame(before, "nobody acts")
		}
	}
	assert.NotContains(t, second.stderr.String(), "keeping project")
	assert.NoError(t, first.cmd.Process.Signal(syscall.SIGCONT))
	p.awaitEnv("web", 1, "VERSION", "2")
}

// With a database the data directories differ, as on two machines.
func (p *project) databaseFlags(server *durabletest.Postgres, dataDir string) []string {
	return []string{"--database-url", server.URL(), "--data-dir", p.path(dataDir)}
}

func TestWithPostgresAnotherTendTakesOverFromOneThatWasKilled(t *testing.T) {
	p := newProject(t, files{"compose.yaml": plain, "specs/web.yaml": specOf("replicas: 2")})
	server := durabletest.StartPostgres(t)
	first := p.run(p.databaseFlags(server, "one")...)
	p.awaitReady("web", 2)
	p.mustTend(append(p.databaseFlags(server, "one"), "wait", "web")...)
	p.edit("compose.yaml", `VERSION: "1"`, `VERSION: "2"`)
	p.awaitEnv("web", 2, "VERSION", "2")
	p.mustTend(append(p.databaseFlags(server, "one"), "wait", "web")...)
	second := p.standsBy(first, p.databaseFlags(server, "two")...)

	apply := p.tend(append(p.databaseFlags(server, "three"), "apply")...)
	assert.Equal(t, 1, apply.code)
	assert.Contains(t, apply.errOut, "another tend keeps this project")

	killed := time.Now()
	first.end(syscall.SIGKILL)
	p.removeOne("web")
	assertTakesOver(second, killed)
	p.awaitEnv("web", 2, "VERSION", "2")
	assert.Contains(t, p.mustTend(append(p.databaseFlags(server, "two"), "rollout", "history", "web")...), " 2 ", "it knows what the first one knew")
	p.mustTend(append(p.databaseFlags(server, "two"), "rollout", "undo", "web")...)
	p.awaitEnv("web", 2, "VERSION", "1")
	for _, c := range p.processes {
		assert.NotContains(t, c.stderr.String()+c.stdout.String(), durabletest.Password)
	}
}

func TestWithPostgresATendThatWasFrozenDoesNotAct(t *testing.T) {
	p := newProject(t, files{"compose.yaml": plain, "specs/web.yaml": specOf("replicas: 3")})
	server := durabletest.StartPostgres(t)
	first := p.run(p.databaseFlags(server, "one")...)
	p.awaitReady("web", 3)
	second := p.standsBy(first, p.databaseFlags(server, "two")...)
	seen := p.record("web")

	assert.NoError(t, first.cmd.Process.Signal(syscall.SIGSTOP))
	frozen := time.Now()
	p.removeOne("web") // the first one would make it anew when it wakes up
	assertTakesOver(second, frozen)
	p.awaitReady("web", 3)
	p.edit("specs/web.yaml", "replicas: 3", "replicas: 2")
	p.awaitReady("web", 2)
	p.mustTend(append(p.databaseFlags(server, "two"), "wait", "web")...)
	before := p.identities()

	assert.NoError(t, first.cmd.Process.Signal(syscall.SIGCONT))
	first.awaitLog(fmt.Sprintf("standing by: process %d", second.cmd.Process.Pid))
	p.assertSame(before, "it has done nothing")
	assert.LessOrEqual(t, seen.seen().MaxRunning, 3, strings.Join(seen.seen().story, "\n"))

	second.end(syscall.SIGKILL)
	first.forget()
	p.removeOne("web")
	p.awaitReady("web", 2)
}

// While nobody can say who acts, nobody does; and then the one that did goes on.
func TestWithPostgresAwayNobodyActsUntilItIsBack(t *testing.T) {
	p := newProject(t, files{"compose.yaml": plain})
	server := durabletest.StartPostgres(t)
	first := p.run(p.databaseFlags(server, "one")...)
	p.awaitReady("web", 1)
	server.Freeze()
	first.awaitLog("the right to act on this project is lost")
	first.awaitLog("without the database nobody knows")
	server.Thaw()
	p.removeOne("web")
	p.awaitReady("web", 1)
}

// removeOne removes a container behind tend's back.
func (p *project) removeOne(service string) {
	p.t.Helper()
	assert.NoError(p.t, docker.ContainerRemove(p.t.Context(), p.replicas(service)[0].ID, container.RemoveOptions{Force: true}))
}
