package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// suite is the compiled tests of a package with all its mutants.
type suite struct {
	dir, scratch string
	args         []string
	// quick and slow are the tests, as -test.run wants them: most mutants do not
	// survive the quick ones.
	quick, slow string
	// limit is how long the tests may take: a mutant may loop for ever.
	limit time.Duration
}

// build compiles the tests with other files in the place of the package's own,
// which stay as they are, and sees the tests pass where no mutant is on.
func build(ctx context.Context, dir string, files map[string][]byte, args []string) (*suite, error) {
	scratch, err := os.MkdirTemp("", "mutate-")
	if err != nil {
		return nil, err
	}
	s := &suite{dir: dir, scratch: scratch, args: args, limit: time.Hour}
	replace := map[string]string{}
	for file, content := range files {
		replace[file] = filepath.Join(scratch, filepath.Base(file))
		if err := os.WriteFile(replace[file], content, 0o600); err != nil {
			return nil, err
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(scratch, "overlay.json"), overlay, 0o600); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-vet=off", "-overlay", filepath.Join(scratch, "overlay.json"), "-o", filepath.Join(scratch, "tests"), ".")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the tests with the mutants: %w\n%s", err, out)
	}
	began := time.Now()
	out, passed := s.test(ctx, -1, ".", "-test.v")
	if !passed {
		return nil, fmt.Errorf("the tests fail without any mutant\n%s", out)
	}
	s.limit = 10*time.Since(began) + 5*time.Second
	s.sort(out)
	return s, nil
}

var passed = regexp.MustCompile(`(?m)^--- PASS: (\w+) \((\S+)s\)`)

// sort divides the tests into quick and slow ones, by their duration.
func (s *suite) sort(out []byte) {
	var quick, slow []string
	for _, m := range passed.FindAllSubmatch(out, -1) {
		if seconds, err := strconv.ParseFloat(string(m[2]), 64); err == nil && seconds < 0.2 {
			quick = append(quick, string(m[1]))
		} else {
			slow = append(slow, string(m[1]))
		}
	}
	s.quick, s.slow = "^("+strings.Join(quick, "|")+")$", "^("+strings.Join(slow, "|")+")$"
}

// kills reports whether a test fails with a mutant.
func (s *suite) kills(ctx context.Context, id int) bool {
	for _, tests := range []string{s.quick, s.slow} {
		if _, ok := s.test(ctx, id, tests); !ok {
			return true
		}
	}
	return false
}

func (s *suite) test(ctx context.Context, id int, tests string, more ...string) ([]byte, bool) {
	ctx, cancel := context.WithTimeout(ctx, s.limit)
	defer cancel()
	args := append([]string{"-test.failfast", "-test.run", tests}, more...)
	cmd := exec.CommandContext(ctx, filepath.Join(s.scratch, "tests"), append(args, s.args...)...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), variable+"="+strconv.Itoa(id))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.Bytes(), err == nil
}

func (s *suite) remove() { os.RemoveAll(s.scratch) }
