package e2e_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/image"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/e2e/kit"
)

// What the tutorial calls its folder, and so the project, its port and its image.
const (
	tutorialName  = "hello"
	tutorialPort  = "8080"
	tutorialImage = "traefik/whoami:v1.10"
)

// TestTheTutorial does what docs/tutorial.md says, in its order, and holds the outputs to
// those that are shown there.
func TestTheTutorial(t *testing.T) {
	content, err := os.ReadFile(filepath.Join(repository, "docs", "tutorial.md"))
	require.NoError(t, err)
	steps, err := readTutorial(string(content))
	require.NoError(t, err)
	p := newProject(t, nil)
	p.provideWhoami()
	// The program under test, and its image, without a word about it in the commands.
	p.write("bin/tend", fmt.Sprintf("#!/bin/sh\ncase $1 in up) shift; exec %s up --image %s \"$@\" ;; esac\nexec %s \"$@\"\n", tend, tendImage, tend))
	require.NoError(t, os.Chmod(p.path("bin/tend"), 0o700))
	p.environment = append(p.environment, "PATH="+p.path("bin")+":"+os.Getenv("PATH"))
	address, err := kit.FreeAddress()
	require.NoError(t, err)
	_, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	here := strings.NewReplacer(tutorialName, p.name, tutorialPort, port)
	there := strings.NewReplacer(p.name, tutorialName, port, tutorialPort)

	for _, s := range steps {
		if s.file != "" {
			p.write(s.file, here.Replace(s.text))
			continue
		}
		t.Logf("line %d:\n%s", s.line, s.text)
		run := func() error {
			r := p.exec("bash", "-euo", "pipefail", "-c", here.Replace(s.text)+"\n")
			if r.code != s.code {
				return fmt.Errorf("line %d of the tutorial: exit code %d and not %d: %s", s.line, r.code, s.code, r)
			}
			t.Logf("line %d:\n%s%s%s", s.line, s.text, there.Replace(r.out), there.Replace(r.errOut))
			return s.compare(there.Replace(r.out + r.errOut))
		}
		if s.looks() {
			p.await(run) // what it shows may come a moment later
		} else {
			require.NoError(t, run())
		}
	}
	assert.Empty(t, p.replicas(""))
	assert.Empty(t, p.leftovers())
}

// provideWhoami makes a stand-in for the tutorial's image, if it is not here.
func (p *project) provideWhoami() {
	p.t.Helper()
	if _, err := docker.ImageInspect(p.t.Context(), tutorialImage); err == nil {
		return
	}
	program := filepath.Join(p.t.TempDir(), "whoami")
	require.NoError(p.t, goBuild(program, "./e2e/whoami"))
	require.NoError(p.t, importProbe(program, tutorialImage, "LABEL version=stand-in"))
	p.t.Cleanup(func() {
		p.engine.remove(p.t, p.name)
		_, err := docker.ImageRemove(context.Background(), tutorialImage, image.RemoveOptions{Force: true})
		assert.NoError(p.t, err)
	})
}

// tutorialStep is a block of the tutorial: a file to write, or commands with the output
// that is shown of them.
type tutorialStep struct {
	line int
	file string
	text string
	code int
	// shown are the lines of the output, in their order, others may be between them. "…"
	// stands for any text.
	shown []string
}

var (
	fileName = regexp.MustCompile("`([^`]+)`:$")
	exitCode = regexp.MustCompile(`# exit code (\d+)`)
	looking  = regexp.MustCompile(`^(curl|tend (events|explain|get|rollout history|watch --once)) `)
)

// looks reports whether the commands change nothing, so that they can be repeated.
func (s tutorialStep) looks() bool {
	for line := range strings.Lines(s.text) {
		if !looking.MatchString(strings.TrimSpace(line) + " ") {
			return false
		}
	}
	return true
}

// readTutorial reads the blocks of a document: yaml is a file, whose name ends the line
// before; sh are commands, and text what the last ones print.
func readTutorial(document string) (steps []tutorialStep, err error) {
	before, language, begin := "", "", 0
	var block []string
	for i, line := range strings.Split(document, "\n") {
		opened, fence := strings.CutPrefix(line, "```")
		switch {
		case language == "" && fence:
			language, block, begin = opened, nil, i+2
		case language == "":
			if line != "" {
				before = line
			}
		case !fence:
			block = append(block, line)
		default:
			s := tutorialStep{line: begin, text: strings.Join(block, "\n") + "\n"}
			switch language {
			case "yaml":
				name := fileName.FindStringSubmatch(before)
				if name == nil {
					return nil, fmt.Errorf("line %d: the line before does not end with a file's name: %q", begin, before)
				}
				s.file = name[1]
				steps = append(steps, s)
			case "sh":
				if code := exitCode.FindStringSubmatch(s.text); code != nil {
					if s.code, err = strconv.Atoi(code[1]); err != nil {
						return nil, err
					}
				}
				steps = append(steps, s)
			case "text":
				if len(steps) == 0 || steps[len(steps)-1].file != "" {
					return nil, fmt.Errorf("line %d: no command prints that", begin)
				}
				steps[len(steps)-1].shown = block
			default:
				return nil, fmt.Errorf("line %d: a block of %q, which is not run", begin, language)
			}
			language = ""
		}
	}
	return steps, nil
}

// compare reports the first line that is shown and not printed.
func (s tutorialStep) compare(output string) error {
	rest := strings.Split(output, "\n")
	for _, want := range s.shown {
		var parts []string
		for part := range strings.SplitSeq(same(want), "…") {
			parts = append(parts, regexp.QuoteMeta(part))
		}
		pattern, err := regexp.Compile("^" + strings.Join(parts, ".*") + "$")
		if err != nil {
			return err
		}
		for len(rest) > 0 && !pattern.MatchString(same(rest[0])) {
			rest = rest[1:]
		}
		if len(rest) == 0 {
			return fmt.Errorf("line %d of the tutorial: nothing like %q is printed in its place:\n%s", s.line, want, output)
		}
		rest = rest[1:]
	}
	return nil
}

// varying is what differs between any two runs, and what stands for it.
var varying = []struct {
	what *regexp.Regexp
	as   string
}{
	{regexp.MustCompile(`\d\d:\d\d:\d\d`), "TIME"},
	{regexp.MustCompile(`\d+\.\d+\.\d+\.\d+`), "ADDRESS"},
	{regexp.MustCompile(`\b[0-9a-f]{8,64}\b`), "ID"},
	{regexp.MustCompile(tutorialName + `-web-\d\b`), "REPLICA"},
	{regexp.MustCompile(`(Less than a|About an?|\d+) (second|minute)s?`), "AGE"},
	{regexp.MustCompile(`\s+`), " "},
}

// same is a line without what differs between any two runs.
func same(line string) string {
	for _, v := range varying {
		line = v.what.ReplaceAllString(line, v.as)
	}
	return strings.TrimSpace(line)
}

func TestTheTutorialIsReadAndCompared(t *testing.T) {
	steps, err := readTutorial("Write this as `a/b.yaml`:\n\n```yaml\nx: 1\n```\n\nThen\n\n```sh\ntend get x # exit code 2\n```\n\n```text\nweb  5f0c1a2b  3 seconds\nend …\n```\n")
	require.NoError(t, err)
	require.Len(t, steps, 2)
	assert.Equal(t, "a/b.yaml", steps[0].file)
	assert.Equal(t, "x: 1\n", steps[0].text)
	s := steps[1]
	assert.Equal(t, 2, s.code)
	assert.True(t, s.looks())
	assert.NoError(t, s.compare("more\nweb a8124f0c About a minute\nmore\nend of it\n"))
	assert.Error(t, s.compare("end of it\nweb a8124f0c 4 seconds\n"), "another order")
	assert.Error(t, s.compare("web a8124f0c 4 seconds more\nend of it\n"), "more in the line")
	assert.False(t, tutorialStep{text: "tend get x\ntend down\n"}.looks())
	for _, wrong := range []string{"```yaml\nx: 1\n```\n", "```text\nx\n```\n", "```bash\nx\n```\n"} {
		_, err := readTutorial(wrong)
		assert.Error(t, err, wrong)
	}
}
