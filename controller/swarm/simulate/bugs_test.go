package simulate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// bugs are mistakes that the simulation has to find: a change of one place in the folder
// controller, behind a switch that BUG stands for.
var bugs = []struct{ name, file, old, new string }{
	{"run a Job again", "plan/services/steps.go", "ranAlready := s.desired", "ranAlready := !BUG && s.desired"},
	{"run a Job again that is gone", "plan/services/target.go", "return t.desired.Replicas > 0 && len(", "return !BUG && t.desired.Replicas > 0 && len("},
	{"choose the node of a volume anew", "plan/services/nodes.go", "	if holder == \"\" {", "	if holder == \"\" || BUG {"},
	{"ignore a pause", "plan/services/steps.go", "case s.paused() && rolls:", "case !BUG && s.paused() && rolls:"},
	{"leave out the hooks", "plan/services/steps.go", "	return s.runHooks(o)", "	return BUG || s.runHooks(o)"},
	{"take back what works", "plan/services/target.go", "!runs || t.Now.Before(at)", "!runs || !BUG && t.Now.Before(at)"},
	{"never go back", "plan/services/target.go", "	if next.back() == \"\" {", "	if BUG || next.back() == \"\" {"},
	{"keep what nothing uses", "plan/services/project.go", "o.ours && !stays[name] && !needed[name] {", "!BUG && o.ours && !stays[name] && !needed[name] {"},
	{"leave what somebody has changed", "plan/services/steps.go", "	case !s.try(s.Service.ID):", "	case BUG || !s.try(s.Service.ID):"},
	{"plan by an old list", "swarm/swarm.go", "	if err != nil {\n		l.since = time.Time{}\n		return false", "	if err != nil && (!BUG || l.seen.nodes == nil) {\n		l.since = time.Time{}\n		return false"},
	{"start a second writer", "plan/services/steps.go", "case s.recreates() && s.runs() &&", "case !BUG && s.recreates() && s.runs() &&"},
	{"touch what is somebody else's", "swarm/look.go", "if is, why := ours(s, l.project.Name, l.options.Folders); !is {", "if is, why := ours(s, l.project.Name, l.options.Folders); !is && !BUG {"},
}

const switches = `package %s

import "os"

var plantedBug = os.Getenv("PLANTED_BUG")

func planted(name string) bool { return plantedBug == name }
`

// TestPlantedBugs, with -search, builds the simulation with all bugs, switches on one at a
// time, and expects a history to fail, from the seed on that is given, that passes without it.
func TestPlantedBugs(t *testing.T) {
	dir := t.TempDir()
	overlay := plant(t, dir)
	if !*searchFlag {
		t.Log("only the places are checked; make simulate-swarm-bugs looks for the bugs")
		return
	}
	binary := filepath.Join(dir, "simulate.test")
	output, err := exec.Command("go", "test", "-c", "-o", binary, "-overlay", overlay, ".").CombinedOutput()
	require.NoError(t, err, "%s", output)
	for _, b := range bugs {
		seed, failed := firstFailure(t, binary, b.name, 400, int(*seedFlag))
		require.NotEmpty(t, failed, "nothing finds: %s", b.name)
		_, anyway := firstFailure(t, binary, "none", 1, seed)
		require.Empty(t, anyway, "the history of seed %d fails without %s, too", seed, b.name)
		t.Logf("| %s | %d | %s |", b.name, seed, failed)
	}
	_, failed := firstFailure(t, binary, "none", 5, int(*seedFlag))
	require.Empty(t, failed, "without a bug nothing fails")
}

const firstFailureIs = "the first failure: "

// firstFailure runs histories with a bug until one fails.
func firstFailure(t *testing.T, binary, bug string, most, from int) (seed int, failed string) {
	t.Helper()
	c := exec.Command(binary, "-test.run=TestFirstFailure$", "-test.timeout=0", fmt.Sprint("-seed=", from), fmt.Sprint("-histories=", most))
	c.Env = append(os.Environ(), "PLANTED_BUG="+bug)
	output, err := c.CombinedOutput()
	for line := range strings.Lines(string(output)) {
		if text, ok := strings.CutPrefix(line, firstFailureIs); ok {
			_, err := fmt.Sscan(text, &seed)
			require.NoError(t, err)
			_, failed, _ = strings.Cut(strings.TrimSpace(text), " | ")
			return seed, failed
		}
	}
	require.NoError(t, err, "%s", output)
	return 0, ""
}

// TestFirstFailure runs histories until one fails, for TestPlantedBugs.
func TestFirstFailure(t *testing.T) {
	if os.Getenv("PLANTED_BUG") == "" {
		*historiesFlag = 1
	}
	for seed := *seedFlag; seed < *seedFlag+*historiesFlag; seed++ {
		if failed, _ := history(t, seed, false); failed != "" {
			fmt.Printf("%s%d | %s\n", firstFailureIs, seed, failed)
			t.Fail()
			return
		}
	}
}

// plant writes the sources with all bugs, and returns an overlay for go build that has them
// in the place of the real ones.
func plant(t *testing.T, dir string) (overlay string) {
	t.Helper()
	replace, sources := map[string]string{}, map[string]string{}
	for _, b := range bugs {
		path, err := filepath.Abs(filepath.Join("..", "..", b.file))
		require.NoError(t, err)
		if sources[path] == "" {
			content, err := os.ReadFile(path)
			require.NoError(t, err)
			sources[path] = string(content)
			folder := filepath.Dir(path)
			replace[filepath.Join(folder, "planted.go")] = file(t, dir, fmt.Sprintf(switches, filepath.Base(folder)))
		}
		require.Equal(t, 1, strings.Count(sources[path], b.old), "%s: %s does not have this once: %s", b.name, b.file, b.old)
		sources[path] = strings.Replace(sources[path], b.old, strings.ReplaceAll(b.new, "BUG", fmt.Sprintf("planted(%q)", b.name)), 1)
	}
	for path, source := range sources {
		replace[path] = file(t, dir, source)
	}
	var content bytes.Buffer
	require.NoError(t, json.NewEncoder(&content).Encode(map[string]any{"Replace": replace}))
	return file(t, dir, content.String())
}

func file(t *testing.T, dir, content string) string {
	t.Helper()
	f, err := os.CreateTemp(dir, "*.go")
	require.NoError(t, err)
	_, err = f.WriteString(content)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	return f.Name()
}
