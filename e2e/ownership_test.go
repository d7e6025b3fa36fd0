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
