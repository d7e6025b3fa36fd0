package e2e_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

const three = `
services:
  web: {image: "${PROBE}"}
  api: {image: "${PROBE}"}
  db: {image: "${PROBE}"}
`

func TestServicesThatAreAllGoneInOneSaveStay(t *testing.T) {
	p := newProject(t, files{"compose.yaml": three})
	tend := p.run()
	for _, service := range []string{"web", "api", "db"} {
		p.awaitReady(service, 1)
	}
	before := p.identities()
	p.write("compose.yaml", "services: {}\n")
	tend.awaitEvent("", "InvalidSpec", "3 of 3 services are gone at once", "restart tend to accept it")
	p.write("compose.yaml", "services:\n  web: {image: \"${PROBE}\"}\n")
	tend.awaitEvent("", "InvalidSpec", "2 of 3 services are gone at once", "api, db")
	p.assertSame(before, "containers of what was lost from the file")

	p.write("compose.yaml", "services:\n  web: {image: \"${PROBE}\"}\n  api: {image: \"${PROBE}\"}\n")
	p.awaitReplicas("db", 0, replica.ready)
	p.awaitReady("web", 1)
	p.awaitReady("api", 1)

	tend.stop()
	p.write("compose.yaml", "services: {}\n")
	p.mustTend("apply")
	assert.Empty(t, p.replicas(""), "to apply it is to mean it")
}

func TestContainersOfAnotherComposeFileStayUntilTheirRemovalIsAskedFor(t *testing.T) {
	p := newProject(t, files{"compose.yaml": three, "extra.yaml": `
services:
  worker: {image: "${PROBE}"}
`, "other.yaml": `
services:
  cron: {image: "${PROBE}"}
`})
	p.compose("-f", "extra.yaml", "up", "-d")
	p.mustTend("-f", "other.yaml", "apply", "--data-dir", p.path("other"))
	before := p.identities()
	unharmed := func(after string) {
		for name, id := range before {
			assert.Equal(t, id, p.identities()[name], "%s after %s", name, after)
		}
	}
	tend := p.run()
	tend.awaitEvent("worker", "OrphanContainer", p.name+"-worker-1", "--remove-orphans")
	tend.awaitEvent("cron", "OrphanContainer", p.name+"-cron-1")
	p.awaitReady("db", 1)
	p.mustTend("apply")
	unharmed("run")

	// What tend made or took over from this file is removed with its service.
	p.compose("up", "-d", "--no-deps", "api")
	p.write("compose.yaml", "services:\n  web: {image: \"${PROBE}\"}\n  api: {image: \"${PROBE}\"}\n")
	p.awaitReplicas("db", 0, replica.ready)
	unharmed("an edit")
	held := p.tend("apply", "--remove-orphans")
	assert.Equal(t, 1, held.code, "%s", held)
	assert.Contains(t, held.errOut, "restart it with that")
	tend.stop()

	diff := p.tend("diff")
	assert.Zero(t, diff.code, "what tend leaves alone is no difference to mend: %s", diff)
	assert.Contains(t, diff.out, p.name+"-worker-1")
	assert.Equal(t, 1, p.tend("diff", "--remove-orphans").code)
	p.mustTend("down")
	assert.Empty(t, p.replicas("web"))
	unharmed("down")
	p.mustTend("apply", "--remove-orphans")
	assert.Empty(t, p.replicas("worker"))
	assert.Empty(t, p.replicas("cron"))
	assert.Len(t, p.replicas("web"), 1)
}
