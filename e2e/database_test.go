package e2e_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const databases = `
services:
  db:
    image: postgres:15-bookworm
    environment: {POSTGRES_PASSWORD: secret, POSTGRES_DB: app}
    command: [postgres, -c, work_mem=4MB]
    volumes: ["data:/var/lib/postgresql/data"]
    healthcheck: {test: [CMD, pg_isready, --host=127.0.0.1, --username=postgres], interval: 1s, timeout: 10s, retries: 5, start_period: 60s}
  cache:
    image: redis:7-bookworm
    healthcheck: {test: [CMD, redis-cli, ping], interval: 1s, timeout: 10s, retries: 5, start_period: 30s}
volumes:
  data: {}
`

func (p *project) sql(query string) string {
	p.t.Helper()
	return strings.TrimSpace(p.compose("exec", "-T", "db", "psql", "--host=127.0.0.1", "--username=postgres", "--dbname=app", "-Atc", query))
}

func TestADatabaseIsUpdatedWithOneContainerAtATimeAndKeepsItsData(t *testing.T) {
	p := newProject(t, files{"compose.yaml": databases, "specs/db.yaml": `apiVersion: tend/v1
kind: Database
metadata: {name: db}
spec: {engine: postgres}
`})
	tend := p.run()
	before := p.awaitReady("db", 1)[0]
	cache := p.awaitReady("cache", 1)[0]
	p.sql("CREATE TABLE notes AS SELECT 'kept' AS text")
	p.mustTend("apply")
	seen := p.record("db")

	p.edit("compose.yaml", "work_mem=4MB", "work_mem=8MB")
	after := p.awaitReplicas("db", 1, func(r replica) bool { return r.ready() && r.ID != before.ID })[0]
	tend.awaitEvent("db", "RolloutComplete")
	during := seen.seen()
	assert.LessOrEqual(t, during.MaxRunning, 1, "two servers on one volume\n%s", strings.Join(during.story, "\n"))
	assert.Equal(t, "kept", p.sql("SELECT text FROM notes"))
	assert.Equal(t, "8MB", p.sql("SHOW work_mem"))
	assert.Equal(t, cache.ID, p.replica("cache").ID)

	logs := p.compose("logs", "--no-color", "db")
	assert.NotContains(t, logs, "was not properly shut down", "the old server was stopped in its own time")

	t.Log("killed by hand, it comes back with its data")
	require.NoError(t, docker.ContainerKill(t.Context(), after.ID, "KILL"))
	p.awaitReplicas("db", 1, func(r replica) bool { return r.ready() && r.State.StartedAt != after.State.StartedAt })
	assert.Equal(t, "kept", p.sql("SELECT text FROM notes"))
}
