//go:build linux

package cli

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
  db: {image: postgres, restart: always, volumes: ["data:/var/lib/postgresql/data", "/etc/x:/x:ro", /spool]}
  files: {image: web, restart: always, volumes: ["shared:/files"]}
  front: {image: web, restart: always, ports: ["80:80"]}
  host: {image: web, restart: always, network_mode: host}
  many: {image: web, restart: always, volumes: ["data:/data"], scale: 2}
  each: {image: web, restart: always, volumes: ["data:/data", /spool], scale: 2}
  migrate: {image: web}
  setup: {image: web}
  once: {image: web, restart: "no"}
  web: {image: web, restart: unless-stopped, depends_on: {setup: {condition: service_completed_successfully}}}
volumes: {data: , shared: {x-tend: {accessMode: ReadWriteMany}}}
`)
	out, err := w.tend("validate")
	require.NoError(t, err)
	_, table, _ := strings.Cut(out, "\n")
	assert.Equal(t, `SERVICE   KIND         RUNS                   WHY                              UPDATE
db        Deployment   always                 restart: always                  stops first: it writes to /var/lib/postgresql/data, /spool
each      Deployment   always                 restart: always                  stops first: it writes to /spool
files     Deployment   always                 restart: always                  starts first
front     Deployment   always                 restart: always                  stops first: another container cannot have host port 0.0.0.0:80/tcp
host      Deployment   always                 restart: always                  stops first: a second process would find its ports on the host's network taken
many      Deployment   always                 restart: always                  starts first
migrate   Deployment   until it ends with 0   nothing is written for restart   starts first
once      Job          once                   restart: "no"                    stops first: it is a Job
setup     Job          until it ends with 0   web waits for it to complete     stops first: it is a Job
web       Deployment   always                 restart: unless-stopped          starts first
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
