//go:build linux

package cli

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/cmd/terminal"
	"github.com/tendhq/tend/controller"
	"github.com/tendhq/tend/controller/spec"
)

var differences = []controller.Difference{
	{Text: "network shop_default: is missing"},
	{Workload: "web", Text: "revision: 3 of 3 replicas are not at a8124f0c", Fields: []spec.Difference{
		{Field: "image", From: "web:1", To: "web:2"},
		{Field: "user", To: "1000"},
		{Field: "environment.TOKEN", Concealed: true},
	}},
}

func TestADifferenceIsToldByField(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, printDifferences(&out, differences))
	assert.Equal(t, `network shop_default: is missing
web: revision: 3 of 3 replicas are not at a8124f0c
    image: web:1 → web:2
    user: (none) → 1000
    environment.TOKEN: differs, and may be secret
`, out.String())
}

func TestADifferenceIsColouredOnATerminal(t *testing.T) {
	t.Setenv("TERM", "xterm-256color")
	for _, c := range []struct{ noColor, want string }{
		{"", "\x1b[31mweb:1\x1b[m → \x1b[32mweb:2\x1b[m"},
		{"1", "image: web:1 → web:2"},
	} {
		t.Setenv("NO_COLOR", c.noColor)
		screen, written := openTerminal(t)
		require.NoError(t, printDifferences(terminal.Writer(written), differences))
		shown := make([]byte, 4096)
		n, err := screen.Read(shown)
		require.NoError(t, err)
		assert.Contains(t, string(shown[:n]), c.want)
	}
}
