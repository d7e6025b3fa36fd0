package kubernetes

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/spec/load"
)

// loadStories are projects, each with something that the tests of loading are about.
const loadStories = "../../spec/load/testdata/stories"

// Whatever project can be loaded is exported as objects that Kubernetes can read: here those
// that the tests of loading have, and those that tend is compared with Compose by.
func TestEachProjectThatLoadsIsExported(t *testing.T) {
	checked := 0
	for name, dir := range stories(t, loadStories) {
		if p, err := loaded(dir, load.Options{Name: "shop"}); err == nil { // it is no story of a mistake
			checkProject(t, name, p)
			checked++
		}
	}
	assert.Greater(t, checked, 20)
	for kind, names := range peoplesProjects {
		for _, name := range names {
			t.Run(kind+"/"+name, func(t *testing.T) {
				p, err := loaded(peoplesProject(t, name), load.Options{})
				require.NoError(t, err)
				checkProject(t, name, p)
			})
		}
	}
}

// checkProject exports a project and holds the objects to the rules, and to its workloads.
func checkProject(t *testing.T, name string, p *spec.Project) {
	t.Helper()
	c := check(t, exported(t, p))
	templates := 0
	for _, w := range p.Workloads {
		if w.Kind != spec.Ingress {
			templates++
		}
		if len(w.PreRollout) > 0 {
			templates++
		}
	}
	assert.Equal(t, templates, len(c.deployments)+len(c.statefulSets)+len(c.jobs), name)
}
