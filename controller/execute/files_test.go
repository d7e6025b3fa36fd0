package execute_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/execute"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/spec/load"
)

// listener is an engine that keeps what it was asked to create.
type listener struct {
	engine.Engine
	created []engine.ContainerSpec
}

func (*listener) Image(_ context.Context, ref string) (engine.Image, error) {
	return engine.Image{ID: ref, Ref: ref}, nil
}

func (l *listener) Create(_ context.Context, c engine.ContainerSpec) (string, error) {
	l.created = append(l.created, c)
	return c.Name, nil
}

func (*listener) Start(context.Context, string) error { return nil }

// Between the check of a project and the creation of a container, and between two starts
// of one, somebody may put a link in the place of a file.
func TestUnderAPolicyAContainerGetsTheFileAndNotItsPath(t *testing.T) {
	dir, data := t.TempDir(), t.TempDir()
	put := func(name, content string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	put("secret", "of the project")
	put("config", "settings")
	put("compose.yaml", "services:\n  web:\n    image: web:1\n    read_only: true\n    secrets: [s, e]\n    configs: [c]\n"+
		"secrets: {s: {file: secret}, e: {environment: PATH}}\nconfigs: {c: {file: config}}\n")
	for _, policy := range []spec.Policy{"", spec.Privileged, spec.Baseline} {
		p, err := load.Project(t.Context(), load.Options{ProjectDirectory: dir, Policy: policy})
		require.NoError(t, err)
		for _, kind := range []core.ActionKind{core.CreateReplica, core.RunHook} {
			e := &listener{}
			do := func() error {
				_, err := execute.New(e, data, "").Do(t.Context(), core.Action{Kind: kind, Object: "web", Number: 1, Spec: p.Workloads["web"]}, p)
				return err
			}
			require.NoError(t, do())
			got := e.created[0]
			assert.Equal(t, os.Getenv("PATH"), got.Secrets["e"].Content)
			if !policy.Bounds() {
				assert.Equal(t, filepath.Join(dir, "secret"), got.Secrets["s"].File, "as docker compose does")
				continue
			}
			for path, content := range map[string]string{got.Secrets["s"].File: "of the project", got.Configs["c"].File: "settings"} {
				assert.Equal(t, filepath.Join(data, "files"), filepath.Dir(path))
				found, err := os.ReadFile(path)
				require.NoError(t, err)
				assert.Equal(t, content, string(found))
				info, err := os.Lstat(path)
				require.NoError(t, err)
				assert.Equal(t, os.FileMode(0o444), info.Mode())
			}

			require.NoError(t, os.Remove(filepath.Join(dir, "secret")))
			require.NoError(t, os.Symlink("/etc/passwd", filepath.Join(dir, "secret")))
			err := do()
			require.Equal(t, engine.Invalid, engine.ClassOf(err), "%v", err)
			assert.Len(t, e.created, 1, "the engine is not asked")
			require.NoError(t, os.Remove(filepath.Join(dir, "secret")))
			put("secret", "of the project")
		}
	}
	left, err := os.ReadDir(filepath.Join(data, "files"))
	require.NoError(t, err)
	assert.Len(t, left, 2, "one of each content, and nothing unfinished")
}
