package execute_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/engine/model"
	"github.com/tendhq/tend/controller/execute"
	"github.com/tendhq/tend/controller/spec"
)

// A program for another architecture would crash in its container for ever.
func TestAnIngressOfAnotherArchitectureIsRefused(t *testing.T) {
	e := model.New()
	defer e.Close()
	e.SetArchitecture("riscv64")
	program, err := os.Executable()
	require.NoError(t, err)
	x := execute.New(e, t.TempDir(), program)
	_, err = x.Do(t.Context(), core.Action{Kind: core.MakeImage, Object: "tend/ingress:1"}, &spec.Project{})
	require.ErrorContains(t, err, "the engine's machine is riscv64")
	assert.ErrorContains(t, err, "run the tend for riscv64")
	for _, c := range e.Calls() {
		assert.NotEqual(t, model.OpLoadImage, c.Op)
	}
}
