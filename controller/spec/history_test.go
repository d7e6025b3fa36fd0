package spec

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// Of a revision whose containers cannot exist side by side no more are wanted
// than can, whatever is written for the revision after it.
func TestAnEarlierTemplateBringsItsRoom(t *testing.T) {
	named := &Workload{Revision: "v1", ContainerName: "web", Room: 1, Replicas: 1, Strategy: Strategy{Type: RollingUpdate, MaxUnavailable: 1}}
	written := &Workload{Revision: "v2", Replicas: 3, Strategy: Strategy{Type: RollingUpdate, MaxSurge: 1}}

	back := written.WithTemplateOf(named)

	assert.Equal(t, 1, back.Replicas)
	assert.Equal(t, Strategy{Type: RollingUpdate, MaxSurge: 0, MaxUnavailable: 1}, back.Strategy)
	assert.Equal(t, 3, written.Replicas, "what is written is not changed")

	ranged := &Workload{Revision: "v0", Room: 4, Replicas: 2}
	assert.Equal(t, 3, written.WithTemplateOf(ranged).Replicas)
	assert.Equal(t, 1, written.WithTemplateOf(ranged).Strategy.MaxSurge)
}
