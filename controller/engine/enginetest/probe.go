package enginetest

import (
	"archive/tar"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/engine/model"
)

// Root is a file system, as a tar, that holds the probe alone.
func Root(t *testing.T) []byte {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "probe")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags=-s -w", "-o", binary, "github.com/tendhq/tend/controller/engine/enginetest/probe")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	output, err := build.CombinedOutput()
	require.NoError(t, err, string(output))
	content, err := os.ReadFile(binary)
	require.NoError(t, err)

	var root bytes.Buffer
	w := tar.NewWriter(&root)
	require.NoError(t, w.WriteHeader(&tar.Header{Name: "probe", Mode: 0o755, Size: int64(len(content))}))
	_, err = w.Write(content)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return root.Bytes()
}

// Instructions are those of a Dockerfile for an image of the given behaviour.
func Instructions(b model.Behavior) []string {
	program := "/probe"
	if b.CannotStart {
		program = "/absent"
	}
	entrypoint := fmt.Sprintf("%q, %q, %q, %q, %q, %q, %q, %q, %q, %q, %q", program,
		fmt.Sprintf("-exits=%t", b.Exits), fmt.Sprintf("-after=%s", b.After), fmt.Sprintf("-code=%d", b.Code),
		fmt.Sprintf("-ignores-stop=%t", b.IgnoresStop), fmt.Sprintf("-stop-after=%s", b.StopAfter),
		fmt.Sprintf("-stop-code=%d", b.StopCode),
		fmt.Sprintf("-health-after=%s", b.HealthAfter), fmt.Sprintf("-sick=%t", b.Sick),
		fmt.Sprintf("-cores=%g", b.Cores), fmt.Sprintf("-memory=%d", b.Memory))
	for _, line := range b.Output {
		entrypoint += fmt.Sprintf(", %q", line)
	}
	instructions := []string{"ENTRYPOINT [" + entrypoint + "]"}
	if b.HealthCheck {
		// Failures in the start period do not count.
		period := "20s"
		if b.Sick {
			period = "1ms"
		}
		instructions = append(instructions,
			`HEALTHCHECK --interval=200ms --retries=1 --start-period=`+period+` CMD ["/probe", "health"]`)
	}
	return instructions
}
