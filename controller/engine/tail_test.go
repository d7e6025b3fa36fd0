package engine

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestATailIsTheEndOfWhatWasWritten(t *testing.T) {
	for name, writes := range map[string][]string{
		"nothing": {}, "little": {"a", "b\n"}, "at once": {strings.Repeat("xyz", tailLimit)},
		"bit by bit": strings.Split(strings.Repeat("xyz\n", tailLimit), "\n"),
		"a limit":    {strings.Repeat("a", tailLimit), "b"},
	} {
		t.Run(name, func(t *testing.T) {
			var tail Tail
			for _, w := range writes {
				n, err := tail.Write([]byte(w))
				require.NoError(t, err)
				require.Equal(t, len(w), n)
			}
			all := strings.Join(writes, "")
			assert.Equal(t, all[max(0, len(all)-tailLimit):], tail.String())
			assert.LessOrEqual(t, cap(tail.kept), 4*tailLimit)
		})
	}
}

func TestATailBeginsWithAWholeCharacter(t *testing.T) {
	var tail Tail
	_, _ = tail.Write([]byte("é" + strings.Repeat("x", tailLimit-1)))
	assert.Equal(t, strings.Repeat("x", tailLimit-1), tail.String())
}
