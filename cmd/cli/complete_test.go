//go:build linux

package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/state"
)

// offered is what a shell is offered for the last argument of a command line.
func (w *world) offered(args ...string) []string {
	w.t.Helper()
	out, err := w.tend(append([]string{"__complete"}, args...)...)
	require.NoError(w.t, err)
	offers, _, _ := strings.Cut("\n"+out, "\n:") // what follows is for the shell
	return strings.Fields(offers)
}

func TestAShellIsOfferedNames(t *testing.T) {
	w := newWorld(t, "name: shop\nservices:\n  web: {image: 'web:1', ports: ['8080:80']}\n  db: {image: 'db:1'}\n")
	w.keep("web", func(*spec.Workload, *core.Status) {})
	assert.Equal(t, []string{"db", "web"}, w.offered("logs", ""))
	assert.Equal(t, []string{"db", "web"}, w.offered("rollout", "restart", ""))
	assert.Equal(t, []string{"web"}, w.offered("explain", "w"))
	assert.Equal(t, []string{"web"}, w.offered("wait", "db", ""))
	assert.Equal(t, []string{"web"}, w.offered("pull", "db", ""))
	assert.Empty(t, w.offered("describe", "web", ""))
	assert.Equal(t, []string{"workloads", "replicas", "images"}, w.offered("get", ""))
	assert.Equal(t, []string{"db", "web"}, w.offered("get", "replicas", ""))
	assert.Equal(t, []string{"available", "complete", "converged"}, w.offered("wait", "web", "--for", ""))

	w.store.Update(func(tx *state.Tx) {
		for n, revision := range []string{"rev0", "rev1"} {
			tx.PutRevision(&state.Revision{Workload: "web", Revision: revision, Number: n + 1, Spec: &spec.Workload{Name: "web", Image: "web:1"}, At: time.Now()})
		}
	})
	offers := w.offered("rollout", "undo", "web", "--to-revision", "")
	assert.Contains(t, strings.Join(offers, " "), "web:1")

	require.NoError(t, os.WriteFile(filepath.Join(w.dir, "compose.yaml"), []byte("services: ["), 0o644))
	assert.Equal(t, []string{"web"}, w.offered("explain", ""), "of a project that is not valid, what is kept is offered")
}
