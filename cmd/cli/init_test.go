//go:build linux

package cli

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestInitWritesASpecForEachServiceThatHasNone(t *testing.T) {
	w := newWorld(t, `
name: shop
services:
  web: {image: "web:1", ports: ["8080:80"]}
  api: {image: "web:1", restart: always}
  cache: {image: "web:1", restart: always}
`)
	specs := filepath.Join(w.dir, "specs")
	require.NoError(t, os.Mkdir(specs, 0o755))
	const written = "apiVersion: tend/v1\nkind: Deployment\nmetadata: {name: api}\nspec: {replicas: 3}\n"
	require.NoError(t, os.WriteFile(filepath.Join(specs, "others.yaml"), []byte(written), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(specs, "cache.yaml"), []byte("# mine\n"), 0o644))

	out, err := w.tend("init", "--check")
	require.NoError(t, err)
	assert.Contains(t, out, "web (Deployment)\n  It runs until it ends with 0: nothing is written for restart.\n")
	assert.Contains(t, out, "  With this file it runs always")
	assert.NotContains(t, out, "api (")
	assert.NoFileExists(t, filepath.Join(specs, "web.yaml"))

	out, err = w.tend("init")
	require.NoError(t, err)
	assert.Contains(t, out, "  → written to "+filepath.Join(specs, "web.yaml")+"\n")
	assert.Contains(t, out, "  → cache.yaml is in specs already, and is left as it is\n")
	content, err := os.ReadFile(filepath.Join(specs, "cache.yaml"))
	require.NoError(t, err)
	assert.Equal(t, "# mine\n", string(content))
	_, err = w.tend("validate")
	require.NoError(t, err)

	out, err = w.tend("init", "web")
	require.NoError(t, err)
	assert.Equal(t, "every service of project shop has a spec\n", out)
	_, err = w.tend("init", "none")
	assert.ErrorContains(t, err, "no service none")
}
