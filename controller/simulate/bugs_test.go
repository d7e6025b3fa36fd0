package simulate

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// bug is a mistake that the simulator has to find: a change of one place, behind
// a switch.
type bug struct {
	name string
	// file is in the folder controller; old stands there once.
	file, old, new string
	// seed is of a history that finds it.
	seed uint64
}

// switches is added to each package that a bug is planted in. It exists in no
// other build.
const switches = `package %s

import "os"

var plantedBug = os.Getenv("PLANTED_BUG")

func planted(name string) bool { return plantedBug == name }
`

var searchFlag = flag.Bool("search", false, "look for the first seed from -seed on that finds each planted bug")

// TestPlantedBugs shows that the simulator finds mistakes: it builds itself with
// all bugs, switches on one at a time, and expects a history to fail.
func TestPlantedBugs(t *testing.T) {
	if testing.Short() {
		t.Log("the build with planted bugs takes a while; only the places are checked")
		plant(t, t.TempDir())
		return
	}
	dir := t.TempDir()
	binary := filepath.Join(dir, "simulate.test")
	build := exec.Command("go", "test", "-c", "-o", binary, "-overlay", plant(t, dir), ".")
	output, err := build.CombinedOutput()
	require.NoError(t, err, "%s", output)

	var mu sync.Mutex
	rows := map[string]string{}
	t.Run("bugs", func(t *testing.T) {
		for _, b := range bugs {
			t.Run(b.name, func(t *testing.T) {
				t.Parallel()
				began := time.Now()
				by := find(t, binary, b)
				mu.Lock()
				defer mu.Unlock()
				rows[b.name] = fmt.Sprintf("| %s | %d | %s | %s |", b.name, by.seed, by.failed, time.Since(began).Round(100*time.Millisecond))
				t.Log(rows[b.name])
			})
		}
	})
	if *searchFlag {
		fmt.Printf("from seed %d on:\n", *seedFlag)
		for _, b := range bugs {
			fmt.Println(rows[b.name])
		}
	}
	require.Nil(t, failing(t, binary, "", 0, 20), "without a bug nothing fails")
}

// found is a history that fails with a planted bug.
type found struct {
	seed   uint64
	failed string
}

// find returns a history that finds a bug: one that fails with it, and does not
// without it, built in the same way. It is the one of the bug's own seed, unless that
// draws another history by now, or another seed is to be looked for.
func find(t *testing.T, binary string, b bug) found {
	if !*searchFlag {
		if f := failing(t, binary, b.name, b.seed, 1); f != nil && failing(t, binary, "", b.seed, 1) == nil {
			return *f
		}
	}
	from, most := uint64(0), uint64(3_000) // histories: about a minute
	if *searchFlag {
		from, most = *seedFlag, 30_000
	}
	for end := from + most; from < end; {
		f := failing(t, binary, b.name, from, end-from)
		if f == nil {
			break
		}
		if failing(t, binary, "", f.seed, 1) == nil {
			return *f
		}
		from = f.seed + 1
	}
	require.Fail(t, "nothing finds it")
	return found{}
}

// failing runs histories with a bug until one fails, and returns that; nil where none
// does.
func failing(t *testing.T, binary, name string, seed, n uint64) *found {
	t.Helper()
	c := exec.Command(binary, "-test.run=TestFirstFailure$", "-test.cpu=1", "-test.timeout=0", fmt.Sprint("-seed=", seed), fmt.Sprint("-histories=", n))
	c.Env = append(os.Environ(), "PLANTED_BUG="+name)
	output, err := c.CombinedOutput()
	for line := range strings.Lines(string(output)) {
		if text, ok := strings.CutPrefix(line, firstFailure); ok {
			number, failed, _ := strings.Cut(strings.TrimSpace(text), " | ")
			seed, err := strconv.ParseUint(number, 10, 64)
			require.NoError(t, err)
			return &found{seed, failed}
		}
	}
	require.NoError(t, err, "%s", output)
	return nil
}

const firstFailure = "the first failure: "

// TestFirstFailure runs histories until one fails, for TestPlantedBugs. Without
// a planted bug none does.
func TestFirstFailure(t *testing.T) {
	if os.Getenv("PLANTED_BUG") == "" && !testing.Short() {
		*historiesFlag = min(*historiesFlag, 20)
	}
	for seed := *seedFlag; seed < *seedFlag+*historiesFlag; seed++ {
		if o := run(t, record(seed), steps, false); o.failed != "" {
			fmt.Printf("%s%d | %s\n", firstFailure, seed, o.failed)
			t.Fail()
			return
		}
	}
}

// plant writes the files with all bugs into a folder, and an overlay for go
// build that has them in the place of the real ones. It returns its path.
func plant(t *testing.T, dir string) string {
	t.Helper()
	replace := map[string]string{}
	sources := map[string]string{}
	for _, b := range bugs {
		path, err := filepath.Abs(filepath.Join("..", b.file))
		require.NoError(t, err)
		source, ok := sources[path]
		if !ok {
			content, err := os.ReadFile(path)
			require.NoError(t, err)
			source = string(content)
			folder := filepath.Dir(path)
			replace[filepath.Join(folder, "planted.go")] = write(t, dir, fmt.Sprintf(switches, filepath.Base(folder)))
		}
		require.Equal(t, 1, strings.Count(source, b.old), "%s: %s does not have this once: %s", b.name, b.file, b.old)
		sources[path] = strings.Replace(source, b.old, strings.ReplaceAll(b.new, "BUG", fmt.Sprintf("planted(%q)", b.name)), 1)
	}
	for path, source := range sources {
		replace[path] = write(t, dir, source)
	}
	var overlay bytes.Buffer
	require.NoError(t, json.NewEncoder(&overlay).Encode(map[string]any{"Replace": replace}))
	return write(t, dir, overlay.String())
}

func write(t *testing.T, dir, content string) string {
	t.Helper()
	f, err := os.CreateTemp(dir, "*.go")
	require.NoError(t, err)
	_, err = f.WriteString(content)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	return f.Name()
}
