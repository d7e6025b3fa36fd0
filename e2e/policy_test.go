package e2e_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// secretOf is what a process of the container reads.
func secretOf(t *testing.T, r replica) string {
	t.Helper()
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/root/run/secrets/s", r.State.Pid))
	require.NoError(t, err)
	return string(content)
}

// A project that was accepted puts a link to a file of the host in the place of its
// secret, and lets its container exit, so that the engine starts it again.
func TestUnderAPolicyALinkLeadsNowhere(t *testing.T) {
	p := newProject(t, files{"secret.txt": "of the project", "compose.yaml": `
services:
  web:
    image: ${PROBE}
    user: "65532:65532"
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
    read_only: true
    restart: always
    secrets: [s]
secrets:
  s: {file: secret.txt}
`})
	tend := p.run("--policy", "restricted")
	before := p.awaitReady("web", 1)[0]
	assert.Equal(t, "of the project", secretOf(t, before))

	require.NoError(t, os.Remove(p.path("secret.txt")))
	require.NoError(t, os.Symlink("/etc/hostname", p.path("secret.txt")))
	tend.awaitEvent("", "InvalidSpec")
	p.crash("web")
	p.awaitOtherThan(before, "web", 1)
	assert.Equal(t, "of the project", secretOf(t, p.replica("web")))
	assert.Contains(t, p.tend("validate", "--policy", "restricted").errOut, "is not to be had as a file of the project")
}
