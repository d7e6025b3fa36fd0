package e2e_test

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTheShopSurvivesChaos is what make chaos does at length, in brief. Its
// faults are others each time; the seed is told.
func TestTheShopSurvivesChaos(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "chaos")
	require.NoError(t, goBuild(program, "./e2e/chaos"))
	output, err := exec.CommandContext(t.Context(), program, "-duration", "1m", "-repository", repository, "-tend", tend).CombinedOutput()
	t.Logf("%s", output)
	require.NoError(t, err)
}
