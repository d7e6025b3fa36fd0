package e2e_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
)

// oneShots are services that end, in the words of those who write them.
const oneShots = `
services:
  migrate:
    image: ${PROBE}
    environment: {EXIT: "0", EXIT_AFTER: 1s, VERSION: "1"}
  once:
    image: ${PROBE}
    restart: "no"
    environment: {EXIT: "0"}
  web:
    image: ${PROBE}
    restart: unless-stopped
    depends_on: [migrate]
`

// ended is a container whose process has ended with 0.
func (r replica) ended() bool { return r.State.Status == "exited" && r.State.ExitCode == 0 }

func TestWhatEndsWithZeroIsDone(t *testing.T) {
	p := newProject(t, files{"compose.yaml": oneShots})
	tend := p.run()
	p.awaitReady("web", 1)
	tend.awaitEvent("migrate", "Complete", "ran to completion")
	tend.awaitEvent("once", "Complete", "ran to completion")
	before := p.identities()
	p.mustTend("apply")
	assert.Regexp(t, `(?m)^migrate .* yes .* Complete *$`, p.mustTend("get", "workloads", "-o", "wide"))
	explained := p.mustTend("explain", "migrate")
	assert.Contains(t, explained, "runs until it ends with 0: nothing is written for restart")
	assert.Contains(t, explained, "it ran to completion")
	assert.Contains(t, p.mustTend("explain", "once"), `is a Job and runs once: restart: "no"`)
	tend.stop()

	tend = p.run()
	tend.awaitEvent("migrate", "Complete")
	p.mustTend("apply")
	p.assertSame(before, "containers after tend was started again")
	p.step("another revision runs again", func() {
		p.edit("compose.yaml", `VERSION: "1"`, `VERSION: "2"`)
		done := p.awaitReplicas("migrate", 1, func(r replica) bool { return r.env("VERSION") == "2" && r.ended() })[0]
		p.mustTend("apply")
		after := p.identities()
		assert.NotEqual(t, before[p.name+"-migrate-1"].ID, done.ID)
		assert.Equal(t, before[p.name+"-once-1"], after[p.name+"-once-1"])
		assert.Equal(t, before[p.name+"-web-1"], after[p.name+"-web-1"])
	})
	p.step("whoever starts it by hand runs it once more", func() {
		tend.forget()
		p.compose("start", "migrate")
		tend.awaitEvent("migrate", "Complete")
		p.mustTend("apply")
	})
	for _, e := range tend.events() {
		assert.NotEqual(t, "CrashLoopBackOff", e.Reason, "%v", e)
	}
}

func TestWhatHadFinishedUnderComposeIsNotRunAgain(t *testing.T) {
	p := newProject(t, files{"compose.yaml": oneShots + `
  waiting:
    image: ${PROBE}
    depends_on: {awaited: {condition: service_completed_successfully}}
  awaited:
    image: ${PROBE}
    environment: {EXIT: "0"}
  retried:
    image: ${PROBE}
    restart: on-failure
    environment: {EXIT: "0"}
`})
	p.compose("up", "-d")
	for _, service := range []string{"migrate", "once", "awaited", "retried"} {
		p.awaitReplicas(service, 1, replica.ended)
	}
	before := p.identities()
	p.mustTend("apply")
	p.assertSame(before, "containers after tend apply")
	assert.Empty(t, p.mustTend("diff"))
	p.run()
	p.mustTend("apply")
	p.assertSame(before, "containers after they were adopted")
}

func TestOneThatCrashesIsStartedAgainUntilItEndsWithZero(t *testing.T) {
	p := newProject(t, files{"compose.yaml": `
services:
  migrate:
    image: ${PROBE}
    environment: {CRASH_FIRST: "3", EXIT: "0"}
`})
	tend := p.run()
	tend.awaitEvent("migrate", "Restarted", "exited with code 3")
	tend.awaitEvent("migrate", "Complete")
	p.mustTend("apply")
	assert.True(t, p.replica("migrate").ended())
}

func TestAnEndIsNoneForWhatIsToRunAlways(t *testing.T) {
	for name, lines := range map[string]string{
		"restart: always":         "    restart: always\n",
		"restart: unless-stopped": "    restart: unless-stopped\n",
		"a spec":                  "",
	} {
		t.Run(name, func(t *testing.T) {
			p := newProject(t, files{"compose.yaml": fmt.Sprintf(`
services:
  web:
    image: ${PROBE}
    environment: {EXIT: "0"}
%s`, lines)})
			if lines == "" {
				p.write("specs/web.yaml", "apiVersion: tend/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {}\n")
			}
			tend := p.run()
			tend.awaitEvent("web", "CrashLoopBackOff", "exited with code 0")
		})
	}
}
