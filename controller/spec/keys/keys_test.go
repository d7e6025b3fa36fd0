package keys

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/schema"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the reference anew")

const composeReference = "../../../docs/reference/compose.md"

func TestReferenceHasEachKeyOfTheComposeSchema(t *testing.T) {
	var root map[string]any
	require.NoError(t, json.Unmarshal([]byte(schema.Schema), &root))
	definitions := root["definitions"].(map[string]any)

	inSchema := map[string]bool{}
	var walk func(node any, path []string)
	walk = func(node any, path []string) {
		n, ok := node.(map[string]any)
		if !ok {
			return
		}
		if ref, ok := n["$ref"].(string); ok {
			walk(definitions[strings.TrimPrefix(ref, "#/definitions/")], path)
		}
		for _, of := range []string{"oneOf", "anyOf", "allOf"} {
			alternatives, _ := n[of].([]any)
			for _, alternative := range alternatives {
				walk(alternative, path)
			}
		}
		properties, _ := n["properties"].(map[string]any)
		for name, property := range properties {
			below := slices.Concat(path, []string{name})
			inSchema[strings.Join(below, ".")] = true
			k, whole := lookUp(below)
			if assert.NotNil(t, k, "the table lacks %s", strings.Join(below, ".")) && !whole {
				walk(property, below)
			}
		}
		patterns, _ := n["patternProperties"].(map[string]any)
		for pattern, property := range patterns {
			if pattern != "^x-" {
				walk(property, slices.Concat(path, []string{"*"}))
			}
		}
		walk(n["items"], slices.Concat(path, []string{"*"}))
	}
	walk(root, nil)
	require.Contains(t, inSchema, "services.*.deploy.update_config.order", "the walk did not get far")

	for _, row := range table {
		for name := range strings.FieldsSeq(row.names) {
			path := strings.TrimPrefix(row.under+"."+name, ".")
			assert.True(t, inSchema[path], "the Compose schema has no key %s", path)
		}
	}
}

// lookUp returns the key of the table at a path, and whether all keys under it are
// treated like it.
func lookUp(path []string) (k *key, whole bool) {
	k = tree
	for _, step := range path {
		if k = k.children[step]; k == nil {
			return nil, false
		}
	}
	return k, len(k.children) == 0 && k.support != supported
}

func TestComposeReferenceIsUpToDate(t *testing.T) {
	want := referenceText()
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(composeReference), 0o755))
		require.NoError(t, os.WriteFile(composeReference, []byte(want), 0o644))
	}
	got, err := os.ReadFile(composeReference)
	require.NoError(t, err)
	assert.Equal(t, want, string(got), "run go generate ./controller/spec/keys")
}

// referenceText writes the reference as Markdown.
func referenceText() string {
	var b strings.Builder
	b.WriteString(`# The keys of compose.yaml

What tend makes of each key of the [Compose specification](https://github.com/compose-spec/compose-spec),
as of compose-go v2.9.1, the one in Docker Compose v2.40. This page is made from the table that tend
itself goes by (` + "`controller/spec/keys/keys.go`" + `), and a test holds the table against the specification's schema.

- **supported**: it has the effect that it has with ` + "`docker compose up`" + `.
- **ignored**: it has no effect, as with ` + "`docker compose up`" + ` on one machine.
- **refused**: tend stops with the place in the file and the reason, and changes nothing.

A key that is not listed is no key of the specification and an error. Keys that begin with ` + "`x-`" + ` are
yours; tend reads one: ` + "`x-tend: {managed: false}`" + ` on a service, which it then leaves alone, whatever
keys that service uses, ` + "`{ports: direct}`" + ` and ` + "`{proxyProtocol: true}`" + ` on a service (ports.md), ` + "`{keepImages: 3}`" + `
on a service (spec.md), and
` + "`{accessMode: ReadWriteMany}`" + ` on a volume, or on the long form of a mount, to which several containers may then
write at a time.

A ` + "`*`" + ` stands for a name or an item of a list.
`)
	sections := map[string][]string{}
	for _, row := range table {
		for name := range strings.FieldsSeq(row.names) {
			remark := strings.ReplaceAll(row.remark, "|", `\|`)
			sections[row.under] = append(sections[row.under], fmt.Sprintf("| `%s` | %s | %s |", name, row.support, remark))
		}
	}
	titles := slices.Compact(slices.Collect(func(yield func(string) bool) {
		for _, row := range table {
			if !yield(row.under) {
				return
			}
		}
	}))
	for _, under := range titles {
		title := "Top level"
		if under != "" {
			title = "`" + under + "`"
		}
		fmt.Fprintf(&b, "\n## %s\n\n| key | support | remark |\n| --- | --- | --- |\n%s\n", title,
			strings.Join(slices.Sorted(slices.Values(sections[under])), "\n"))
	}
	return b.String()
}
