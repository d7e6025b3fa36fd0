package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const page = "../../docs/reference/cli.md"

func TestThePageSaysWhatTheCommandsSay(t *testing.T) {
	written, err := os.ReadFile(page)
	require.NoError(t, err)
	now, err := renewed(string(written))
	require.NoError(t, err)
	assert.Equal(t, now, string(written), "docs/reference/cli.md is stale: go run ./cmd/reference markdown docs/reference/cli.md")
}

func TestWhatIsWrittenByHandStays(t *testing.T) {
	got, err := renewed("before\n" + begin + "old\n" + end + "after\n")
	require.NoError(t, err)
	assert.True(t, strings.HasPrefix(got, "before\n"+begin), got[:100])
	assert.True(t, strings.HasSuffix(got, end+"after\n"))
	assert.NotContains(t, got, "old\n")
	assert.Contains(t, got, "### tend rollout undo\n")
	assert.Contains(t, got, "| `--to-revision")
	assert.NotContains(t, got, "tend ingress", "tend alone runs it")
	_, err = renewed("nothing of that kind")
	assert.ErrorContains(t, err, "it has no lines")
}

// Each man page has the long help of its command and its exit codes.
func TestManPagesHaveTheLongHelp(t *testing.T) {
	folder := t.TempDir()
	require.NoError(t, manPages("1.2.3", folder))
	for name, text := range map[string]string{
		"tend.1": "with 2 where there is a mistake", "tend-diff.1": "It ends with 0 where there is no difference",
		"tend-watch.1": "letter of its phase", "tend-rollout-undo.1": "until another one is written",
	} {
		content, err := os.ReadFile(filepath.Join(folder, name))
		require.NoError(t, err)
		assert.Contains(t, string(content), text, name)
	}
}
