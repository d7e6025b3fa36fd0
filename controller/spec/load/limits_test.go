package load

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/spec/syntax"
)

// many is how many files the folders of these tests have.
const many = 10_000

func deployment(name string) string {
	return "apiVersion: tend/v1\nkind: Deployment\nmetadata: {name: " + name + "}\nspec: {replicas: 2, template: {environment: {A: b}}}\n"
}

// allocated is how many bytes something allocates.
func allocated(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// Each of very many mistakes is found; what is said of them at once fits a screen.
func TestTenThousandMistakesFitAScreen(t *testing.T) {
	services := strings.Builder{}
	services.WriteString("services:\n")
	for i := range many {
		fmt.Fprintf(&services, "  s%05d: {image: \"web:1\"}\n", i)
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "compose.yaml"), services.String())
	specs := filepath.Join(dir, "specs")
	write(t, filepath.Join(specs, "a.yaml"), strings.Replace(deployment("s00000"), "replicas: 2", "replicas: "+strings.Repeat("z", 9000), 1))
	const maxDocuments = 1000            // of a file
	for i := range many / maxDocuments { // services that do not exist, each to be compared with those that do
		var documents strings.Builder
		for n := range maxDocuments {
			documents.WriteString("---\n" + deployment(fmt.Sprintf("x%d%04d", i, n)))
		}
		write(t, filepath.Join(specs, fmt.Sprintf("b%d.yaml", i)), documents.String())
	}
	fill(t, specs, "c%05d.yaml", many, "\x00\xff{[")

	var problems spec.Errors
	cost := allocated(func() {
		_, err := Project(t.Context(), Options{ProjectDirectory: dir})
		require.ErrorAs(t, err, &problems)
	})
	t.Logf("a mistake costs %d bytes", cost/(2*many))
	assert.Less(t, cost, uint64(2*many*32<<10))
	assert.Len(t, problems, 2*many+1, "one was left out")
	said := problems.Error()
	lines := strings.Split(said, "\n")
	const mostSaid = 20
	assert.Len(t, lines, mostSaid+1)
	assert.Equal(t, "and 19981 more, 20001 problems in 10011 files in all; tend validate lists each", lines[mostSaid])
	assert.Less(t, len(said), 32<<10)
	for _, p := range problems {
		require.Less(t, len(p.Error()), 4<<10)
	}
}

// fill fills a folder with n files of one content, which cost no more than names.
func fill(t *testing.T, folder, format string, n int, content string) {
	t.Helper()
	first := filepath.Join(folder, fmt.Sprintf(format, 0))
	write(t, first, content)
	for i := range n - 1 {
		require.NoError(t, os.Link(first, filepath.Join(folder, fmt.Sprintf(format, i+1))))
	}
}

// A folder can be too full. Then it says so, where, and what to do.
func TestAFolderThatIsTooFullIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		fill       func(t *testing.T, specs string)
		file, want string
	}{
		"files": {func(t *testing.T, specs string) {
			fill(t, specs, "%d.yaml", maxSpecFiles+1, "")
		}, "", "the folder has more than 20000 spec files, the most that are read; write several specs into one file, with --- between them, or divide the project"},
		"bytes": {func(t *testing.T, specs string) {
			fill(t, specs, "%02d.yaml", maxSpecBytes/syntax.MaxFileSize+2, strings.Repeat("# comment\n", syntax.MaxFileSize/10))
		}, "32.yaml", "with this file the specs have more than 33554432 bytes, the most that are read; move what is no spec out of the folder, or divide the project"},
		"mistakes": {func(t *testing.T, specs string) {
			var fields strings.Builder
			for i := range maxProblems / 5 {
				fmt.Fprintf(&fields, "x%05d: \n", i)
			}
			fill(t, specs, "%d.yaml", 8, fields.String())
		}, "4.yaml", "with this file there are more than 100000 problems; the files after it were not read; correct these first"},
	} {
		t.Run(name, func(t *testing.T) {
			var specs string
			_, err := loadSpecs(t, func(folder string) {
				specs = folder
				c.fill(t, folder)
			})
			var problems spec.Errors
			require.ErrorAs(t, err, &problems)
			var all []string
			for _, p := range problems {
				all = append(all, p.Error())
			}
			assert.Contains(t, all, filepath.Join(specs, c.file)+": "+c.want)
			assert.Less(t, len(problems), 2*maxProblems)
		})
	}
}

// strange puts something at a path that is not to be opened: to open it would wait
// for ever, or to read it never end.
var strange = map[string]struct {
	put  func(t *testing.T, path string)
	want string
}{
	"a named pipe": {func(t *testing.T, path string) { require.NoError(t, syscall.Mkfifo(path, 0o600)) },
		"it is not a regular file, but a named pipe; write what it is to say into a file"},
	"a device": {func(t *testing.T, path string) { require.NoError(t, os.Symlink("/dev/zero", path)) },
		"it is not a regular file, but a device; write what it is to say into a file"},
	"a socket": {func(t *testing.T, path string) {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		require.NoError(t, err)
		t.Cleanup(func() { _ = l.Close() })
	}, "it is not a regular file, but a socket; write what it is to say into a file"},
	"very large": {func(t *testing.T, path string) {
		require.NoError(t, os.WriteFile(path, nil, 0o600))
		require.NoError(t, os.Truncate(path, 1<<27))
	}, "the file has 134217728 bytes, more than the 1048576 that are read; split it"},
	"a ring of links": {func(t *testing.T, path string) { require.NoError(t, os.Symlink(filepath.Base(path), path)) },
		"too many levels of symbolic links"},
}

func TestWhatNeverEndsIsNotOpened(t *testing.T) {
	const web = "services: {web: {image: \"web:1\"}}\n"
	for place, compose := range map[string]string{
		"compose.yaml":          "",
		"compose.override.yaml": web,
		".env":                  web,
		"specs/web.yaml":        web,
		"settings.env":          "services: {web: {image: \"web:1\", env_file: settings.env}}\n",
		"labels.txt":            "services: {web: {image: \"web:1\", label_file: [labels.txt]}}\n",
		"other.yaml":            "include: [other.yaml]\n" + web,
		"base.yaml":             "services: {web: {extends: {file: base.yaml, service: web}}}\n",
		"template.env":          web,
	} {
		for what, s := range strange {
			if what == "a ring of links" && strings.HasPrefix(place, "compose.") {
				continue // as Compose, which does not find it
			}
			t.Run(place+" is "+what, func(t *testing.T) {
				dir := t.TempDir()
				write(t, filepath.Join(dir, "specs", "README"), "")
				if place == "template.env" {
					write(t, filepath.Join(dir, "specs", "web.yaml"),
						"apiVersion: tend/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {template: {env_file: template.env}}\n")
				}
				if compose != "" {
					write(t, filepath.Join(dir, "compose.yaml"), compose)
				}
				s.put(t, filepath.Join(dir, place))
				var problems spec.Errors
				cost := allocated(func() {
					_, err := Project(t.Context(), Options{ProjectDirectory: dir})
					require.ErrorAs(t, err, &problems)
				})
				assert.Less(t, cost, uint64(64<<20), "it was read") // the least load takes 8 MiB
				assert.Contains(t, problems.Error(), filepath.Join(dir, place))
				if place == "specs/web.yaml" && what == "a device" {
					s.want = "path escapes from parent" // nothing outside the folder is read
				}
				assert.Contains(t, problems.Error(), s.want)
			})
		}
	}
}

// A secret is a file of the host's that is mounted; only its hash is wanted here.
func TestASecretThatNeverEndsIsNotOpened(t *testing.T) {
	for what, s := range strange {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "compose.yaml"),
				"services: {web: {image: \"web:1\", secrets: [key]}}\nsecrets: {key: {file: key}}\n")
			s.put(t, filepath.Join(dir, "key"))
			assert.Less(t, allocated(func() {
				_, err := Project(t.Context(), Options{ProjectDirectory: dir})
				require.NoError(t, err)
			}), uint64(64<<20))
		})
	}
}

func TestAnEmptyEnvFileMayBeDevNull(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "compose.yaml"), "services: {web: {image: \"web:1\", env_file: /dev/null}}\n")
	_, err := Project(t.Context(), Options{ProjectDirectory: dir, EnvFiles: []string{os.DevNull}})
	require.NoError(t, err)
}

// Sums with a duration must not overflow: a grace of 292 years and a minute more
// would be over before it began.
func TestDurationsThatOverflowAreRefused(t *testing.T) {
	for key, place := range map[string]string{
		"stop_grace_period":            "stop_grace_period: %s",
		"deploy.restart_policy.delay":  "deploy: {restart_policy: {delay: %s}}",
		"deploy.restart_policy.window": "deploy: {restart_policy: {window: %s}}",
		"deploy.update_config.delay":   "deploy: {update_config: {delay: %s}}",
		"deploy.update_config.monitor": "deploy: {update_config: {monitor: %s}}",
	} {
		for written, said := range map[string]string{"2562047h47m": "2562047h47m0s", "596524h": "596524h0m0s", "-1s": "-1s"} {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "compose.yaml"), "services:\n  web:\n    image: \"web:1\"\n    "+fmt.Sprintf(place, written)+"\n")
			_, err := Project(t.Context(), Options{ProjectDirectory: dir})
			var problems spec.Errors
			require.ErrorAs(t, err, &problems, "%s: %s", key, written)
			assert.Equal(t, 4, problems[0].Line)
			assert.Contains(t, problems[0].Error(), key+" cannot be "+said+"; write a duration from 0s to 596523h14m7s")
		}
	}
}

// layers are services that each depend on all services of the layer below.
func layers(n, width int) string {
	var compose strings.Builder
	compose.WriteString("services:\n")
	for l := range n {
		for i := range width {
			fmt.Fprintf(&compose, "  s%d-%d:\n    image: \"web:1\"\n", l, i)
			if l > 0 {
				compose.WriteString("    depends_on:\n")
				for below := range width {
					fmt.Fprintf(&compose, "      - s%d-%d\n", l-1, below)
				}
			}
		}
	}
	return compose.String()
}

// compose-go follows each chain of dependencies, and 52 services have a hundred million
// of them.
func TestChainsOfDependenciesWithoutEndAreRefused(t *testing.T) {
	load := func(compose string) error {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "compose.yaml"), compose)
		_, err := Project(t.Context(), Options{ProjectDirectory: dir})
		return err
	}
	const refused = "the services have more than 1000000 chains of dependencies, and Compose follows each; most begin here; " +
		"have a service depend on what it needs itself, and not on what that needs in turn"
	err := load(layers(26, 2))
	var problems spec.Errors
	require.ErrorAs(t, err, &problems)
	assert.Contains(t, err.Error(), refused)
	assert.Equal(t, []any{"s25-0", 248}, []any{problems[0].Workload, problems[0].Line})

	require.ErrorContains(t, load(layers(5000, 1)), refused, "a chain of 5000")
	require.NoError(t, load(layers(10, 2)))
	require.NoError(t, load(layers(2, 50)))
	linked := strings.ReplaceAll(strings.ReplaceAll(layers(26, 2), "depends_on:", "links:"), "-1\n", "-1:alias\n")
	require.ErrorContains(t, load(linked), refused)
	ring := "services: {a: {image: \"a:1\", depends_on: [b]}, b: {image: \"b:1\", depends_on: {a: {condition: service_started}}}}\n"
	require.ErrorContains(t, load(ring), "dependency cycle detected")
}
