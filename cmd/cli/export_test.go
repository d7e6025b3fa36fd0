//go:build linux

package cli

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const exportable = `
services:
  web:
    image: web
    restart: always
    environment: {API_TOKEN: hush}
    configs: [{source: motd, target: /etc/motd}]
configs:
  motd: {file: motd}
`

// newExportWorld is a project with a config in a file.
func newExportWorld(t *testing.T, compose string) *world {
	w := newWorld(t, compose)
	require.NoError(t, os.WriteFile(filepath.Join(w.dir, "motd"), []byte("welcome\n"), 0o644))
	return w
}

func TestExportWritesOneStreamWithoutSecrets(t *testing.T) {
	w := newExportWorld(t, exportable)
	out, err := w.tend("export", "kubernetes", "--strict")
	require.NoError(t, err)
	assert.Contains(t, out, "kind: Deployment\n")
	assert.Contains(t, out, "motd: |\n    welcome\n", "a config's file")
	assert.Contains(t, out, "name: web.environment\n")
	assert.NotContains(t, out, "hush")
}

func TestExportWritesABaseAndWritesNothingOver(t *testing.T) {
	w := newExportWorld(t, exportable)
	into := filepath.Join(t.TempDir(), "new", "k8s")
	_, err := w.tend("export", "kubernetes", "-o", into)
	require.NoError(t, err)
	folder := filepath.Join(into, "base")
	list, err := os.ReadFile(filepath.Join(folder, "kustomization.yaml"))
	require.NoError(t, err)
	assert.Contains(t, string(list), "- deployment-web.yaml\n")
	_, err = w.tend("export", "kubernetes", "-o", into)
	require.NoError(t, err, "what is there is the same")

	edited, removed := filepath.Join(folder, "deployment-web.yaml"), filepath.Join(folder, "service-web.yaml")
	require.NoError(t, os.WriteFile(edited, []byte("mine\n"), 0o644))
	require.NoError(t, os.Remove(removed))
	_, err = w.tend("export", "kubernetes", "-o", into)
	require.ErrorContains(t, err, "deployment-web.yaml")
	content, err := os.ReadFile(edited)
	require.NoError(t, err)
	assert.Equal(t, "mine\n", string(content))
	assert.NoFileExists(t, removed)
}

func TestExportLeavesOverlaysToPeople(t *testing.T) {
	w, folder := newExportWorld(t, exportable), t.TempDir()
	_, err := w.tend("export", "kubernetes", "-o", folder)
	require.NoError(t, err)
	example := filepath.Join(folder, "overlays", "example", "kustomization.yaml")
	content, err := os.ReadFile(example)
	require.NoError(t, err)
	assert.Contains(t, string(content), "- ../../base\n")

	require.NoError(t, os.WriteFile(example, []byte("mine\n"), 0o644))
	require.NoError(t, os.RemoveAll(filepath.Join(folder, "base")))
	_, err = w.tend("export", "kubernetes", "-o", folder)
	require.NoError(t, err)
	assert.FileExists(t, filepath.Join(folder, "base", "kustomization.yaml"))
	content, err = os.ReadFile(example)
	require.NoError(t, err)
	assert.Equal(t, "mine\n", string(content))

	production := filepath.Join(folder, "overlays", "production")
	require.NoError(t, os.Rename(filepath.Dir(example), production))
	_, err = w.tend("export", "kubernetes", "-o", folder)
	require.NoError(t, err)
	assert.NoFileExists(t, example, "it has another name now")
}

func TestExportNamesWhatHasNoCounterpart(t *testing.T) {
	w := newExportWorld(t, "services: {web: {image: web, init: true, volumes: [\"./motd:/etc/motd\"]}}\n")
	root, said := New("test"), &output{}
	root.SetOut(&output{})
	root.SetErr(said)
	root.SetArgs([]string{"--project-directory", w.dir, "export", "kubernetes"})
	require.NoError(t, root.Execute())
	assert.Contains(t, said.String(), "web: init: Kubernetes puts no init into a container")
	assert.Contains(t, said.String(), "web: volumes: /etc/motd is a path of this machine")

	folder := filepath.Join(t.TempDir(), "base")
	_, err := w.tend("export", "kubernetes", "--strict", "-o", folder)
	require.ErrorContains(t, err, "--strict")
	assert.NoDirExists(t, folder)
}

func TestExportWritesWhatAClusterHasInstead(t *testing.T) {
	w := newExportWorld(t, `
services:
  web: {image: web, restart: always, ports: ["8080:80"]}
  db: {image: "postgres:17", environment: {POSTGRES_PASSWORD: hush}, volumes: ["data:/var/lib/postgresql/data"]}
volumes: {data: }
`)
	require.NoError(t, os.MkdirAll(filepath.Join(w.dir, "specs"), 0o755))
	w.write("specs/db.yaml", "{apiVersion: tend/v1, kind: Database, metadata: {name: db}, spec: {engine: postgres}}")
	w.write("specs/web.yaml", "{apiVersion: tend/v1, kind: Deployment, metadata: {name: web}, spec: {readinessProbe: {httpGet: {port: 80}}}}")
	for flag, kind := range map[string]string{
		"--http=ingress": "Ingress", "--http=gateway": "HTTPRoute",
		"--postgres=statefulset": "StatefulSet", "--postgres=cnpg": "Cluster",
	} {
		out, err := w.tend("export", "kubernetes", flag)
		require.NoError(t, err)
		assert.Contains(t, out, "kind: "+kind+"\n", flag)
	}
	_, err := w.tend("export", "kubernetes", "--http", "traefik")
	require.ErrorContains(t, err, `--http takes ingress or gateway, and not "traefik"`)
}

func TestExportRefusesAConfigThatIsTooLarge(t *testing.T) {
	w := newExportWorld(t, exportable)
	require.NoError(t, os.WriteFile(filepath.Join(w.dir, "motd"), make([]byte, maxConfig+1), 0o644))
	_, err := w.tend("export", "kubernetes")
	require.ErrorContains(t, err, "the config motd is larger")
	require.NoError(t, os.Remove(filepath.Join(w.dir, "motd")))
	_, err = w.tend("export", "kubernetes")
	require.ErrorContains(t, err, "motd")
}
