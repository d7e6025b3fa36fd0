package watch

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tendhq/tend/controller/spec/load"
)

func TestMain(m *testing.M) {
	if os.Getenv(limitedSource) != "" {
		watchWithin()
		return
	}
	goleak.VerifyTestMain(m)
}

// running is a Source that runs on a folder.
type running struct {
	dir     string
	updates chan Update
	stop    func() // ends it
}

const (
	twoServices = "services: {web: {image: \"web:1\"}, api: {image: \"api:1\"}}\n"
	webSpec     = "apiVersion: tend/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: %d}\n"
	apiSpec     = "apiVersion: tend/v1\nkind: Deployment\nmetadata: {name: api}\nspec: {replicas: %d}\n"
)

// run starts a Source on a folder with files, and takes its first update.
func run(t testing.TB, files map[string]string) (*running, Update) {
	dir := filepath.Join(t.TempDir(), "demo")
	require.NoError(t, os.Mkdir(dir, 0o755))
	for name, content := range files {
		write(t, filepath.Join(dir, name), content)
	}
	r := runSource(t, NewSource(load.Options{ProjectDirectory: dir}), dir)
	return r, r.next(t)
}

func runSource(t testing.TB, s *Source, dir string) *running {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	r := &running{dir: dir, updates: make(chan Update, 100)}
	r.stop = sync.OnceFunc(func() {
		cancel()
		assert.NoError(t, <-done)
	})
	go func() { done <- s.Run(ctx, func(u Update) { r.updates <- u }) }()
	t.Cleanup(r.stop)
	return r
}

func (r *running) path(name string) string { return filepath.Join(r.dir, name) }

func (r *running) next(t testing.TB) Update {
	t.Helper()
	select {
	case u := <-r.updates:
		return u
	case <-time.After(10 * time.Second):
		t.Fatal("no update came")
		return Update{}
	}
}

// replicas is the update's count for web, once it has no error.
func replicas(t testing.TB, u Update) int {
	t.Helper()
	require.NoError(t, u.Err)
	return u.Project.Workloads["web"].Replicas
}

func TestEditorsWaysOfSavingAreSeen(t *testing.T) {
	t.Parallel()
	write := func(t *testing.T, path, content string) { write(t, path, content) }
	ways := map[string]func(t *testing.T, path, content string){
		"in place": write,
		"atomic rename": func(t *testing.T, path, content string) {
			write(t, path+".tmp", content)
			require.NoError(t, os.Rename(path+".tmp", path))
		},
		"backup and new file, as vim": func(t *testing.T, path, content string) {
			write(t, filepath.Join(filepath.Dir(path), "4913"), "")
			require.NoError(t, os.Remove(filepath.Join(filepath.Dir(path), "4913")))
			require.NoError(t, os.Rename(path, path+"~"))
			write(t, path, content)
			require.NoError(t, os.Remove(path+"~"))
		},
		"lock file and rename, as emacs": func(t *testing.T, path, content string) {
			lock := filepath.Join(filepath.Dir(path), ".#"+filepath.Base(path))
			require.NoError(t, os.Symlink("nobody@nowhere", lock))
			write(t, path, content)
			require.NoError(t, os.Remove(lock))
		},
		"truncate, pause, write": func(t *testing.T, path, content string) {
			f, err := os.OpenFile(path, os.O_TRUNC|os.O_WRONLY, 0)
			require.NoError(t, err)
			time.Sleep(2 * quietPeriod) // what is shown is that the gap does no harm
			_, err = f.WriteString(content)
			require.NoError(t, err)
			require.NoError(t, f.Close())
		},
		"byte by byte": func(t *testing.T, path, content string) {
			f, err := os.OpenFile(path, os.O_TRUNC|os.O_WRONLY, 0)
			require.NoError(t, err)
			for _, b := range []byte(content) {
				_, err = f.Write([]byte{b})
				require.NoError(t, err)
			}
			require.NoError(t, f.Close())
		},
	}
	for name, save := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, first := run(t, map[string]string{
				"compose.yaml":   twoServices,
				"specs/web.yaml": fmt.Sprintf(webSpec, 2),
				"specs/api.yaml": fmt.Sprintf(apiSpec, 1),
			})
			require.Equal(t, 2, replicas(t, first))
			for n := 3; n < 6; n++ {
				save(t, r.path("specs/web.yaml"), fmt.Sprintf(webSpec, n))
				require.Equal(t, n, replicas(t, r.next(t)))
			}
		})
	}
}

func TestEverythingAProjectIsReadFromIsWatched(t *testing.T) {
	t.Parallel()
	r, first := run(t, map[string]string{
		"compose.yaml": `
include: [more/inner.yaml]
services:
  web:
    image: web:${TAG}
    env_file: [env/web.env]
    extends: {file: base.yaml, service: base}
    secrets: [s]
    configs: [c]
secrets: {s: {file: run/s.txt}}
configs: {c: {file: run/c.txt}}
`,
		"more/inner.yaml": "services: {inner: {image: \"inner:1\"}}\n",
		"base.yaml":       "services: {base: {labels: {a: \"1\"}}}\n",
		".env":            "TAG=1\n",
		"env/web.env":     "A=1\n",
		"run/s.txt":       "1",
		"run/c.txt":       "1",
	})
	require.NoError(t, first.Err)
	before := first.Project.Workloads["web"].Revision
	for name, content := range map[string]string{
		"base.yaml":   "services: {base: {labels: {a: \"2\"}}}\n",
		".env":        "TAG=2\n",
		"env/web.env": "A=2\n",
		"run/s.txt":   "2",
		"run/c.txt":   "2",
	} {
		write(t, r.path(name), content)
		u := r.next(t)
		require.NoError(t, u.Err, name)
		after := u.Project.Workloads["web"].Revision
		assert.NotEqual(t, before, after, name)
		before = after
	}
	write(t, r.path("more/inner.yaml"), "services: {inner: {image: \"inner:2\"}}\n")
	assert.Equal(t, "inner:2", r.next(t).Project.Workloads["inner"].Image)
	write(t, r.path("compose.override.yaml"), "services: {inner: {command: x}, web: {scale: 4}}\n")
	assert.Equal(t, 4, replicas(t, r.next(t)))
	write(t, r.path("specs/web.yaml"), fmt.Sprintf(webSpec, 5))
	assert.Equal(t, 5, replicas(t, r.next(t)))
}

func TestOtherFilesAndUnchangedContentAreNoUpdate(t *testing.T) {
	t.Parallel()
	r, _ := run(t, map[string]string{"compose.yaml": twoServices, "specs/web.yaml": fmt.Sprintf(webSpec, 2)})
	write(t, r.path("specs/.hidden.yaml"), "not: [yaml")
	write(t, r.path("specs/notes.txt"), "not: [yaml")
	write(t, r.path("app.log"), "x")
	write(t, r.path("specs/web.yaml"), "# a comment\n"+fmt.Sprintf(webSpec, 2))
	time.Sleep(3 * quietPeriod) // so that the next save is a change of its own
	write(t, r.path("specs/web.yaml"), fmt.Sprintf(webSpec, 3))
	assert.Equal(t, 3, replicas(t, r.next(t)))
	assert.Empty(t, r.updates)
}

func TestAnErrorKeepsTheLastGoodProjectAndIsSaidOnce(t *testing.T) {
	t.Parallel()
	r, first := run(t, map[string]string{"compose.yaml": twoServices, "specs/web.yaml": fmt.Sprintf(webSpec, 2)})
	for range 5 {
		write(t, r.path("specs/web.yaml"), "apiVersion: [")
	}
	u := r.next(t)
	require.ErrorContains(t, u.Err, "specs/web.yaml:1:1: not valid YAML")
	assert.Same(t, first.Project, u.Project)

	write(t, r.path("specs/web.yaml"), "apiVersion: [")             // the same again
	write(t, r.path("specs/web.yaml"), strings.Repeat("a: 1\n", 2)) // and another
	u = r.next(t)
	require.ErrorContains(t, u.Err, "was given before")

	write(t, r.path("specs/web.yaml"), fmt.Sprintf(webSpec, 2)) // as it was
	u = r.next(t)
	assert.Equal(t, 2, replicas(t, u))
}

func TestVanishedSpecsStayInForce(t *testing.T) {
	t.Parallel()
	loss := map[string]func(t *testing.T, dir string){
		"folder deleted": func(t *testing.T, dir string) { require.NoError(t, os.RemoveAll(dir)) },
		"folder renamed": func(t *testing.T, dir string) { require.NoError(t, os.Rename(dir, dir+".old")) },
		"folder replaced by an empty one": func(t *testing.T, dir string) {
			require.NoError(t, os.Rename(dir, dir+".old"))
			require.NoError(t, os.Mkdir(dir, 0o755))
		},
		"all files deleted": func(t *testing.T, dir string) {
			require.NoError(t, os.Remove(filepath.Join(dir, "web.yaml")))
			require.NoError(t, os.Remove(filepath.Join(dir, "api.yaml")))
		},
		"all files emptied": func(t *testing.T, dir string) {
			require.NoError(t, os.Truncate(filepath.Join(dir, "web.yaml"), 0))
			require.NoError(t, os.Truncate(filepath.Join(dir, "api.yaml"), 0))
		},
	}
	for name, lose := range loss {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, first := run(t, map[string]string{
				"compose.yaml":   twoServices,
				"specs/web.yaml": fmt.Sprintf(webSpec, 2),
				"specs/api.yaml": fmt.Sprintf(apiSpec, 2),
			})
			lose(t, r.path("specs"))
			u := r.next(t)
			require.ErrorContains(t, u.Err, "all spec files are gone or empty, and 2 specs were in force")
			assert.Same(t, first.Project, u.Project)

			write(t, r.path("specs/web.yaml"), fmt.Sprintf(webSpec, 3))
			u = r.next(t)
			assert.Equal(t, 3, replicas(t, u))
			assert.Equal(t, 1, u.Project.Workloads["api"].Replicas)
		})
	}
}

func TestOneDeletedSpecAmongOthersCounts(t *testing.T) {
	t.Parallel()
	r, _ := run(t, map[string]string{
		"compose.yaml":   twoServices,
		"specs/web.yaml": fmt.Sprintf(webSpec, 2),
		"specs/api.yaml": fmt.Sprintf(apiSpec, 2),
	})
	require.NoError(t, os.Remove(r.path("specs/web.yaml")))
	assert.Equal(t, 1, replicas(t, r.next(t)))
}

func TestAFolderRenamedIntoPlaceIsReadAndWatched(t *testing.T) {
	t.Parallel()
	r, _ := run(t, map[string]string{
		"compose.yaml":   twoServices,
		"specs/web.yaml": fmt.Sprintf(webSpec, 2),
		"next/web.yaml":  fmt.Sprintf(webSpec, 3),
	})
	require.NoError(t, os.Rename(r.path("specs"), r.path("old")))
	require.NoError(t, os.Rename(r.path("next"), r.path("specs")))
	assert.Equal(t, 3, replicas(t, r.next(t)))
	write(t, r.path("specs/web.yaml"), fmt.Sprintf(webSpec, 4))
	assert.Equal(t, 4, replicas(t, r.next(t)))
}

func TestComposeFileGoneKeepsTheLastGoodProject(t *testing.T) {
	t.Parallel()
	r, first := run(t, map[string]string{"compose.yaml": twoServices})
	require.NoError(t, os.Rename(r.path("compose.yaml"), r.path("away")))
	u := r.next(t)
	require.ErrorContains(t, u.Err, "there is no compose.yaml")
	assert.Same(t, first.Project, u.Project)
	require.NoError(t, os.Rename(r.path("away"), r.path("compose.yaml")))
	require.NoError(t, r.next(t).Err)

	// One in a folder above is another project.
	write(t, filepath.Join(r.dir, "..", "compose.yaml"), twoServices)
	require.NoError(t, os.Remove(r.path("compose.yaml")))
	u = r.next(t)
	require.ErrorContains(t, u.Err, "this was project")
	assert.Equal(t, first.Project, u.Project)
}

func TestANewProjectNameIsNotTakenSilently(t *testing.T) {
	t.Parallel()
	r, first := run(t, map[string]string{"compose.yaml": twoServices})
	write(t, r.path("compose.yaml"), "name: other\n"+twoServices)
	u := r.next(t)
	require.ErrorContains(t, u.Err, `this was project "demo", but is now "other"`)
	assert.Same(t, first.Project, u.Project)
}

func TestMostServicesGoneAtOnceStayInForce(t *testing.T) {
	t.Parallel()
	compose := func(services ...string) string {
		text := "services: {"
		for _, s := range services {
			text += s + ": {image: \"web:1\"}, "
		}
		return text + "}\n"
	}
	for name, c := range map[string]struct{ before, after, refused string }{
		"all":                    {compose("a", "b", "c"), compose(), "3 of 3 services are gone at once, which would take them down: a, b, c; they stay in force"},
		"the only one":           {compose("a"), compose(), "1 of 1 services are gone"},
		"most":                   {compose("a", "b", "c", "d"), compose("a"), "3 of 4 services are gone"},
		"most, with others new":  {compose("a", "b", "c"), compose("c", "d", "e", "f"), "2 of 3 services are gone"},
		"half":                   {compose("a", "b", "c", "d"), compose("a", "b"), ""},
		"one of two":             {compose("a", "b"), compose("a"), ""},
		"the only one, renamed":  {compose("a"), compose("b"), ""},
		"none, one unmanaged":    {compose("a", "b"), "services: {a: {image: \"web:1\", x-tend: {managed: false}}, b: {image: \"web:1\"}}", ""},
		"none, out of a profile": {compose("a", "b", "c"), "services: {a: {image: \"web:1\", profiles: [x]}, b: {image: \"web:1\", profiles: [x]}, c: {image: \"web:1\"}}", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, first := run(t, map[string]string{"compose.yaml": c.before})
			write(t, r.path("compose.yaml"), c.after)
			u := r.next(t)
			if c.refused == "" {
				require.NoError(t, u.Err)
				return
			}
			require.ErrorContains(t, u.Err, c.refused)
			require.ErrorContains(t, u.Err, "restart tend")
			assert.Same(t, first.Project, u.Project)
			write(t, r.path("compose.yaml"), c.before)
			require.NoError(t, r.next(t).Err)
		})
	}
}

func TestAnErrorAtTheStartIsAnUpdateWithoutAProject(t *testing.T) {
	t.Parallel()
	r, first := run(t, nil)
	require.Error(t, first.Err)
	assert.Nil(t, first.Project)
	write(t, r.path("compose.yaml"), twoServices)
	assert.Equal(t, 1, replicas(t, r.next(t)))
}

func TestManyFilesAtOnceAreOneUpdate(t *testing.T) {
	t.Parallel()
	var services strings.Builder
	services.WriteString("services:\n")
	for i := range 50 {
		fmt.Fprintf(&services, "  s%d: {image: \"s:1\"}\n", i)
	}
	r, _ := run(t, map[string]string{"compose.yaml": services.String()})
	next := r.path("next")
	for i := range 50 {
		content := fmt.Sprintf("apiVersion: tend/v1\nkind: Deployment\nmetadata: {name: s%d}\nspec: {replicas: 3}\n", i)
		write(t, filepath.Join(next, fmt.Sprintf("%d.yaml", i)), content)
	}
	require.NoError(t, os.Rename(next, r.path("specs")))
	u := r.next(t)
	require.NoError(t, u.Err)
	for name, w := range u.Project.Workloads {
		assert.Equal(t, 3, w.Replicas, name)
	}
	assert.Empty(t, r.updates)
}

// BenchmarkSave is the time from a saved spec to its update, in a project of 30
// services that each have a spec.
func BenchmarkSave(b *testing.B) {
	files := map[string]string{}
	var services strings.Builder
	services.WriteString("services:\n  web: {image: \"web:1\"}\n")
	for i := range 30 {
		fmt.Fprintf(&services, "  s%d: {image: \"s:1\", environment: {A: b}, ports: [\"80\"]}\n", i)
		files[fmt.Sprintf("specs/s%d.yaml", i)] = fmt.Sprintf(
			"apiVersion: tend/v1\nkind: Deployment\nmetadata: {name: s%d}\nspec: {replicas: 3, template: {environment: {C: d}}}\n", i)
	}
	files["compose.yaml"] = services.String()
	r, first := run(b, files)
	require.NoError(b, first.Err)
	n := 1
	for b.Loop() {
		n = n%100 + 1
		write(b, r.path("specs/web.yaml"), fmt.Sprintf(webSpec, n))
		if u := r.next(b); replicas(b, u) != n {
			b.Fatalf("%d replicas instead of %d", replicas(b, u), n)
		}
	}
}

func TestAnErrorInAnyFileIsLeftByMendingIt(t *testing.T) {
	t.Parallel()
	r, first := run(t, map[string]string{
		"compose.yaml":       "include: [more/inner.yaml]\nservices: {web: {image: \"web:1\", env_file: [env/web.env]}}\n",
		"more/inner.yaml":    "services: {inner: {image: \"inner:1\"}}\n",
		".env":               "A=1\n",
		"env/web.env":        "A=1\n",
		"specs/web/ignored":  "",
		"specs/inner.yaml":   "apiVersion: tend/v1\nkind: Deployment\nmetadata: {name: inner}\nspec: {}\n",
		"unrelated/file.txt": "",
	})
	require.NoError(t, first.Err)
	for _, name := range []string{".env", "env/web.env", "more/inner.yaml", "compose.yaml", "specs/inner.yaml"} {
		good, err := os.ReadFile(r.path(name))
		require.NoError(t, err)
		write(t, r.path(name), "\"{[\n")
		u := r.next(t)
		require.Error(t, u.Err, name)
		assert.Same(t, first.Project, u.Project, name)
		write(t, r.path(name), string(good))
		require.NoError(t, r.next(t).Err, name)

		if name == ".env" || name == "specs/inner.yaml" {
			continue // not needed
		}
		require.NoError(t, os.RemoveAll(r.path(strings.Split(name, "/")[0])))
		u = r.next(t)
		require.Error(t, u.Err, name)
		assert.Equal(t, first.Project, u.Project, name)
		write(t, r.path(name), string(good))
		require.NoError(t, r.next(t).Err, name)
	}
}

func TestReloadReadsAgainAtOnceAndAlwaysSaysSo(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "demo")
	require.NoError(t, os.Mkdir(dir, 0o755))
	write(t, filepath.Join(dir, "compose.yaml"), twoServices)
	source := NewSource(load.Options{ProjectDirectory: dir})
	r := runSource(t, source, dir)
	first := r.next(t)
	assert.False(t, first.Reloaded)
	source.Reload()
	again := r.next(t)
	require.NoError(t, again.Err)
	assert.True(t, again.Reloaded)
	assert.Same(t, first.Project, again.Project, "nothing differs")

	write(t, r.path("compose.yaml"), "services: [")
	wrong := r.next(t)
	require.Error(t, wrong.Err)
	source.Reload()
	again = r.next(t)
	require.Equal(t, wrong.Err, again.Err, "it is said again")
	assert.Same(t, first.Project, again.Project, "the last good one stays in force")
}

func write(t testing.TB, path, content string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
}
