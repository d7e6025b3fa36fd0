// Package bugtest shows that a simulation finds mistakes: it plants bugs in a build of the
// simulation, and has it look for a history that fails.
package bugtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Bug is a mistake that a simulation has to find: a change of one place.
type Bug struct {
	Name string
	// File is in the folder controller. Old stands there once, and New takes its place, in
	// which BUG is true while the bug is switched on.
	File, Old, New string
	// Seed is of a history that finds the bug; 0 where none is known.
	Seed uint64
}

// switches is added to each package that a bug is planted in. It exists in no other build.
const switches = `package %s

import "os"

var plantedBug = os.Getenv("` + switchedOn + `")

func planted(name string) bool { return plantedBug == name }
`

const switchedOn = "PLANTED_BUG"

// Plant writes the sources with all bugs, and returns an overlay for go build that has them in
// the place of the real ones. It fails the test where a place is not as the bug says.
func Plant(t *testing.T, controller string, bugs []Bug) (overlay string) {
	t.Helper()
	replace, sources := map[string]string{}, map[string]string{}
	for _, b := range bugs {
		path, err := filepath.Abs(filepath.Join(controller, b.File))
		require.NoError(t, err)
		if sources[path] == "" {
			content, err := os.ReadFile(path)
			require.NoError(t, err)
			sources[path] = string(content)
			folder := filepath.Dir(path)
			replace[filepath.Join(folder, "planted.go")] = write(t, fmt.Sprintf(switches, filepath.Base(folder)))
		}
		require.Equal(t, 1, strings.Count(sources[path], b.Old), "%s: %s does not have this once: %s", b.Name, b.File, b.Old)
		sources[path] = strings.Replace(sources[path], b.Old, strings.ReplaceAll(b.New, "BUG", fmt.Sprintf("planted(%q)", b.Name)), 1)
	}
	for path, source := range sources {
		replace[path] = write(t, source)
	}
	var content bytes.Buffer
	require.NoError(t, json.NewEncoder(&content).Encode(map[string]any{"Replace": replace}))
	return write(t, content.String())
}

func write(t *testing.T, content string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "planted.go")
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// Binary is the path of a test binary of the present folder. It has all bugs, and each is
// switched off until Failing names it.
type Binary string

// Build plants the bugs and builds.
func Build(t *testing.T, controller string, bugs []Bug) Binary {
	t.Helper()
	overlay, binary := Plant(t, controller, bugs), filepath.Join(t.TempDir(), "planted.test")
	output, err := exec.Command("go", "test", "-c", "-o", binary, "-overlay", overlay, ".").CombinedOutput()
	require.NoError(t, err, "%s", output)
	return Binary(binary)
}

// Failure is a history that has failed, and how.
type Failure struct {
	Seed    uint64
	Message string
}

const firstFailure = "the first failure: "

// Failing runs n histories from a seed on, with a bug, until one fails, and returns that; nil
// where none does. Without a name no bug is switched on.
func (b Binary) Failing(t *testing.T, bug string, seed, n uint64) *Failure {
	t.Helper()
	c := exec.Command(string(b), "-test.run=^TestFirstFailure$", "-test.cpu=1", "-test.timeout=0", fmt.Sprint("-seed=", seed), fmt.Sprint("-histories=", n))
	c.Env = append(os.Environ(), switchedOn+"="+bug)
	output, err := c.CombinedOutput()
	for line := range strings.Lines(string(output)) {
		if text, ok := strings.CutPrefix(line, firstFailure); ok {
			number, message, _ := strings.Cut(strings.TrimSpace(text), " | ")
			seed, err := strconv.ParseUint(number, 10, 64)
			require.NoError(t, err)
			return &Failure{seed, message}
		}
	}
	require.NoError(t, err, "%s", output)
	return nil
}

// Finding returns a history among n from a seed on that fails with a bug, and does not without
// it, built in the same way; nil where there is none.
func (b Binary) Finding(t *testing.T, bug string, seed, n uint64) *Failure {
	t.Helper()
	for end := seed + n; seed < end; {
		f := b.Failing(t, bug, seed, end-seed)
		if f == nil || b.Failing(t, "", f.Seed, 1) == nil {
			return f
		}
		seed = f.Seed + 1
	}
	return nil
}

// FirstFailure runs n histories from a seed on until one fails. It is what the test
// TestFirstFailure of a simulation does, which Failing calls.
func FirstFailure(t *testing.T, seed, n uint64, history func(seed uint64) (failed string)) {
	t.Helper()
	for end := seed + n; seed < end; seed++ {
		if failed := history(seed); failed != "" {
			fmt.Printf("%s%d | %s\n", firstFailure, seed, failed)
			t.Fail()
			return
		}
	}
}
