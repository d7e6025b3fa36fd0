package syntax

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTooMuchIsRefused(t *testing.T) {
	for content, want := range map[string]string{
		strings.Repeat("# comment\n", MaxFileSize/10+1):   "more than the 1048576 that are read",
		strings.Repeat("--- {a: b}\n", maxDocuments+1):    "more than 1000 documents",
		"a: [" + strings.Repeat("1,", maxNodes+1) + "]\n": "more than 65536 values",
		strings.Repeat("[", 100_000):                      "not valid YAML",
	} {
		_, problems := Parse("x.yaml", []byte(content))
		require.ErrorContains(t, problems, want)
	}
}
