//go:build linux

package cli

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/api/client"
)

const simulated = `
name: shop
services:
  web: {image: "web:1", healthcheck: {test: [CMD, check]}}
`

func TestSimulateTellsWhatAnEditWouldDo(t *testing.T) {
	w := newWorld(t, simulated)
	write := func(name, content string) string {
		path := filepath.Join(w.dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
		return path
	}
	compose, spec := filepath.Join(w.dir, "compose.yaml"), filepath.Join(w.dir, "specs", "web.yaml")
	next := write("next.yaml", "name: shop\nservices: {web: {image: \"web:2\", healthcheck: {test: [CMD, check]}}}\n")
	three := write("three.yaml", "apiVersion: tend/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 3}\n")
	out, err := w.tend("simulate", "--edit", spec+"="+three, "--edit", compose+"="+next)
	require.NoError(t, err, out)
	assert.Contains(t, out, "As it is written\n     0.0s   project            Pulling          web:1: image web:1 does not exist and is needed\n")
	assert.Contains(t, out, "three.yaml\n")
	assert.Contains(t, out, "web                Created          shop-web-3: 3 replicas wanted, 1 exist")
	assert.Contains(t, out, "\nweb: never fewer than 3 ready, at most 4 containers\n", "the first edit does not hold in the second one")
	assert.NoFileExists(t, spec, "it was written")

	out, err = w.tend("simulate", "--edit", compose+"="+next, "--image", "web:2=never-ready")
	var exit *exitError
	require.ErrorAs(t, err, &exit)
	assert.Equal(t, exitFailed, exit.code)
	assert.Contains(t, out, "not converged after 10m")
	assert.Contains(t, out, "was rolled back to")
}

func TestSimulateRefusesWhatItCannotPlay(t *testing.T) {
	w := newWorld(t, simulated)
	compose := filepath.Join(w.dir, "compose.yaml")
	broken := filepath.Join(w.dir, "broken.yaml")
	require.NoError(t, os.WriteFile(broken, []byte("services: {web: {image: 3, nonsense: 1}}\n"), 0o644))
	for args, message := range map[[2]string]string{
		{"--edit", compose}:                             "names no file with the next content",
		{"--edit", "README.md=x"}:                       "is no file of the project",
		{"--edit", compose + "=" + broken + ".missing"}: "no such file",
		{"--edit", compose + "=" + broken}:              compose + ":1:",
		{"--image", "web:2"}:                            "names no behaviour",
		{"--image", "web:2=sick"}:                       "is no behaviour of an image",
	} {
		_, err := w.tend("simulate", args[0], args[1])
		assert.ErrorContains(t, err, message, "%v", args)
	}
	_, err := w.tend("run", "--engine", "podman")
	assert.ErrorContains(t, err, `there is no engine "podman"`)
}

// A second run begins anew, as its volumes are empty.
func TestRunKeepsAProjectOnAnEngineInMemory(t *testing.T) {
	w := newWorld(t, "name: shop\nservices: {db: {image: \"postgres:15\", environment: {POSTGRES_PASSWORD: x}, volumes: [\"data:/var/lib/postgresql/data\"]}}\nvolumes: {data: {}}\n")
	require.NoError(t, os.Mkdir(filepath.Join(w.dir, "specs"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(w.dir, "specs", "db.yaml"), []byte("apiVersion: tend/v1\nkind: Database\nmetadata: {name: db}\nspec: {engine: postgres}\n"), 0o644))
	for range 2 {
		_, stop := w.start("run", "--engine", "model", "--image", "postgres:15=10ms")
		eventually(t, func() bool {
			c, err := client.Dial(filepath.Join(w.dir, ".tend", "model"))
			if err != nil {
				return false
			}
			of, err := c.Workload(t.Context(), "db")
			return err == nil && of.Status.Converged && of.Status.ReadyReplicas == 1
		}, "it does not converge")
		out, err := w.tend("kill", "--data-dir", filepath.Join(w.dir, ".tend", "model"), "shop-db-1")
		require.NoError(t, err)
		assert.Equal(t, "shop-db-1: killed\n", out)
		_, err = w.tend("kill", "--data-dir", filepath.Join(w.dir, ".tend", "model"), "shop-db-2")
		require.ErrorContains(t, err, "shop-db-2")
		require.NoError(t, stop())
	}
}
