package terminal

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestControlCharactersAreEscaped(t *testing.T) {
	for text, want := range map[string]string{
		"plain\ttext, Grüße ☃\r\n":   "plain\ttext, Grüße ☃\r\n",
		"\x1b[2J\x1b]0;title\a":      `\u001b[2J\u001b]0;title\u0007`,
		"over\rwritten\b":            `over\u000dwritten\u0008`,
		"\u009b31m and \x9b31m\x7f":  `\u009b31m and \x9b31m\u007f`,
		"right \u202eto left \u2066": `right \u202eto left \u2066`,
		"not a character: �":         "not a character: �",
	} {
		var out bytes.Buffer
		n, err := escaper{&out}.Write([]byte(text))
		require.NoError(t, err)
		assert.Equal(t, len(text), n)
		assert.Equal(t, want, out.String())
	}
}

func TestEscapedJSONIsTheSameValue(t *testing.T) {
	want := "\x1b[2J \u009b \u202e \x7f \r"
	var out bytes.Buffer
	require.NoError(t, json.NewEncoder(escaper{&out}).Encode(want))
	assert.NotContains(t, out.String(), "\u009b")
	var got string
	require.NoError(t, json.Unmarshal(out.Bytes(), &got))
	assert.Equal(t, want, got)
}

func TestALineHasNoLineEnds(t *testing.T) {
	for text, want := range map[string]string{
		"plain": "plain", "Grüße ☃": "Grüße ☃", "two\nlines\r\nand\ttabs": "two lines and tabs", "\x1b[2J": `\u001b[2J`, "bell\a": `bell\u0007`,
	} {
		assert.Equal(t, want, Line(text))
	}
}

func TestTextIsCutAndPadded(t *testing.T) {
	for _, c := range []struct {
		text  string
		width int
		want  string
	}{
		{"short", 8, "short   "}, {"exactly", 7, "exactly"}, {"too long", 5, "too …"}, {"日本語", 5, "日本…"}, {"日本語", 4, "日… "}, {"any", 0, ""},
	} {
		fitted := Fit(c.text, c.width)
		assert.Equal(t, c.want, fitted)
		assert.Equal(t, c.width, Width(fitted))
	}
	assert.Equal(t, []string{"broken at", "spaces"}, Wrap("broken at spaces", 10))
}
