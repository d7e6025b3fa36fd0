package watch

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	tea "charm.land/bubbletea/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestARecordingIsAnAsciicast(t *testing.T) {
	dir := t.TempDir()
	terminal, err := os.Create(filepath.Join(dir, "terminal"))
	require.NoError(t, err)
	defer terminal.Close()
	t.Setenv("COLUMNS", "100")
	t.Setenv("LINES", "30")
	path := filepath.Join(dir, "cast")
	r, err := newRecording(path, terminal)
	require.NoError(t, err)
	for _, text := range []string{"\x1b[2Jgr", "\xc3", "\xbc\xc3\x9f", "e ☃"} { // a character may be cut anywhere
		n, err := r.Write([]byte(text))
		require.NoError(t, err)
		assert.Equal(t, len(text), n)
	}
	size := tea.WindowSizeMsg{Width: 120, Height: 40}
	assert.Equal(t, size, r.resized(nil, size))
	require.NoError(t, r.close())

	shown, err := os.ReadFile(terminal.Name())
	require.NoError(t, err)
	assert.Equal(t, "\x1b[2Jgrüße ☃", string(shown))

	file, err := os.Open(path)
	require.NoError(t, err)
	defer file.Close()
	lines := bufio.NewScanner(file)
	require.True(t, lines.Scan())
	var header struct{ Version, Width, Height, Timestamp int }
	require.NoError(t, json.Unmarshal(lines.Bytes(), &header))
	assert.Equal(t, []int{2, 100, 30}, []int{header.Version, header.Width, header.Height})
	text, last := "", 0.0
	for lines.Scan() {
		var event []any
		require.NoError(t, json.Unmarshal(lines.Bytes(), &event))
		require.Len(t, event, 3)
		assert.GreaterOrEqual(t, event[0], last)
		last = event[0].(float64)
		text += event[1].(string) + ":" + event[2].(string) + "|"
	}
	assert.Equal(t, "o:\x1b[2Jgr|o:üß|o:e ☃|r:120x40|", text)
}

func TestAFileThatCannotBeRecordedToIsNamed(t *testing.T) {
	_, err := newRecording(filepath.Join(t.TempDir(), "missing", "cast"), os.Stdout)
	assert.ErrorContains(t, err, filepath.Join("missing", "cast"))
}
