package e2e_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
)

// The controller is killed after the first, the second and the third change
// that the engine tells of, so that it dies in different steps.

func TestAKilledControllerFinishesAScaleUpAfterItsRestart(t *testing.T) {
	for changes := range 3 {
		t.Run(fmt.Sprintf("after %d changes", changes+1), func(t *testing.T) {
			p := newProject(t, files{"compose.yaml": plain, "specs/web.yaml": specOf("replicas: 1")})
			tend := p.run()
			p.awaitReady("web", 1)
			p.mustTend("apply")
			seen := p.record("web")
			p.write("specs/web.yaml", specOf("replicas: 8"))
			p.killAfter(tend, seen, changes+1)

			p.run()
			all := p.awaitReady("web", 8)
			p.mustTend("apply")
			for i, r := range all {
				assert.Equal(t, i+1, r.number(), "each number once: %v", all)
			}
			assert.LessOrEqual(t, seen.seen().MaxRunning, 8)
			p.assertRest(8)
		})
	}
}

func TestAKilledControllerFinishesARollingUpdateAfterItsRestart(t *testing.T) {
	for changes := range 3 {
		t.Run(fmt.Sprintf("after %d changes", changes+1), func(t *testing.T) {
			p := newProject(t, files{"compose.yaml": plain, "specs/web.yaml": specOf("replicas: 3\n  strategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}")})
			tend := p.run()
			p.awaitReady("web", 3)
			p.mustTend("apply")
			seen := p.record("web")
			p.edit("compose.yaml", `VERSION: "1"`, `VERSION: "2"`)
			p.killAfter(tend, seen, changes+1)

			p.run()
			p.awaitEnv("web", 3, "VERSION", "2")
			p.mustTend("apply")
			during := seen.seen()
			assert.LessOrEqual(t, during.MaxRunning, 4, strings.Join(during.story, "\n"))
			assert.GreaterOrEqual(t, during.MinReady, 3, strings.Join(during.story, "\n"))
			p.assertRest(3)
		})
	}
}

// killAfter kills the controller as soon as the engine has told of n changes.
func (p *project) killAfter(tend *process, seen *recorder, n int) {
	p.t.Helper()
	p.await(func() error {
		if told := len(seen.seen().story); told < n {
			return fmt.Errorf("only %d changes", told)
		}
		return nil
	})
	tend.end(syscall.SIGKILL)
}

// assertRest checks that the project is at rest with n containers.
func (p *project) assertRest(n int) {
	p.t.Helper()
	before := p.identities()
	assert.Len(p.t, before, n)
	p.mustTend("apply")
	p.assertSame(before, "at rest")
}
