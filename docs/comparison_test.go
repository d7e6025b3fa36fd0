package docs

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// sourced matches a cell that says where a row comes from: a link, or the comparison that
// measures it.
var sourced = regexp.MustCompile("\\]\\([^)]+\\)|`make compare`")

// Each row in which tend is held against something else says where that can be read.
func TestEachComparisonHasItsSource(t *testing.T) {
	for path, tables := range map[string]int{"../README.md": 1, "comparison.md": 2} {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		found, rows := 0, 0
		column := -1 // of the sources, in the table that is read
		for line := range strings.Lines(string(text)) {
			cells := strings.Split(strings.ReplaceAll(strings.TrimSpace(line), `\|`, ""), "|")
			switch {
			case len(cells) < 3:
				column = -1
			case column < 0:
				if column = sourceColumn(cells); column >= 0 {
					found++
				}
			case strings.Trim(cells[1], " -") != "":
				rows++
				require.Greater(t, len(cells), column, line)
				assert.Regexp(t, sourced, cells[column], "%s: a row has no source: %s", path, line)
			}
		}
		assert.Equal(t, tables, found, "%s: tables with sources", path)
		assert.Greater(t, rows, 5, path)
	}
}

// sourceColumn is the column of the sources, by the head of a table; -1 where there is none.
func sourceColumn(head []string) int {
	for i, cell := range head {
		if title := strings.TrimSpace(cell); title == "source" || title == "where" {
			return i
		}
	}
	return -1
}
