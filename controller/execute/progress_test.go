package execute_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/engine/model"
	"github.com/tendhq/tend/controller/execute"
	"github.com/tendhq/tend/controller/spec"
)

func TestAPullTellsHowFarItIsAndThatItHasEndedWell(t *testing.T) {
	e := model.New()
	defer e.Close()
	e.PublishImage("web:1", model.Behavior{})
	var told []string
	x := execute.New(e, t.TempDir(), "")
	x.Progress = func(a core.Action, text string) { told = append(told, a.Object+": "+text) }
	for _, image := range []string{"web:1", "elsewhere:1"} {
		_, err := x.Do(t.Context(), core.Action{Kind: core.PullImage, Object: image}, &spec.Project{})
		require.Equal(t, image == "elsewhere:1", err != nil)
	}
	assert.Equal(t, []string{"web:1: Status: Downloaded newer image for web:1", "web:1: "}, told)
}
