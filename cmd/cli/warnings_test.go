package cli

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/spec/load"
)

func TestEachWarningOfComposeIsToldOnce(t *testing.T) {
	dir := t.TempDir()
	compose := "services: {web: {image: \"web:${TAG_THAT_NOBODY_SET}\"}, api: {image: \"web:${TAG_THAT_NOBODY_SET}${NOR_THIS}\"}}\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(compose), 0o600))
	var told []string
	tellWarnings(func(warning string) { told = append(told, warning) })
	for range 3 {
		_, err := load.Project(t.Context(), load.Options{ProjectDirectory: dir})
		require.NoError(t, err)
	}
	assert.ElementsMatch(t, []string{
		`The "TAG_THAT_NOBODY_SET" variable is not set. Defaulting to a blank string.`,
		`The "NOR_THIS" variable is not set. Defaulting to a blank string.`,
	}, told)
}
