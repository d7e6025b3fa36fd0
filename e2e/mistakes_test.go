package e2e_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/pkg/stdcopy"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/tendhq/tend/e2e/kit"
)

// What is valid and cannot work: the rollout is taken back by itself, what ran
// goes on undisturbed, and the reason is where a person looks.

const probed = `apiVersion: tend/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  progressDeadlineSeconds: 3
  readinessProbe: {httpGet: {path: /health, port: 8080}, periodSeconds: 0.2}
`

// assertTold checks that a workload's reason is told wherever it is looked for.
func (p *project) assertTold(workload string, texts ...string) {
	p.t.Helper()
	for _, command := range [][]string{{"describe", workload}, {"explain", workload}, {"events", workload}, {"apply", "--timeout", "1s"}} {
		p.await(func() error { // while another try is under way, nothing is told of the one before
			r := p.tend(command...)
			told := r.out
			if command[0] == "apply" {
				assert.Equal(p.t, 1, r.code, "%s", r)
				told = r.errOut
			}
			for _, text := range texts {
				if !strings.Contains(told, text) {
					return fmt.Errorf("tend %s does not tell %q: %s", strings.Join(command, " "), text, r)
				}
			}
			return nil
		})
	}
}

func TestAProbeOnAPortNobodyServesIsTakenBack(t *testing.T) {
	for name, edit := range map[string]struct{ before, after, told string }{
		"a port that nobody serves":  {"port: 8080", "port: 8099", ":8099"},
		"a path that does not exist": {"path: /health", "path: /nowhere", "404 Not Found"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProject(t, files{"compose.yaml": "services:\n  web:\n    image: ${PROBE}\n", "specs/web.yaml": probed})
			tend := p.run()
			p.awaitReady("web", 2)
			p.mustTend("apply")
			before := p.identities()
			p.edit("specs/web.yaml", edit.before, edit.after)
			tend.awaitEvent("web", "RolledBack", "no progress for 3s", "readiness: ", edit.told)
			p.awaitReady("web", 2)
			p.assertSame(before, "the replicas that worked go on")
			p.assertTold("web", "readiness: ", edit.told)
			endpoints := p.mustTend("endpoints")
			for name := range before {
				assert.Contains(t, endpoints, name)
			}
		})
	}
}

func TestAHookThatNeverEndsIsStoppedAndTakesTheRolloutBack(t *testing.T) {
	p := newProject(t, files{
		"compose.yaml":   "services:\n  web:\n    image: ${PROBE}\n    stop_grace_period: 1s\n    environment: {VERSION: \"1\"}\n",
		"specs/web.yaml": specOf("replicas: 2\n  drainSeconds: 0"),
	})
	tend := p.run()
	p.awaitReady("web", 2)
	p.mustTend("apply")
	before := p.identities()
	p.write("specs/web.yaml", specOf("replicas: 2\n  drainSeconds: 0\n  preRollout: [{name: migrate, command: [stuck], timeoutSeconds: 2}]"))
	p.edit("compose.yaml", `VERSION: "1"`, `VERSION: "2"`)
	tend.awaitEvent("web", "RolledBack", "hook migrate has run for more than 2s", "waiting for a lock")
	for name, was := range before {
		assert.Equal(t, was, p.identities()[name])
	}
	p.assertTold("web", "hook migrate has run for more than 2s", "waiting for a lock")
}

// database is a project with one Postgres server that has a table.
func database(t *testing.T) *project {
	p := newProject(t, files{"compose.yaml": databases[:strings.Index(databases, "  cache:")] + databases[strings.Index(databases, "volumes:\n  data"):], "specs/db.yaml": `apiVersion: tend/v1
kind: Database
metadata: {name: db}
spec: {engine: postgres}
`})
	return p
}

func TestABackupFolderWithoutRoomOrReadOnlyRefusesTheUpdateUntilItIsMended(t *testing.T) {
	for name, fault := range map[string]struct {
		harm, mend func(t *testing.T, dir string)
		told       []string
	}{
		"full": {
			func(t *testing.T, dir string) { fill(t, filepath.Join(dir, "filler")) },
			func(t *testing.T, dir string) { require.NoError(t, os.Remove(filepath.Join(dir, "filler"))) },
			[]string{"no space left on device", "free some space there", "backup.keep"},
		},
		"read-only": {
			func(t *testing.T, dir string) {
				require.NoError(t, unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
			},
			func(t *testing.T, dir string) { require.NoError(t, unix.Mount("", dir, "", unix.MS_REMOUNT, "")) },
			[]string{"read-only file system", "tend must be able to write in"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := database(t)
			backups := filepath.Join(p.dir, ".tend", "backups")
			require.NoError(t, os.MkdirAll(backups, 0o700))
			require.NoError(t, unix.Mount("tmpfs", backups, "tmpfs", 0, "size=1m"))
			t.Cleanup(func() { assert.NoError(t, unix.Unmount(backups, unix.MNT_DETACH)) })
			tend := p.run()
			before := p.awaitReady("db", 1)[0]
			p.mustTend("apply")
			p.sql("CREATE TABLE notes AS SELECT 'kept' AS text")

			fault.harm(t, backups)
			p.edit("compose.yaml", "work_mem=4MB", "work_mem=8MB")
			told := append(fault.told, filepath.Join(backups, "db"))
			tend.awaitEvent("db", "PrepareFailed", told...)
			tend.awaitEvent("db", "BackOff", told...)
			assert.Equal(t, before.State.StartedAt, p.replica("db").State.StartedAt, "the old server was not touched")
			p.assertTold("db", told...)

			fault.mend(t, backups)
			p.awaitReplicas("db", 1, func(r replica) bool { return r.ready() && r.ID != before.ID })
			assert.Equal(t, "8MB", p.sql("SHOW work_mem"))
			assert.Equal(t, "kept", p.sql("SELECT text FROM notes"))
			dumps, err := filepath.Glob(filepath.Join(backups, "db", "*.dump"))
			require.NoError(t, err)
			assert.Len(t, dumps, 1)
		})
	}
}

func TestAnImageOfANewerMajorIsRefusedAtOnce(t *testing.T) {
	p := database(t)
	newer := p.name + "/postgres:16"
	p.build(newer, "FROM postgres:15-bookworm\n"+
		`RUN printf '#!/bin/sh\necho "postgres (PostgreSQL) 16.4 (Debian 16.4-1)"\n' >/usr/local/bin/postgres && chmod +x /usr/local/bin/postgres`)
	tend := p.run()
	p.awaitReady("db", 1)
	p.mustTend("apply")
	before := p.identities()
	p.edit("compose.yaml", "postgres:15-bookworm", newer)
	tend.awaitEvent("db", "RolledBack", "Postgres 16.4 cannot read its data", "tend backup db", "tend restore db FILE")
	p.assertTold("db", "Postgres 16.4 cannot read its data", "tend backup db")
	p.assertSame(before, "the old server was not touched")
	failures := 0
	for _, e := range tend.events() {
		if e.Reason == "PrepareFailed" {
			failures++
		}
	}
	assert.Equal(t, 1, failures, "it is not tried again")
}

// A volume has the data of a newer major, as after a step back of the image while
// nothing ran. The server refuses them, and tend passes on its message.
func TestAVolumeMadeByANewerMajorIsTold(t *testing.T) {
	p := database(t)
	p.mustTend("apply", "--timeout", patience.String())
	p.mustTend("down")
	p.inVolume("data", "echo 16 >PG_VERSION")

	tend := p.run()
	tend.awaitEvent("db", "CrashLoopBackOff", "exited with code 1", "initialized by PostgreSQL version 16", "not compatible with this version 15")
	p.assertTold("db", "initialized by PostgreSQL version 16")

	p.inVolume("data", "echo 15 >PG_VERSION")
	p.mustTend("rollout", "restart", "db")
	p.awaitReady("db", 1)
}

// build makes an image from a Dockerfile, and removes it when the test ends.
func (p *project) build(ref, dockerfile string) {
	p.t.Helper()
	p.write("build/Dockerfile", dockerfile)
	require.NoError(p.t, buildImage(ref, map[string]string{"Dockerfile": p.path("build/Dockerfile")}, nil))
	p.t.Cleanup(func() {
		_, err := p.engine.ImageRemove(context.Background(), ref, image.RemoveOptions{Force: true})
		assert.NoError(p.t, err)
	})
}

// inVolume runs a shell script in a volume of the project.
func (p *project) inVolume(volume, script string) {
	p.t.Helper()
	ctx := p.t.Context()
	created, err := p.engine.ContainerCreate(ctx, &container.Config{
		Image: "postgres:15-bookworm", Entrypoint: []string{"sh", "-euc", script}, WorkingDir: "/volume", User: "root",
		Labels: map[string]string{kit.ProjectLabel: p.name, kit.OneoffLabel: "True"},
	}, &container.HostConfig{Binds: []string{p.name + "_" + volume + ":/volume"}, NetworkMode: "none"}, nil, nil, "")
	require.NoError(p.t, err)
	require.NoError(p.t, p.engine.ContainerStart(ctx, created.ID, container.StartOptions{}))
	ended, failed := p.engine.ContainerWait(ctx, created.ID, container.WaitConditionNotRunning)
	select {
	case end := <-ended:
		logs, err := p.engine.ContainerLogs(ctx, created.ID, container.LogsOptions{ShowStdout: true, ShowStderr: true})
		require.NoError(p.t, err)
		var out strings.Builder
		_, err = stdcopy.StdCopy(&out, &out, logs)
		require.NoError(p.t, err)
		require.NoError(p.t, logs.Close())
		require.Zero(p.t, end.StatusCode, out.String())
	case err := <-failed:
		require.NoError(p.t, err)
	}
	require.NoError(p.t, p.engine.ContainerRemove(ctx, created.ID, container.RemoveOptions{}))
}
