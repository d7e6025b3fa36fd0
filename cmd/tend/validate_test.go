package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestValidateSaysWhatEachServiceIsTakenFor(t *testing.T) {
	w := newWorld(t, `
services:
  migrate: {image: web}
  setup: {image: web}
  once: {image: web, restart: "no"}
  web: {image: web, restart: unless-stopped, depends_on: {setup: {condition: service_completed_successfully}}}
`)
	out, err := w.tend("validate")
	require.NoError(t, err)
	_, table, _ := strings.Cut(out, "\n")
	assert.Equal(t, `SERVICE   KIND         RUNS                   WHY
migrate   Deployment   until it ends with 0   nothing is written for restart
once      Job          once                   restart: "no"
setup     Job          until it ends with 0   web waits for it to complete
web       Deployment   always                 restart: unless-stopped
`, table)
}

// validate hides nothing; whatever else finds mistakes says so on one screen.
func TestValidateNamesEveryMistake(t *testing.T) {
	const mistakes = 100
	w := newWorld(t, oneService)
	require.NoError(t, os.Mkdir(filepath.Join(w.dir, "specs"), 0o755))
	for i := range mistakes {
		path := filepath.Join(w.dir, "specs", fmt.Sprintf("%03d.yaml", i))
		require.NoError(t, os.WriteFile(path, []byte("3\n"), 0o644))
	}
	_, err := w.tend("validate")
	require.ErrorContains(t, err, "\n100 problems in 100 files")
	assert.Equal(t, mistakes, strings.Count(err.Error(), "the document is 3; write a mapping"))

	_, err = w.tend("diff")
	require.ErrorContains(t, err, "and 80 more, 100 problems in 100 files in all; tend validate lists each")
	assert.Equal(t, mistakes/5, strings.Count(err.Error(), "the document is 3; write a mapping"))
}
