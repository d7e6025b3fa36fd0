package e2e_test

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/e2e/kit"
)

// toMove is a project that runs on one engine. The client is left alone: it stays on the engine
// and asks web by its name, which asks api.
const toMove = `
services:
  client:
    image: ${PROBE}
    environment: {PROXY: "web:8080"}
    x-tend: {managed: false}
  web:
    image: ${PROBE}
    environment: {PROXY: "api:8080"}
    depends_on: {store: {condition: service_healthy}, api: {condition: service_started}}
    healthcheck: &check {test: [CMD, /probe, health], interval: 300ms, start_period: 10s, retries: 2}
    stop_grace_period: 5s
    deploy: {replicas: 3, endpoint_mode: dnsrr}
  api:
    image: ${PROBE}
    healthcheck: *check
    stop_grace_period: 5s
    deploy: {replicas: 2, endpoint_mode: dnsrr}
  store:
    image: ${PROBE}
    environment: {DATA: /data}
    volumes: [data:/data]
    healthcheck: *check
    stop_grace_period: 5s
    deploy: {endpoint_mode: dnsrr}
volumes: {data: {}}
`

// newMove is a project that runs on an engine of its own, which is a Swarm by now.
func newMove(t *testing.T, content files) (*daemon, *project) {
	d := newSwarm(t)
	p := newProjectOn(t, d.engine, content)
	t.Cleanup(func() { // first the services, as tasks use the project's networks and volumes
		all, err := d.ServiceList(context.Background(), swarm.ServiceListOptions{})
		assert.NoError(t, err)
		for _, s := range all {
			assert.NoError(t, d.ServiceRemove(context.Background(), s.ID))
		}
		// Swarm leaves the containers of jobs on their nodes.
		left, err := d.ContainerList(context.Background(), container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", "com.docker.swarm.service.id"))})
		assert.NoError(t, err)
		for _, c := range left {
			_ = d.ContainerRemove(context.Background(), c.ID, container.RemoveOptions{Force: true}) // Swarm may be removing it
		}
	})
	return d, p
}

// newMoveAsked is toMove, with clients that ask web by its name.
func newMoveAsked(t *testing.T) (*project, *kit.Clients) {
	d, p := newMove(t, files{"compose.yaml": toMove})
	p.compose("up", "--detach", "client")
	p.mustTend("apply")
	address := p.replica("client").NetworkSettings.Networks[p.name+"_default"].IPAddress
	clients, err := d.Ask(t.Context(), "http://"+address+":8080/peer/peer/env")
	require.NoError(t, err)
	t.Cleanup(clients.Stop)
	return p, clients
}

// migrate moves the project, and fails where that does.
func (p *project) migrate(to string, args ...string) result {
	p.t.Helper()
	r := p.tend(append([]string{"migrate", "--to", to}, args...)...)
	require.Zero(p.t, r.code, r)
	return r
}

// onSwarm runs a command for the Swarm.
func (p *project) onSwarm(args ...string) result {
	p.t.Helper()
	return p.tend(append([]string{"--engine", "swarm"}, args...)...)
}

func TestAProjectMovesToTheSwarmAndBack(t *testing.T) {
	p, clients := newMoveAsked(t)
	before := p.replica("client").State.StartedAt

	for range 2 {
		r := p.migrate("swarm", "--yes")
		assert.Empty(t, p.replicas("web"), r)
		assert.Empty(t, p.replicas("store"))
		require.Len(t, p.services(), 3)
		assert.Zero(t, p.onSwarm("diff").code, "what has moved differs from what is written")
		versions := versionsOf(p.services())
		require.Zero(t, p.onSwarm("apply").code)
		assert.Equal(t, versions, versionsOf(p.services()), "what has moved was updated")
		p.assertNoneLost(clients, "to the Swarm")
		for _, command := range []string{"apply", "run", "up"} {
			r := p.tend(command)
			assert.Equal(t, 1, r.code, r)
			assert.Contains(t, r.errOut, "tend migrate --to docker", command)
		}

		r = p.migrate("docker", "--yes")
		assert.Empty(t, p.services(), r)
		p.awaitReady("web", 3)
		p.awaitReady("store", 1)
		assert.Zero(t, p.tend("diff").code, "what has come back differs from what is written")
		for _, command := range []string{"apply", "run", "up"} {
			r := p.onSwarm(command)
			assert.Equal(t, 1, r.code, r)
			assert.Contains(t, r.errOut, "tend migrate --to swarm", command)
		}
		p.assertNoneLost(clients, "back")
	}
	assert.Equal(t, before, p.replica("client").State.StartedAt, "what is not tend's was restarted")
}

// assertNoneLost checks that all requests since the last look were answered.
func (p *project) assertNoneLost(c *kit.Clients, on string) {
	p.t.Helper()
	seen := c.Seen()
	assert.Empty(p.t, seen.Lost, "requests that were lost %s, beside %d that were answered", on, seen.Answered)
	p.t.Logf("%s: %s", on, seen)
}

// versionsOf are the versions of services.
func versionsOf(all map[string]swarm.Service) map[string]string {
	versions := map[string]string{}
	for name, s := range all {
		versions[name] = fmt.Sprint(s.Version)
	}
	return versions
}

// Killed at any point, it goes on when it is run again, and two never write.
func TestAMoveThatIsKilledGoesOn(t *testing.T) {
	p, clients := newMoveAsked(t)
	store := p.recordAll("store")

	points := map[string][]string{
		"swarm":  {"ObjectCreated", "api: begins on the Swarm", "web                ServiceCreated", "web: ends on the engine", "web                Stopping", "store: ends on the engine", "store: begins on the Swarm", "store              ServiceCreated"},
		"docker": {"NetworkCreated", "store: ends on the Swarm", "store: begins on the engine", "store              Created", "web: begins on the engine", "web: ends on the Swarm", "api                ServiceRemoved"},
	}
	for _, to := range []string{"swarm", "docker"} {
		for _, point := range points[to] {
			c := p.start("migrate", "--to", to, "--yes")
			p.await(func() error {
				select {
				case <-c.ended:
					return nil // it has come to its end, and nothing was left to kill
				default:
				}
				if !strings.Contains(c.stderr.String(), point) {
					return fmt.Errorf("it has not come to %q: %s", point, c.stderr)
				}
				return nil
			})
			c.end(syscall.SIGKILL)
		}
		p.migrate(to, "--yes")
		p.assertNoneLost(clients, "to "+to+", killed")
		assert.LessOrEqual(t, store.seen().MaxRunning, 1, "two wrote at a time: %v", store.seen().story)
	}
	p.awaitReady("web", 3)
	assert.Empty(t, p.services())
	assert.Zero(t, p.tend("diff").code)
}

// What does not work on the Swarm goes back, and the rest is there.
func TestWhatFailsOnTheSwarmComesBack(t *testing.T) {
	const spec = "apiVersion: tend/v1\nkind: Deployment\nmetadata: {name: %s}\nspec: {progressDeadlineSeconds: 5}\n"
	nowhere := strings.NewReplacer(
		"replicas: 3, endpoint_mode: dnsrr", "replicas: 3, endpoint_mode: dnsrr, resources: {reservations: {cpus: '1000'}}",
		"deploy: {endpoint_mode: dnsrr}", "deploy: {endpoint_mode: dnsrr, resources: {reservations: {cpus: '1000'}}}",
	).Replace(toMove)
	_, p := newMove(t, files{"compose.yaml": nowhere, "specs/store.yaml": fmt.Sprintf(spec, "store"), "specs/web.yaml": fmt.Sprintf(spec, "web")})
	p.mustTend("apply")
	store, web := p.recordAll("store"), p.recordAll("web")
	r := p.tend("migrate", "--to", "swarm", "--yes")
	assert.Equal(t, 1, r.code, r)
	for _, name := range []string{"store", "web"} {
		assert.Contains(t, r.errOut, name+": goes back: ")
	}
	require.Equal(t, []string{"api"}, slices.Collect(maps.Keys(p.services())))
	assert.Equal(t, 1, store.seen().MaxRunning)
	assert.Equal(t, 3, web.seen().MinReady)
	p.awaitReady("store", 1)
	p.awaitReady("web", 3)

	t.Log("all of it comes back")
	p.migrate("docker", "--yes")
	assert.Empty(t, p.services())
	p.awaitReady("api", 2)
	assert.Zero(t, p.tend("diff").code)
}

// On a terminal a person is asked of each volume whether it may move.
func TestConsentIsTypedOnATerminal(t *testing.T) {
	_, p := newMove(t, files{"compose.yaml": `
services:
  books: &store
    image: ${PROBE}
    environment: {DATA: /data}
    volumes: [books:/data]
    stop_grace_period: 1s
    deploy: {endpoint_mode: dnsrr}
  music: {<<: *store, volumes: ["music:/data"]}
volumes: {books: {}, music: {}}
`})
	p.mustTend("apply")
	before := p.replica("books")
	c, keyboard := p.startBeforePerson("migrate", "--to", "swarm")
	for _, typed := range [][2]string{{"books", "n"}, {"music", "y"}} {
		question := fmt.Sprintf("May the volume %s_%s move (mounted by %s)? [y/N] ", p.name, typed[0], typed[0])
		p.await(func() error {
			if out := c.stdout.String(); !strings.HasSuffix(out, question) {
				return fmt.Errorf("it does not ask of %s: %s", typed[0], out)
			}
			return nil
		})
		_, err := fmt.Fprintln(keyboard, typed[1])
		require.NoError(t, err)
	}
	<-c.ended
	assert.Equal(t, 1, c.cmd.ProcessState.ExitCode())
	assert.Contains(t, c.stdout.String(), "books: nobody has said that the volume "+p.name+"_books moves: --volume books")
	after := p.replica("books")
	assert.Equal(t, before.ID, after.ID)
	assert.Equal(t, before.State.StartedAt, after.State.StartedAt, "what stays was restarted")
	assert.Empty(t, p.replicas("music"))
	require.Equal(t, []string{"music"}, slices.Collect(maps.Keys(p.services())))
}

// A controller that tend up has started keeps the project on the other side afterwards.
func TestTheControllerMovesAlong(t *testing.T) {
	_, p := newMove(t, files{"compose.yaml": toMove})
	p.mustTend("up")
	p.migrate("swarm", "--yes")
	p.edit("compose.yaml", "replicas: 3", "replicas: 4")
	p.await(func() error {
		if r := p.onSwarm("get", "workloads"); !strings.Contains(r.out, "web     Deployment   4/4") {
			return fmt.Errorf("%s", r)
		}
		return nil
	})
	assert.True(t, p.replica("tend").State.Running)

	p.migrate("docker", "--yes")
	p.edit("compose.yaml", "replicas: 4", "replicas: 2")
	p.awaitReady("web", 2)
	assert.True(t, p.replica("tend").State.Running)
	p.mustTend("down")
}

// A project that a Swarm cannot keep is refused, and nothing is changed.
func TestWhatASwarmCannotKeepDoesNotMove(t *testing.T) {
	const named = "networks:\n  default:\n    name: ${COMPOSE_PROJECT_NAME}-own\n"
	d, p := newMove(t, files{"compose.yaml": toMove})
	p.mustTend("apply")
	before := p.identities()
	refused := func(texts ...string) {
		t.Helper()
		r := p.tend("migrate", "--to", "swarm", "--yes")
		assert.Equal(t, 1, r.code, r)
		for _, text := range texts {
			assert.Contains(t, r.errOut, text)
		}
		p.assertSame(before, "something was changed")
		services, err := d.ServiceList(t.Context(), swarm.ServiceListOptions{})
		require.NoError(t, err)
		assert.Empty(t, services)
		networks, err := d.NetworkList(t.Context(), network.ListOptions{Filters: filters.NewArgs(filters.Arg("label", kit.ProjectLabel+"="+p.name))})
		require.NoError(t, err)
		assert.Len(t, networks, 1)
	}
	p.write("compose.yaml", toMove+named)
	refused("has a name of its own, which only one side can have: leave networks.default.name out")

	p.write("compose.yaml", toMove)
	p.edit("compose.yaml", "    environment: {DATA: /data}", "    environment: {DATA: /data}\n    privileged: true")
	p.edit("compose.yaml", "    environment: {PROXY: \"api:8080\"}", "    environment: {PROXY: \"api:8080\"}\n    shm_size: 64m")
	refused("compose.yaml:", "privileged is not supported on a Swarm", "shm_size")

	p.write("compose.yaml", toMove)
	p.edit("compose.yaml", "    deploy: {endpoint_mode: dnsrr}", "    deploy: {endpoint_mode: dnsrr, placement: {constraints: [node.labels.none == such]}}")
	refused("store has its data on this node, ", "placement.constraints keep its tasks off it")

	p.write("compose.yaml", toMove)
	tend := p.run()
	p.await(func() error {
		if r := p.tend("get", "workloads"); r.code != 0 {
			return fmt.Errorf("%s", r)
		}
		return nil
	})
	refused("another tend keeps this project")
	tend.stop()
}

const server = "postgres:15-bookworm"

// withData is a project with a Database, a Job that has written its rows, and a published port.
var withData = files{"compose.yaml": `
services:
  web:
    image: ${PROBE}
    depends_on: {seed: {condition: service_completed_successfully}}
    healthcheck: {test: [CMD, /probe, health], interval: 300ms, start_period: 10s, retries: 2}
    ports: [{target: 8080, published: "18080", mode: host}]
    stop_grace_period: 1s
    deploy: {endpoint_mode: dnsrr}
  seed:
    image: ` + server + `
    restart: "no"
    environment: &login {PGPASSWORD: hunter2, PGHOST: db, PGUSER: postgres}
    entrypoint: [psql, --no-psqlrc, --set=ON_ERROR_STOP=1, --command]
    command: ["CREATE TABLE IF NOT EXISTS runs (at timestamptz); INSERT INTO runs VALUES (now())"]
    depends_on: {db: {condition: service_healthy}}
    deploy: {endpoint_mode: dnsrr}
  db:
    image: ` + server + `
    environment: {POSTGRES_PASSWORD: hunter2}
    volumes: ["data:/var/lib/postgresql/data"]
    healthcheck: {test: [CMD, pg_isready, --host=127.0.0.1, --username=postgres], interval: 1s, timeout: 10s, retries: 5, start_period: 60s}
    deploy: {endpoint_mode: dnsrr}
volumes: {data: {}}
`, "specs/db.yaml": `apiVersion: tend/v1
kind: Database
metadata: {name: db}
spec: {engine: postgres}
`}

// rows counts the runs of the Job that the Database remembers, wherever that is.
func (p *project) rows() (n string) {
	p.t.Helper()
	running, err := p.engine.ContainerList(p.t.Context(), container.ListOptions{Filters: filters.NewArgs(filters.Arg("volume", p.name+"_data"))})
	require.NoError(p.t, err)
	require.Len(p.t, running, 1, "as many containers have the volume")
	r := p.exec("docker", "--host", p.engine.DaemonHost(), "exec", running[0].ID, "psql", "--username=postgres", "--tuples-only", "--no-align", "--command=SELECT count(*) FROM runs")
	require.Zero(p.t, r.code, r)
	return strings.TrimSpace(r.out)
}

func TestADatabaseMovesWithConsent(t *testing.T) {
	d, p := newMove(t, withData)
	d.load(server)
	p.mustTend("apply")
	require.Equal(t, "1", p.rows())
	clients, err := d.Ask(t.Context(), "http://127.0.0.1:18080/env")
	require.NoError(t, err)
	defer clients.Stop()

	t.Log("without consent it stays, and so does nothing else")
	before := p.replica("db").ID
	r := p.tend("migrate", "--to", "swarm")
	assert.Equal(t, 1, r.code, r)
	assert.Contains(t, r.errOut, "db: nobody has said that the volume "+p.name+"_data moves: --volume data")
	assert.Equal(t, before, p.replica("db").ID)
	assert.NotContains(t, p.services(), "db")
	assert.Contains(t, p.services(), "web")
	assert.Equal(t, "1", p.rows())

	t.Log("with consent it goes on")
	p.migrate("swarm", "--volume", "data")
	assert.Contains(t, p.services(), "db")
	assert.Equal(t, "1", p.rows(), "the Job has run again, or the volume is another one")
	assert.Zero(t, p.onSwarm("diff").code)
	require.Zero(t, p.onSwarm("apply").code)
	assert.Equal(t, "1", p.rows())
	backups, err := filepath.Glob(p.path(".tend/backups/db/*.dump"))
	require.NoError(t, err)
	assert.Len(t, backups, 1, "it was not backed up")
	t.Logf("to the Swarm, at the port: %s", portGap(clients.Seen()))

	t.Log("and back")
	p.migrate("docker", "--volume", "data")
	assert.Equal(t, "1", p.rows(), "the Job has run again, or the volume is another one")
	assert.Zero(t, p.tend("diff").code)
	t.Logf("back, at the port: %s", portGap(clients.Seen()))
}

// portGap says how long a port had no holder.
func portGap(seen kit.Seen) string {
	if len(seen.Lost) == 0 {
		return seen.String()
	}
	return fmt.Sprintf("%s, from %s to %s", seen, seen.Lost[0], seen.Lost[len(seen.Lost)-1])
}
