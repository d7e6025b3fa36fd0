package load

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/spec"
)

// loadSpecs loads a project with the service web after prepare has filled its
// folder specs.
func loadSpecs(t *testing.T, prepare func(specs string)) (*spec.Project, error) {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "compose.yaml"), "services: {web: {image: \"web:1\"}}\n")
	specs := filepath.Join(dir, "specs")
	require.NoError(t, os.Mkdir(specs, 0o755))
	prepare(specs)
	return Project(t.Context(), Options{ProjectDirectory: dir})
}

func TestOnlyRegularFilesInsideSpecsAreRead(t *testing.T) {
	for name, prepare := range map[string]func(specs string) error{
		"a link out of the folder": func(specs string) error {
			return os.Symlink("../compose.yaml", filepath.Join(specs, "x.yaml"))
		},
		"an absolute link": func(specs string) error {
			return os.Symlink("/etc/passwd", filepath.Join(specs, "x.yaml"))
		},
		"a dangling link": func(specs string) error {
			return os.Symlink("nowhere", filepath.Join(specs, "x.yaml"))
		},
		"a named pipe": func(specs string) error {
			return syscall.Mkfifo(filepath.Join(specs, "x.yaml"), 0o600)
		},
		"a folder": func(specs string) error {
			return os.Mkdir(filepath.Join(specs, "x.yaml"), 0o755)
		},
		"specs itself is a file": func(specs string) error {
			return errors.Join(os.Remove(specs), os.WriteFile(specs, nil, 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := loadSpecs(t, func(specs string) { require.NoError(t, prepare(specs)) })
			var problems spec.Errors
			require.ErrorAs(t, err, &problems)
			assert.Contains(t, problems[0].File, "specs")
		})
	}
}

func TestALinkInsideSpecsIsRead(t *testing.T) {
	p, err := loadSpecs(t, func(specs string) {
		write(t, filepath.Join(specs, "v2", "web"), "apiVersion: tend/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 4}\n")
		require.NoError(t, os.Symlink("v2/web", filepath.Join(specs, "web.yaml")))
	})
	require.NoError(t, err)
	assert.Equal(t, 4, p.Workloads["web"].Replicas)
}

func FuzzSpecFile(f *testing.F) {
	stories, err := filepath.Glob("testdata/stories/*.txtar")
	require.NoError(f, err)
	for _, s := range stories {
		content, err := os.ReadFile(s)
		require.NoError(f, err)
		for document := range strings.SplitSeq(string(content), "-- ") {
			_, yaml, _ := strings.Cut(document, " --\n")
			f.Add([]byte(yaml))
		}
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		var documents []*document
		var problems spec.Errors
		began := time.Now()
		cost := allocated(func() { documents, problems = decodeSpecs("x.yaml", content) })
		if cost > mostAllocated || time.Since(began) > 30*time.Second {
			t.Errorf("it took %d bytes and %s", cost, time.Since(began))
		}
		for _, p := range problems {
			if p.File != "x.yaml" || p.Message == "" {
				t.Errorf("a problem without file or message: %#v", p)
			}
		}
		for _, d := range documents {
			for field, p := range eachProbe(d.probes) {
				actions := 0
				for _, set := range []bool{p.HTTPGet != nil, p.TCPSocket != nil, p.Exec != nil, p.Postgres != nil} {
					if set {
						actions++
					}
				}
				if len(problems) == 0 && (actions != 1 || p.Exec == nil && (port(p) < 1 || port(p) > maxPort) ||
					p.InitialDelay < 0 || p.Period <= 0 || p.Timeout <= 0 || p.SuccessThreshold < 1 || p.FailureThreshold < 1) {
					t.Errorf("accepted as a %s: %#v", field, p)
				}
			}
			if len(problems) == 0 && (d.kind == "" || d.name == "") {
				t.Errorf("accepted without kind or name: %q", content)
			}
		}
	})
}
