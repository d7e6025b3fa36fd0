package kubernetes

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const references = "../../../docs/reference/"

// The reference says of each key of Compose, and of each field of a spec, what becomes of it.
func TestTheReferenceHasEachKeyAndField(t *testing.T) {
	said := map[string]bool{}
	for _, name := range firstCells(t, "kubernetes.md", "| key |", "| field |") {
		said[name] = true
		parent, _, _ := strings.Cut(name, ".")
		said[parent] = true
	}
	section := ""
	for line := range strings.Lines(document(t, "compose.md")) {
		if title, ok := strings.CutPrefix(line, "## "); ok {
			section = strings.Trim(title, "`\n")
		}
		key := composeKey.FindStringSubmatch(line)
		if key == nil {
			continue
		}
		switch section {
		case "Top level", "services.*":
			assert.True(t, said[key[1]], "the key %s", key[1])
		case "services.*.deploy", "networks.*", "volumes.*", "secrets.*", "configs.*":
			parent := strings.TrimPrefix(strings.TrimSuffix(section, ".*"), "services.*.")
			assert.True(t, said[parent+"."+key[1]], "the key %s of %s", key[1], parent)
		}
	}
	for _, field := range firstCells(t, "spec.md", "| field |") {
		assert.True(t, said[field], "the field %s", field)
	}
	for key := range unsupportedServiceKeys {
		assert.True(t, said[key], "the key %s", key)
	}
}

var (
	composeKey = regexp.MustCompile("^\\| `([^`]+)` \\|")
	inQuotes   = regexp.MustCompile("`([^`]+)`")
)

func document(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(references + name)
	require.NoError(t, err)
	return string(content)
}

// firstCells are what the first cells of a document's tables have in quotes, of the tables
// that begin with one of the headers.
func firstCells(t *testing.T, name string, headers ...string) (all []string) {
	t.Helper()
	inside := false
	for line := range strings.Lines(document(t, name)) {
		begins := func(header string) bool { return strings.HasPrefix(line, header) }
		if inside = strings.HasPrefix(line, "| ") && (inside || slices.ContainsFunc(headers, begins)); inside {
			first, _, _ := strings.Cut(line[2:], " | ")
			for _, match := range inQuotes.FindAllStringSubmatch(first, -1) {
				all = append(all, match[1])
			}
		}
	}
	require.NotEmpty(t, all)
	return all
}
