package kubernetes

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"

	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/spec/load"
)

// Whatever project can be loaded is exported as objects that Kubernetes can read: here all
// those that the tests of loading have.
func TestEachProjectThatLoadsIsExported(t *testing.T) {
	stories, err := filepath.Glob("../../spec/load/testdata/stories/*.txtar")
	require.NoError(t, err)
	loaded := 0
	for _, path := range stories {
		story, err := txtar.ParseFile(path)
		require.NoError(t, err)
		dir := t.TempDir()
		for _, f := range story.Files {
			write(t, filepath.Join(dir, f.Name), f.Data)
		}
		p, err := load.Project(context.Background(), load.Options{ProjectDirectory: dir, Name: "shop", IngressImage: "tend/ingress"})
		if err != nil {
			continue // it is a story of a mistake
		}
		loaded++
		c := check(t, Export(p, nil))
		templates := 0
		for _, w := range p.Workloads {
			if w.Kind != spec.Ingress {
				templates++
			}
			if len(w.PreRollout) > 0 {
				templates++
			}
		}
		assert.Equal(t, templates, len(c.deployments)+len(c.statefulSets)+len(c.jobs), filepath.Base(path))
	}
	assert.Greater(t, loaded, 20)
}
