package load

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestARawEnvFileIsReadAsDockerRunReadsIt(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, ".env"), "FROM_DOTENV=yes\n")
	write(t, filepath.Join(dir, "web.env"), strings.Join([]string{
		"\ufeff# a comment", "", "PLAIN=value", `QUOTED="$PLAIN 'as it is'" # no comment`, "  INDENTED=trailing ",
		"EQUALS=a=b", "EMPTY=", "FROM_DOTENV", "UNKNOWN", "LATER=1", "LATER=2",
	}, "\n"))
	write(t, filepath.Join(dir, "compose.yaml"), "services: {web: {image: web, env_file: [{path: web.env, format: raw}]}}\n")
	p, err := Project(t.Context(), Options{ProjectDirectory: dir})
	require.NoError(t, err)
	got := map[string]string{}
	for name, value := range p.Workloads["web"].Template.Environment {
		require.NotNil(t, value, name)
		got[name] = *value
	}
	assert.Equal(t, map[string]string{
		"PLAIN": "value", "QUOTED": `"$PLAIN 'as it is'" # no comment`, "INDENTED": "trailing ",
		"EQUALS": "a=b", "EMPTY": "", "FROM_DOTENV": "yes", "LATER": "2",
	}, got)
}
