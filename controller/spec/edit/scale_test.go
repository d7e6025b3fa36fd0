package edit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/spec/load"
)

const scaleCompose = "services:\n  web: {image: \"web:1\", deploy: {replicas: 2}}\n  db: {image: \"db:1\"}\n"

// scalable writes a project whose only spec file, if any, has a content.
func scalable(t *testing.T, content string) (o load.Options, file string) {
	t.Helper()
	dir := t.TempDir()
	file = filepath.Join(dir, "specs", "web.yaml")
	write(t, filepath.Join(dir, "compose.yaml"), scaleCompose)
	if content != "" {
		write(t, file, content)
	}
	return load.Options{ProjectDirectory: dir}, file
}

func TestWhatMetricsScaleIsNotScaledByAPerson(t *testing.T) {
	const content = "apiVersion: tend/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {autoscaling: {minReplicas: 2, maxReplicas: 5}, template: {cpus: 1}}\n"
	o, file := scalable(t, content)
	_, err := Scale(t.Context(), o, "web", 3, nil)
	require.ErrorContains(t, err, "web is scaled by its metrics, between 2 and 5 replicas")
	require.ErrorContains(t, err, "change minReplicas or maxReplicas of spec.autoscaling, or remove it")
	after, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, content, string(after))
}

func TestScaleChangesTheNumberAndNoOtherByte(t *testing.T) {
	const head = "apiVersion: tend/v1\nkind: Deployment\nmetadata: {name: web}\n"
	for name, c := range map[string]struct{ before, after string }{
		"plain": {
			"# ours\n" + head + "spec:\n  replicas:   3   # for now\n  paused: false\n",
			"# ours\n" + head + "spec:\n  replicas:   4   # for now\n  paused: false\n"},
		"no line end": {head + "spec:\n    replicas: 12", head + "spec:\n    replicas: 4"},
		"flow":        {head + "spec: {paused: false, replicas: 3}\n", head + "spec: {paused: false, replicas: 4}\n"},
		"after other characters than ASCII": {
			"{metadata: {name: web}, \"kind\": \"Deployment\", 'apiVersion': tend/v1, spec: {template: {environment: {GRÜSSE: ☃}}, replicas: 3}}\n",
			"{metadata: {name: web}, \"kind\": \"Deployment\", 'apiVersion': tend/v1, spec: {template: {environment: {GRÜSSE: ☃}}, replicas: 4}}\n"},
		"Windows line ends": {
			strings.ReplaceAll(head+"spec:\n  replicas: 3\n  paused: false\n", "\n", "\r\n"),
			strings.ReplaceAll(head+"spec:\n  replicas: 4\n  paused: false\n", "\n", "\r\n")},
		"an alias": {
			head + "spec:\n  revisionHistoryLimit: &n 3\n  replicas: *n\n",
			head + "spec:\n  revisionHistoryLimit: &n 3\n  replicas: 4\n"},
		"none yet": {
			head + "spec:   # policy\n    # slow\n    minReadySeconds: 2\n    template: {image: \"web:2\"}\n",
			head + "spec:   # policy\n    replicas: 4\n    # slow\n    minReadySeconds: 2\n    template: {image: \"web:2\"}\n"},
		"none yet in flow": {head + "spec: {paused: false}\n", head + "spec: {replicas: 4, paused: false}\n"},
		"empty":            {head + "spec: {}\n", head + "spec: {replicas: 4}\n"},
		"the second document": {
			head[:0] + "apiVersion: tend/v1\nkind: Deployment\nmetadata: {name: db}\nspec: {replicas: 1}\n---\n" + head + "spec: {replicas: 3}\n",
			head[:0] + "apiVersion: tend/v1\nkind: Deployment\nmetadata: {name: db}\nspec: {replicas: 1}\n---\n" + head + "spec: {replicas: 4}\n"},
	} {
		t.Run(name, func(t *testing.T) {
			o, file := scalable(t, c.before)
			path, err := Scale(t.Context(), o, "web", 4, nil)
			require.NoError(t, err)
			assert.Equal(t, file, path)
			assert.Equal(t, c.after, read(t, file))
			p, err := load.Project(t.Context(), o)
			require.NoError(t, err)
			assert.Equal(t, 4, p.Workloads["web"].Replicas)
		})
	}
}

func TestScaleMakesASpecWhereThereIsNone(t *testing.T) {
	o, file := scalable(t, "")
	_, err := Scale(t.Context(), o, "web", 5, nil)
	require.NoError(t, err)
	assert.Equal(t, "apiVersion: tend/v1\nkind: Deployment\nmetadata: {name: \"web\"}\nspec:\n  replicas: 5\n", read(t, file))
	_, err = Scale(t.Context(), o, "web", 0, nil)
	require.NoError(t, err)
	assert.Contains(t, read(t, file), "replicas: 0\n")

	const other = "apiVersion: tend/v1\nkind: Deployment\nmetadata: {name: db}\nspec: {}" // in a file of web's name
	o, file = scalable(t, other)
	_, err = Scale(t.Context(), o, "web", 5, nil)
	require.NoError(t, err)
	assert.True(t, strings.HasPrefix(read(t, file), other+"\n---\n"))
}

func TestScaleWritesNothingThatIsNotValid(t *testing.T) {
	const head = "apiVersion: tend/v1\nkind: Deployment\nmetadata: {name: web}\n"
	for name, c := range map[string]struct {
		content, workload string
		replicas          int
		says              string
	}{
		"too many":        {head + "spec: {replicas: 3}\n", "web", 1001, "web.yaml:4:18"},
		"too few":         {"", "web", -1, "web.yaml:5:13"},
		"an anchor":       {head + "spec: {replicas: &n 3, revisionHistoryLimit: *n}\n", "web", 4, "edit it by hand"},
		"unknown":         {"", "nope", 4, `no workload "nope"`},
		"broken already":  {head + "spec: {replica: 3}\n", "web", 4, "replica"},
		"a Database":      {strings.NewReplacer("Deployment", "Database", "web", "db").Replace(head) + "spec: {engine: postgres}\n", "db", 2, "only a Deployment"},
		"a fixed address": {"", "fixed", 2, "fixed"},
	} {
		t.Run(name, func(t *testing.T) {
			o, file := scalable(t, c.content)
			if name == "a fixed address" {
				write(t, filepath.Join(o.ProjectDirectory, "compose.yaml"), "services:\n  fixed: {image: \"web:1\", container_name: fixed}\n")
			}
			if name == "a Database" {
				write(t, filepath.Join(o.ProjectDirectory, "compose.yaml"), "services:\n  db: {image: \"db:1\", volumes: [\"data:/var/lib/postgresql/data\"]}\nvolumes: {data: {}}\n")
			}
			_, err := Scale(t.Context(), o, c.workload, c.replicas, nil)
			assert.ErrorContains(t, err, c.says)
			assert.ErrorAs(t, err, &spec.Errors{})
			if c.content == "" {
				assert.NoFileExists(t, file)
				return
			}
			assert.Equal(t, c.content, read(t, file))
		})
	}
}

func TestNoScaleIsLostToAnother(t *testing.T) {
	o, file := scalable(t, "")
	const workloads, rounds = 4, 5
	compose, specs := "services:\n", ""
	for i := range workloads {
		compose += fmt.Sprintf("  w%d: {image: \"web:1\"}\n", i)
		specs += fmt.Sprintf("---\napiVersion: tend/v1\nkind: Deployment\nmetadata: {name: w%d}\nspec: {replicas: 1}\n", i)
	}
	write(t, filepath.Join(o.ProjectDirectory, "compose.yaml"), compose)
	write(t, file, specs)
	for round := range rounds {
		var all sync.WaitGroup
		for i := range workloads {
			all.Go(func() {
				_, err := Scale(t.Context(), o, fmt.Sprintf("w%d", i), 10*round+i, nil)
				assert.NoError(t, err)
			})
		}
		all.Wait()
		p, err := load.Project(t.Context(), o)
		require.NoError(t, err)
		for i := range workloads {
			assert.Equal(t, 10*round+i, p.Workloads[fmt.Sprintf("w%d", i)].Replicas, "round %d", round)
		}
	}
}

func TestScaleLeavesWhatSomebodyElseWroteMeanwhile(t *testing.T) {
	const ours = "apiVersion: tend/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 3}\n"
	for name, before := range map[string]string{"a file that was there": ours, "a new file": ""} {
		t.Run(name, func(t *testing.T) {
			o, file := scalable(t, before)
			const theirs = ours + "# edited\n"
			_, err := Scale(t.Context(), o, "web", 4, func(*spec.Workload) error {
				write(t, file, theirs)
				return nil
			})
			assert.ErrorAs(t, err, new(*ChangedError))
			assert.Equal(t, theirs, read(t, file))
			entries, err := os.ReadDir(filepath.Dir(file))
			require.NoError(t, err)
			assert.Len(t, entries, 1, "nothing is left beside it")
		})
	}
}

func TestScaleWaitsForAnotherProcessOnlyAsLongAsItIsAskedTo(t *testing.T) {
	o, file := scalable(t, "")
	unlock, err := lock(t.Context(), o.ProjectDirectory)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	_, err = Scale(ctx, o, "web", 4, nil)
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	assert.NoFileExists(t, file)
	unlock()
	_, err = Scale(t.Context(), o, "web", 4, nil)
	assert.NoError(t, err)
}

func TestScaleAsksWithWhatIsWritten(t *testing.T) {
	o, file := scalable(t, "")
	refused := errors.New("not now")
	_, err := Scale(t.Context(), o, "web", 4, func(w *spec.Workload) error {
		assert.Equal(t, 2, w.Replicas)
		return refused
	})
	assert.ErrorIs(t, err, refused)
	assert.NoFileExists(t, file)
}

func TestScaleKeepsModeAndLink(t *testing.T) {
	o, file := scalable(t, "")
	real := filepath.Join(filepath.Dir(file), "deployments.txt")
	write(t, real, "apiVersion: tend/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 3}\n")
	require.NoError(t, os.Chmod(real, 0o640))
	require.NoError(t, os.Symlink(filepath.Base(real), file))
	_, err := Scale(t.Context(), o, "web", 4, nil)
	require.NoError(t, err)
	info, err := os.Lstat(file)
	require.NoError(t, err)
	assert.Equal(t, os.ModeSymlink, info.Mode().Type())
	info, err = os.Stat(real)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o640), info.Mode())
	entries, err := os.ReadDir(filepath.Dir(file))
	require.NoError(t, err)
	assert.Len(t, entries, 2, "nothing is left beside it")
}

func TestScaleSaysWhereAReadOnlySpecIsEdited(t *testing.T) {
	o, file := scalable(t, "apiVersion: tend/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 3}\n")
	makeReadOnly(t, o.ProjectDirectory)
	_, err := Scale(t.Context(), o, "web", 4, nil)
	var readOnly *ReadOnlyError
	require.ErrorAs(t, err, &readOnly)
	assert.Equal(t, file, readOnly.File)
	assert.ErrorContains(t, err, "tend scale web --replicas 4")
}

// makeReadOnly lets nobody write in a folder, as the mount of tend's container
// does. root may write against the mode.
func makeReadOnly(t *testing.T, dir string) {
	t.Helper()
	if os.Geteuid() != 0 {
		specs := filepath.Join(dir, "specs")
		require.NoError(t, os.Chmod(specs, 0o500))
		t.Cleanup(func() { require.NoError(t, os.Chmod(specs, 0o700)) })
		return
	}
	require.NoError(t, syscall.Mount(dir, dir, "", syscall.MS_BIND, ""))
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, 0)) })
	require.NoError(t, syscall.Mount("", dir, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(content)
}

func write(t testing.TB, path, content string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
}
