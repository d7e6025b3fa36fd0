package keys_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/spec/keys"
	"github.com/tendhq/tend/controller/spec/load"
)

// Every key that the table calls refused is refused.
func TestRefusedKeysAreRefused(t *testing.T) {
	samples := map[string]string{
		"services.*.credential_spec": "credential_spec: {file: x}",
		"services.*.models":          "models: [llm]",
		"services.*.provider":        "provider: {type: x}",
		"services.*.use_api_socket":  "use_api_socket: true",
		"services.*.volumes.*.type":  "volumes: [{type: npipe, source: x, target: /x}]",
		"secrets.*.external":         "secrets: [outside]",
		"secrets.*.driver":           "secrets: [driven]",
		"secrets.*.driver_opts":      "secrets: [opted]",
		"secrets.*.template_driver":  "secrets: [templated]",
		"configs.*.external":         "configs: [outside]",
		"configs.*.template_driver":  "configs: [templated]",
	}
	const rest = `
  other: {image: other}
models: {llm: {model: x}}
secrets:
  outside: {external: true}
  driven: {driver: x, file: x}
  opted: {driver_opts: {a: b}, file: x}
  templated: {template_driver: x, file: x}
configs:
  outside: {external: true}
  templated: {template_driver: x, file: x}
`
	tested := map[string]bool{}
	for _, path := range keys.Refusable() {
		name := path[strings.LastIndex(path, ".")+1:]
		tested[path] = true
		t.Run(path, func(t *testing.T) {
			require.Contains(t, samples, path)
			dir := t.TempDir()
			compose := "services:\n  web:\n    image: web\n    " + samples[path] + rest
			require.NoError(t, os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(compose), 0o600))
			_, err := load.Project(t.Context(), load.Options{ProjectDirectory: dir})
			var problems spec.Errors
			require.ErrorAs(t, err, &problems)
			assert.Contains(t, problems[0].Message, name)
			assert.Contains(t, problems[0].Message, "is not supported")
			assert.Positive(t, problems[0].Line)
			assert.NotEmpty(t, problems[0].Hint)
		})
	}
	assert.ElementsMatch(t, slices.Collect(maps.Keys(samples)), slices.Collect(maps.Keys(tested)))
}
