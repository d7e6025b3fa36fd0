package e2e_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/e2e/kit"
)

const (
	// patience bounds every wait: far more than a busy machine of two cores needs.
	patience = 2 * time.Minute
	// glance paces the looks at a condition.
	glance = 100 * time.Millisecond
)

// files are a project's, by their paths in its folder.
type files map[string]string

// project is a Compose project in a folder of its own.
type project struct {
	t         *testing.T
	name, dir string
	engine    engine
	// flags go before those of each command, environment is added to its own.
	flags, environment []string

	processes []*process
}

// newProject makes a project on the machine's engine. Its files may use
// ${PROBE}, ${NEW_PROBE} and ${TEND_IMAGE}.
func newProject(t *testing.T, content files) *project {
	t.Parallel()
	return newProjectOn(t, docker, content)
}

func newProjectOn(t *testing.T, e engine, content files) *project {
	p := &project{t: t, name: "tend-e2e-" + strings.ToLower(rand.Text()[:10]), dir: t.TempDir(), engine: e}
	p.write(".env", fmt.Sprintf("COMPOSE_PROJECT_NAME=%s\nPROBE=%s\nNEW_PROBE=%s\nTEND_IMAGE=%s\n", p.name, probe, newProbe, tendImage))
	for _, path := range slices.Sorted(maps.Keys(content)) {
		p.write(path, content[path])
	}
	t.Cleanup(func() { e.remove(t, p.name) })
	t.Cleanup(func() {
		if t.Failed() {
			p.dump()
		}
	})
	return p
}

// step is a subtest that uses the project.
func (p *project) step(name string, do func()) {
	p.t.Run(name, func(t *testing.T) {
		defer func(before *testing.T) { p.t = before }(p.t)
		p.t = t
		do()
	})
}

// dump shows what a person would look at.
func (p *project) dump() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, c := range p.processes {
		p.t.Logf("output of %s:\n%s%s", c, c.stdout, c.stderr)
	}
	replicas, err := p.engine.replicas(ctx, p.name, "")
	p.t.Logf("containers of %s (error: %v):", p.name, err)
	for _, r := range replicas {
		p.t.Logf("   %s\n%s", r, p.logs(ctx, r.ID))
	}
}

// logs are the last lines of what a container has written, or why there are none.
func (p *project) logs(ctx context.Context, id string) string {
	logs, err := p.engine.ContainerLogs(ctx, id, container.LogsOptions{ShowStdout: true, ShowStderr: true, Tail: "20"})
	if err != nil {
		return err.Error()
	}
	defer logs.Close()
	var out strings.Builder
	if _, err := stdcopy.StdCopy(&out, &out, logs); err != nil {
		return err.Error()
	}
	return out.String()
}

func (p *project) path(name string) string { return filepath.Join(p.dir, name) }

func (p *project) write(name, content string) {
	p.t.Helper()
	require.NoError(p.t, os.MkdirAll(filepath.Dir(p.path(name)), 0o755))
	require.NoError(p.t, os.WriteFile(p.path(name), []byte(content), 0o644))
}

func (p *project) read(name string) string {
	p.t.Helper()
	content, err := os.ReadFile(p.path(name))
	require.NoError(p.t, err)
	return string(content)
}

// edit replaces a part of a file, as a person would.
func (p *project) edit(name, before, after string) {
	p.t.Helper()
	content := p.read(name)
	require.Contains(p.t, content, before)
	p.write(name, strings.Replace(content, before, after, 1))
}

// replicas lists the containers of a service, or of all where it is empty.
func (p *project) replicas(service string) []replica {
	p.t.Helper()
	all, err := p.engine.replicas(p.t.Context(), p.name, service)
	require.NoError(p.t, err)
	return all
}

// replica is the one container of a service.
func (p *project) replica(service string) replica {
	p.t.Helper()
	all := p.replicas(service)
	require.Len(p.t, all, 1)
	return all[0]
}

// await waits until a condition returns no error, and fails with the last one.
func (p *project) await(condition func() error) {
	p.t.Helper()
	ctx, cancel := kit.Patience(p.t.Context(), patience)
	defer cancel()
	require.NoError(p.t, kit.Await(ctx, condition))
}

// awaitReady waits until a service has exactly n containers, all ready, and
// returns them.
func (p *project) awaitReady(service string, n int) []replica {
	p.t.Helper()
	return p.awaitReplicas(service, n, replica.ready)
}

// awaitReplicas waits until a service has exactly n containers and all are as
// they should be.
func (p *project) awaitReplicas(service string, n int, as func(replica) bool) (all []replica) {
	p.t.Helper()
	p.await(func() error {
		all = p.replicas(service)
		good := 0
		for _, r := range all {
			if as(r) {
				good++
			}
		}
		if len(all) != n || good != n {
			return fmt.Errorf("want %d containers of %s, have %d, of which %d as they should be: %v", n, service, len(all), good, all)
		}
		return nil
	})
	return all
}

// awaitEnv is awaitReady for containers with a value in their environment.
func (p *project) awaitEnv(service string, n int, name, value string) []replica {
	p.t.Helper()
	return p.awaitReplicas(service, n, func(r replica) bool { return r.ready() && r.env(name) == value })
}

// assertSame checks that no container was made, replaced, started or stopped.
func (p *project) assertSame(before map[string]identity, message string) {
	p.t.Helper()
	assert.Equal(p.t, before, p.identities(), message)
}
