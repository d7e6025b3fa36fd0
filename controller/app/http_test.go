package app

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var shellBlock = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")

// The commands in the reference of the API do what it says.
func TestTheCommandsOfTheReferenceWork(t *testing.T) {
	text, err := os.ReadFile("../../docs/reference/http.md")
	require.NoError(t, err)
	s := newShop(t)
	specs := filepath.Join(s.dir, "specs")
	require.NoError(t, os.Mkdir(specs, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(specs, "web.yaml"), []byte("apiVersion: tend/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  replicas: 2\n"), 0o600))
	s.options.API.Listen = address(t)
	s.run()
	s.converges(2)
	script := "set -euo pipefail\n"
	for _, block := range shellBlock.FindAllSubmatch(text, -1) {
		script += string(block[1])
	}
	require.Contains(t, script, "--max-time")
	script = strings.ReplaceAll(script, "127.0.0.1:7070", s.options.API.Listen)
	c := exec.CommandContext(t.Context(), "bash", "-c", script)
	c.Dir = s.dir
	out, err := c.CombinedOutput()
	require.NoError(t, err, "%s", out)
	for _, text := range []string{`"kind":"Plan"`, `{"replicas":3}`, `"type":"BOOKMARK"`, `"kind":"SpecFile"`, `"valid":false`, `"line":1`} {
		assert.Contains(t, string(out), text)
	}
	s.converges(4)
}
