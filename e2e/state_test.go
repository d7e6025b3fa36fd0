package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// history has a project with n revisions; the last one runs.
func history(t *testing.T, n int) (p *project, tend *process) {
	p = newProject(t, files{"compose.yaml": plain, "specs/web.yaml": specOf("replicas: 2")})
	tend = p.run()
	p.awaitReady("web", 2)
	for version := 1; version < n; version++ {
		p.mustTend("wait", "web")
		p.edit("compose.yaml", fmt.Sprintf(`VERSION: "%d"`, version), fmt.Sprintf(`VERSION: "%d"`, version+1))
		p.awaitEnv("web", 2, "VERSION", fmt.Sprint(version+1))
	}
	p.mustTend("wait", "web")
	return p, tend
}

func TestTheHistoryIntentsAndEventsSurviveAKill(t *testing.T) {
	p, tend := history(t, 3)
	before := p.mustTend("rollout", "history", "web")
	events := p.mustTend("events")
	p.mustTend("rollout", "pause", "web")
	tend.end(syscall.SIGKILL)

	p.run()
	p.awaitTold("yes", "get", "workloads")
	assert.Equal(t, revisions(before), revisions(p.mustTend("rollout", "history", "web")))
	for line := range strings.Lines(events) {
		if strings.Contains(line, "RolloutComplete") {
			assert.Contains(t, p.mustTend("events"), strings.Fields(line)[len(strings.Fields(line))-1])
		}
	}
	r := p.tend("rollout", "restart", "web")
	assert.Contains(t, r.errOut, "resume it first", "what was asked stands")
	p.mustTend("rollout", "resume", "web")
	p.mustTend("rollout", "undo", "web", "--to-revision", "1")
	p.awaitEnv("web", 2, "VERSION", "1")
}

// revisions are the numbers and names that a history shows.
func revisions(table string) (lines []string) {
	for line := range strings.Lines(table) {
		lines = append(lines, strings.Join(strings.Fields(line)[:2], " "))
	}
	return lines
}

func TestARolloutUnderWayIsRolledBackAfterAKill(t *testing.T) {
	p := newProject(t, files{"compose.yaml": plain, "specs/web.yaml": specOf("replicas: 2\n  progressDeadlineSeconds: 10")})
	tend := p.run()
	p.awaitReady("web", 2)
	p.mustTend("wait", "web")
	p.edit("compose.yaml", `environment: {VERSION: "1"}`, `environment: {VERSION: "2"}
    command: ["no such command"]`)
	tend.awaitEvent("web", "RolloutStarted")
	tend.end(syscall.SIGKILL)
	tend = p.run()
	tend.awaitEvent("web", "RolledBack", "no progress for 10s")
	p.awaitEnv("web", 2, "VERSION", "1")

	tend.end(syscall.SIGKILL) // and it is not tried again by the next one
	tend = p.run()
	p.awaitTold("was rolled back to", "explain", "web")
	p.awaitEnv("web", 2, "VERSION", "1")
	for _, e := range tend.events() {
		assert.NotEqual(t, "RolloutStarted", e.Reason, e.Message)
	}
}

func TestTheBackOffGoesOnAfterAKill(t *testing.T) {
	p := newProject(t, files{"compose.yaml": "services:\n  web:\n    image: ${PROBE}\n    command: [\"no such command\"]\n"})
	tend := p.run()
	tend.awaitEvent("web", "CrashLoopBackOff", "back-off 20s before start 4")
	tend.end(syscall.SIGKILL)
	tend = p.run()
	tend.awaitEvent("web", "CrashLoopBackOff", "back-off 20s before start 4")
}

func TestADamagedStateFileIsMovedAsideAndStopsNothing(t *testing.T) {
	for name, damage := range map[string]func(p *project, file string){
		"text":    func(p *project, file string) { require.NoError(p.t, os.WriteFile(file, []byte("no database"), 0o600)) },
		"cut":     func(p *project, file string) { require.NoError(p.t, os.Truncate(file, 5000)) },
		"zeroed":  func(p *project, file string) { require.NoError(p.t, os.WriteFile(file, make([]byte, 1<<16), 0o600)) },
		"removed": func(p *project, file string) { require.NoError(p.t, os.Remove(file)) },
	} {
		t.Run(name, func(t *testing.T) {
			p, tend := history(t, 2)
			tend.end(syscall.SIGKILL)
			before := p.identities()
			damage(p, p.path(".tend/state.db"))
			tend = p.run()
			p.awaitTold("yes", "get", "workloads")
			p.assertSame(before, "what runs is not touched")
			aside, err := filepath.Glob(p.path(".tend/state.db.corrupt-*"))
			require.NoError(t, err)
			if name == "removed" {
				tend.awaitEvent("", "StateLost", "nothing is remembered")
			} else {
				require.Len(t, aside, 1)
				tend.awaitEvent("", "StateSetAside", aside[0], "lost")
			}
			p.edit("specs/web.yaml", "replicas: 2", "replicas: 3")
			p.awaitReady("web", 3)
			tend.stop()
			p.run()
			p.awaitTold("1 ", "rollout", "history", "web")
		})
	}
}

func TestAFullDiskStopsNothing(t *testing.T) {
	p := newProject(t, files{"compose.yaml": plain, "specs/web.yaml": specOf("replicas: 2")})
	data := p.path("data")
	require.NoError(t, os.Mkdir(data, 0o700))
	require.NoError(t, syscall.Mount("tmpfs", data, "tmpfs", 0, "size=512k,mode=700"), "this test mounts a file system: it needs root")
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(data, syscall.MNT_DETACH)) })
	p.flags = append(p.flags, "--data-dir", data)
	tend := p.run()
	p.awaitReady("web", 2)
	p.mustTend("wait", "web")
	ballast := filepath.Join(data, "ballast")
	require.ErrorIs(t, os.WriteFile(ballast, make([]byte, 1<<20), 0o600), syscall.ENOSPC)

	p.edit("compose.yaml", `VERSION: "1"`, `VERSION: "2", LONG: "`+strings.Repeat("x", 100_000)+`"`)
	tend.awaitEvent("", "StateNotKept", "no space left on device")
	p.awaitEnv("web", 2, "VERSION", "2")
	p.removeOne("web")
	p.awaitReady("web", 2)

	require.NoError(t, os.Remove(ballast))
	tend.awaitEvent("", "StateKept")
	tend.end(syscall.SIGKILL)
	p.run()
	p.awaitTold(" 2 ", "rollout", "history", "web")
}
