package e2e_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"
	"github.com/docker/docker/api/types/volume"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/e2e/kit"
)

// A kernel without IPVS has neither virtual addresses nor the mesh, so that names lead to
// tasks.
const onSwarm = `
services:
  web:
    image: ${PROBE}
    environment: {VERSION: "1"}
    secrets: [token]
    depends_on: {store: {condition: service_healthy}}
    healthcheck: &check {test: [CMD, /probe, health], interval: 300ms, start_period: 10s, retries: 2}
    stop_grace_period: 2s
    deploy: {replicas: 3, endpoint_mode: dnsrr, update_config: {parallelism: 1, order: start-first}}
  store:
    image: ${PROBE}
    environment: {DATA: /data}
    volumes: [data:/data]
    healthcheck: *check
    stop_grace_period: 2s
    deploy: {endpoint_mode: dnsrr}
volumes: {data: {}}
secrets: {token: {file: ./token}}
`

// newSwarm is an engine of the test's own that is a Swarm of one node.
func newSwarm(t *testing.T) *daemon {
	d := newDaemon(t, t.TempDir())
	d.start()
	d.load(newProbe)
	_, err := d.SwarmInit(t.Context(), swarm.InitRequest{ListenAddr: "127.0.0.1:2377", AdvertiseAddr: "127.0.0.1"})
	require.NoError(t, err)
	return d
}

// services are the services of a project, by Compose service, without the jobs of hooks.
func (p *project) services() map[string]swarm.Service {
	p.t.Helper()
	all, err := p.engine.ServiceList(p.t.Context(), swarm.ServiceListOptions{Filters: filters.NewArgs(filters.Arg("label", kit.ProjectLabel+"="+p.name))})
	require.NoError(p.t, err)
	services := map[string]swarm.Service{}
	for _, s := range all {
		if s.Spec.Labels[kit.HookLabel] == "" {
			services[s.Spec.Labels[kit.ServiceLabel]] = s
		}
	}
	return services
}

func TestAProjectIsKeptOnASwarm(t *testing.T) {
	d := newSwarm(t)
	p := newProjectOn(t, d.engine, files{"compose.yaml": onSwarm, "token": "one"})
	p.flags = []string{"--engine", "swarm"}

	r := p.tend("apply")
	require.Zero(t, r.code, r)
	assert.Less(t, strings.Index(r.errOut, "_store: it is written"), strings.Index(r.errOut, "_web: it is written"), "a service is made before what it depends on is healthy")
	before := p.services()
	require.Len(t, before, 2)
	assert.Contains(t, before["store"].Spec.TaskTemplate.Placement.Constraints[0], "node.id==", "the service with a volume is not pinned")
	assert.Zero(t, p.tend("diff").code, "what was just made differs from what is written")
	p.mustTend("apply")
	assert.Equal(t, before["web"].Version, p.services()["web"].Version, "what has not changed was updated")

	t.Log("an update is rolled out")
	p.edit("compose.yaml", "image: ${PROBE}\n    environment: {VERSION: \"1\"}", "image: ${NEW_PROBE}\n    environment: {VERSION: \"2\"}")
	r = p.tend("diff")
	assert.Equal(t, 1, r.code)
	assert.Contains(t, r.out, "image")
	r = p.tend("apply")
	require.Zero(t, r.code, r)
	assert.Contains(t, r.errOut, "rolling 3 replicas to revision")
	web := p.services()["web"]
	assert.Equal(t, newProbe, web.Spec.TaskTemplate.ContainerSpec.Image)
	require.NotNil(t, web.UpdateStatus)
	assert.Equal(t, swarm.UpdateStateCompleted, web.UpdateStatus.State)
	assert.Equal(t, before["store"].Version, p.services()["store"].Version)

	t.Log("another content of a secret is another secret")
	secret := func() string { return p.services()["web"].Spec.TaskTemplate.ContainerSpec.Secrets[0].SecretName }
	former := secret()
	p.write("token", "two")
	p.mustTend("apply")
	assert.NotEqual(t, former, secret())
	secrets, err := d.SecretList(t.Context(), swarm.SecretListOptions{})
	require.NoError(t, err)
	assert.Len(t, secrets, 1, "the former one is still there")

	t.Log("an image that is nowhere is rolled back")
	good := p.read("compose.yaml")
	p.edit("compose.yaml", "${NEW_PROBE}", "tend-e2e/absent:1")
	r = p.tend("apply")
	assert.Equal(t, 1, r.code, r)
	assert.Contains(t, r.errOut, "was rolled back to")
	assert.Contains(t, r.errOut, "absent")
	assert.Equal(t, newProbe, p.services()["web"].Spec.TaskTemplate.ContainerSpec.Image)

	t.Log("what somebody else changes is brought back, and the API tells of it")
	p.write("compose.yaml", good)
	tend := p.run()
	p.awaitTold("web     Deployment   3/3     3            3           yes", "get", "workloads")
	web = p.services()["web"]
	web.Spec.TaskTemplate.ContainerSpec.Env = append(web.Spec.TaskTemplate.ContainerSpec.Env, "EVIL=1")
	_, err = d.ServiceUpdate(t.Context(), web.ID, web.Version, web.Spec, swarm.ServiceUpdateOptions{})
	require.NoError(t, err)
	tend.awaitEvent("web", "Repaired", "TaskTemplate.ContainerSpec.Env")
	p.await(func() error {
		if env := p.services()["web"].Spec.TaskTemplate.ContainerSpec.Env; len(env) != 1 {
			return fmt.Errorf("the environment is %v", env)
		}
		return nil
	})
	p.awaitTold("web     Deployment   3/3     3            3           yes", "get", "workloads")
	assert.Equal(t, 4, strings.Count(p.mustTend("get", "replicas"), " yes "))
	tend.stop()

	t.Log("nothing but volumes is left")
	p.mustTend("down")
	assert.Empty(t, p.services())
	networks, err := d.NetworkList(t.Context(), network.ListOptions{Filters: filters.NewArgs(filters.Arg("label", kit.ProjectLabel+"="+p.name))})
	require.NoError(t, err)
	assert.Empty(t, networks)
	secrets, err = d.SecretList(t.Context(), swarm.SecretListOptions{})
	require.NoError(t, err)
	assert.Empty(t, secrets)
	volumes, err := d.VolumeList(t.Context(), volume.ListOptions{})
	require.NoError(t, err)
	require.Len(t, volumes.Volumes, 1)
	assert.Equal(t, p.name+"_data", volumes.Volumes[0].Name)
}

// The controller is a container beside the Swarm, and follows what is written.
func TestUpKeepsAProjectOnASwarm(t *testing.T) {
	d := newSwarm(t)
	p := newProjectOn(t, d.engine, files{"compose.yaml": onSwarm, "token": "one"})
	p.flags = []string{"--engine", "swarm"}
	p.mustTend("up")
	first := p.replica("tend")
	require.True(t, first.State.Running)
	assert.Contains(t, p.mustTend("get", "workloads"), "web     Deployment   3/3     3            3           yes")
	p.edit("compose.yaml", "replicas: 3", "replicas: 2")
	p.awaitTold("web     Deployment   2/2     2            2           yes", "get", "workloads")
	p.mustTend("up")
	assert.Equal(t, first.ID, p.replica("tend").ID, "it is as it was, and was replaced")
	require.Len(t, p.services(), 2)
	r := p.tend("up", "--build")
	assert.Equal(t, 1, r.code)
	assert.Contains(t, r.errOut, "nothing is built on a Swarm")

	p.mustTend("down")
	assert.Empty(t, p.replicas("tend"))
	assert.Empty(t, p.services())
}

// Jobs on the node of the data do what tend does itself on one machine.
func TestADatabaseIsPreparedOnASwarm(t *testing.T) {
	const server, next, foreign = "postgres:15-bookworm", "tend-e2e/postgres:next", "tend-e2e/postgres:foreign"
	d := newSwarm(t)
	p := newProjectOn(t, d.engine, files{"compose.yaml": `
services:
  db:
    image: ` + server + `
    environment: {POSTGRES_PASSWORD_FILE: /run/secrets/password, POSTGRES_DB: app}
    secrets: [password]
    configs: [{source: notes, target: /docker-entrypoint-initdb.d/notes.sql}]
    volumes: ["data:/var/lib/postgresql/data"]
    healthcheck: {test: [CMD, pg_isready, --host=127.0.0.1, --username=postgres], interval: 1s, timeout: 10s, retries: 5, start_period: 60s}
    deploy: {endpoint_mode: dnsrr}
volumes: {data: {}}
secrets: {password: {file: ./password}}
configs: {notes: {content: "CREATE TABLE notes AS SELECT 'kept' AS text"}}
`, "password": "hunter2", "specs/db.yaml": `apiVersion: tend/v1
kind: Database
metadata: {name: db}
spec: {engine: postgres, backup: {keep: 1}}
`})
	p.flags = []string{"--engine", "swarm"}
	p.build(next, "FROM "+server+"\nENV NEXT=1\n")
	p.build(foreign, "FROM "+server+"\nRUN sed -i s/^ID=.*/ID=foreign/ /etc/os-release\n")
	d.load(server, next, foreign)
	p.mustTend("apply")

	t.Log("it is backed up before its update, and the oldest backup goes")
	for _, edit := range [][2]string{{"image: " + server, "image: " + next}, {"image: " + next, "image: " + server}} {
		p.edit("compose.yaml", edit[0], edit[1])
		r := p.tend("apply")
		require.Zero(t, r.code, r)
		assert.Contains(t, r.errOut, "job prepare runs for revision")
		assert.Contains(t, r.errOut, "job check runs for revision")
		p.inVolume("backups", "test $(ls db | wc -l) = 1; pg_restore --file=- db/*.dump | grep kept")
	}
	before := p.services()["db"]

	t.Log("a person backs it up and brings it back")
	r := p.tend("backup", "db")
	require.Zero(t, r.code, r)
	dump := strings.TrimSpace(r.out)
	assert.Regexp(t, `^\d{8}T\d{6}\.000Z\.dump$`, dump)
	r = p.tend("restore", "db", dump)
	require.Zero(t, r.code, r)
	r = p.tend("restore", "db", "absent.dump")
	assert.Equal(t, 1, r.code, r)
	assert.Contains(t, r.errOut, "there is no absent.dump among the backups, which are: "+dump)
	all, err := d.ServiceList(t.Context(), swarm.ServiceListOptions{})
	require.NoError(t, err)
	assert.Len(t, all, 1, "the jobs are still there")
	// Swarm leaves the containers of jobs on their nodes.
	left, err := d.ContainerList(t.Context(), container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("volume", p.name+"_backups"))})
	require.NoError(t, err)
	for _, c := range left {
		require.NoError(t, d.ContainerRemove(t.Context(), c.ID, container.RemoveOptions{}))
	}

	t.Log("an image that may sort otherwise does not get the data")
	p.edit("compose.yaml", "image: "+server, "image: "+foreign)
	r = p.tend("apply")
	assert.Equal(t, 1, r.code, r)
	assert.Contains(t, r.errOut, "job check task: non-zero exit (1)")
	assert.Equal(t, before.Spec, p.services()["db"].Spec)
	all, err = d.ServiceList(t.Context(), swarm.ServiceListOptions{Filters: filters.NewArgs(filters.Arg("label", kit.HookLabel+"=check"))})
	require.NoError(t, err)
	require.Len(t, all, 1, "its log is gone")
	p.mustTend("down")
}

func TestAStackOfTheNameIsNotTouched(t *testing.T) {
	d := newSwarm(t)
	p := newProjectOn(t, d.engine, files{"compose.yaml": onSwarm, "token": "one"})
	p.flags = []string{"--engine", "swarm"}
	spec := swarm.ServiceSpec{Annotations: swarm.Annotations{Name: p.name + "_web", Labels: map[string]string{"com.docker.stack.namespace": p.name}}}
	spec.TaskTemplate.ContainerSpec = &swarm.ContainerSpec{Image: probe}
	spec.EndpointSpec = &swarm.EndpointSpec{Mode: swarm.ResolutionModeDNSRR}
	made, err := d.ServiceCreate(t.Context(), spec, swarm.ServiceCreateOptions{})
	require.NoError(t, err)
	for _, command := range []string{"apply", "down"} {
		r := p.tend(command)
		assert.Equal(t, 1, r.code, r)
		assert.Contains(t, r.errOut, "was made by docker stack deploy, and not by tend", command)
	}
	after, _, err := d.ServiceInspectWithRaw(t.Context(), made.ID, swarm.ServiceInspectOptions{})
	require.NoError(t, err)
	assert.Empty(t, after.PreviousSpec)
	assert.Empty(t, p.services())
}

func TestWhereThereIsNoSwarmThatIsSaid(t *testing.T) {
	d := newDaemon(t, t.TempDir())
	d.start()
	p := newProjectOn(t, d.engine, files{"compose.yaml": onSwarm, "token": "one"})
	p.flags = []string{"--engine", "swarm"}
	for _, command := range []string{"apply", "diff", "up", "down"} {
		r := p.tend(command)
		assert.NotZero(t, r.code, command)
		assert.Contains(t, r.errOut, "docker swarm init", command)
	}
	p.flags = nil
	r := p.tend("migrate", "--to", "swarm")
	assert.Equal(t, 1, r.code)
	assert.Contains(t, r.errOut, "docker swarm init")
}

// Nothing that Swarm fills in, or says in its own way, is taken for a change.
func TestWhatASwarmFillsInIsNoDifference(t *testing.T) {
	d := newSwarm(t)
	p := newProjectOn(t, d.engine, files{"token": "one", "compose.yaml": `
services:
  web: &all
    image: ${PROBE}
    scale: 0
    entrypoint: [/probe]
    command: [serve, "--all"]
    environment: {A: "1", B: ""}
    labels: {team: a}
    hostname: web
    user: "1000:1000"
    group_add: ["5"]
    working_dir: /tmp
    init: true
    tty: true
    stdin_open: true
    read_only: true
    stop_signal: SIGINT
    stop_grace_period: 90s
    cap_add: [NET_ADMIN]
    cap_drop: [ALL]
    sysctls: {net.core.somaxconn: "1024"}
    ulimits: {nofile: {soft: 1000, hard: 2000}, nproc: 65535}
    dns: [10.0.0.53]
    dns_search: [example.test]
    dns_opt: ["ndots:2"]
    extra_hosts: ["db:10.0.0.9", "db2:10.0.0.10"]
    cpus: 0.5
    mem_limit: 64m
    pids_limit: 100
    platform: linux/amd64
    logging: {driver: json-file, options: {max-size: 1m}}
    healthcheck: {test: [CMD, /probe, health], interval: 3s, timeout: 2s, retries: 4, start_period: 5s}
    ports: ["8080:80", "53/udp", {target: 90, published: "9090", mode: host}]
    secrets: [{source: token, target: api, uid: "7", gid: "8", mode: 0400}]
    configs: [{source: motd, target: /etc/motd}]
    tmpfs: ["/run:size=1m,mode=1777", /cache]
    volumes:
      - /etc:/host:ro
      - anonymous:/anonymous:ro
      - {type: bind, source: /var, target: /var/host, bind: {propagation: rslave}}
      - {type: volume, source: data, target: /data, volume: {nocopy: true}}
      - {type: tmpfs, target: /scratch, tmpfs: {size: 1048576, mode: 448}}
      - /nameless
    networks: {front: {aliases: [www]}, back: {}}
    deploy:
      labels: {owner: b}
      placement: {constraints: ["node.role == manager"], preferences: [{spread: node.labels.zone}], max_replicas_per_node: 3}
      resources: {reservations: {cpus: "0.1", memory: 16m}}
      restart_policy: {condition: on-failure, delay: 3s, max_attempts: 5, window: 60s}
      update_config: {parallelism: 0, delay: 8s, monitor: 9s, order: start-first}
  bare: {image: "${PROBE}", scale: 0}
  offline: {<<: *all, healthcheck: {disable: true}, ports: [], restart: always, deploy: {endpoint_mode: dnsrr}}
networks: {front: {attachable: true, labels: {a: b}}, back: {internal: true, ipam: {config: [{subnet: 10.77.0.0/24}]}}}
volumes: {data: {labels: {c: d}}, anonymous: {driver: local, driver_opts: {type: tmpfs, device: tmpfs}}}
secrets: {token: {file: ./token}}
configs: {motd: {content: hello}}
`})
	p.flags = []string{"--engine", "swarm"}
	r := p.tend("apply")
	require.Zero(t, r.code, r)
	before := p.services()
	require.Len(t, before, 3)
	r = p.tend("diff")
	assert.Zero(t, r.code, r)
	p.mustTend("apply")
	for name, s := range p.services() {
		assert.Equal(t, before[name].Version, s.Version, "%s was updated though nothing has changed", name)
	}
	p.mustTend("down")
}

func TestJobsAndHooksRunOnASwarm(t *testing.T) {
	d := newSwarm(t)
	p := newProjectOn(t, d.engine, files{"compose.yaml": `
services:
  store: {image: "${PROBE}", stop_grace_period: 1s, deploy: {endpoint_mode: dnsrr}}
  seed: {image: "${PROBE}", command: [wait, "store:8080"], restart: "no", depends_on: [store]}
  web:
    image: ${PROBE}
    environment: {VERSION: "1"}
    stop_grace_period: 1s
    depends_on: {seed: {condition: service_completed_successfully}}
    deploy: {endpoint_mode: dnsrr, update_config: {order: stop-first}}
`, "specs/web.yaml": `
apiVersion: tend/v1
kind: Deployment
metadata: {name: web}
spec:
  preRollout: [{name: migrate, command: [wait, "store:8080"], timeoutSeconds: 30}]
`})
	p.flags = []string{"--engine", "swarm"}
	r := p.tend("apply")
	require.Zero(t, r.code, r)
	assert.Contains(t, r.errOut, "hook migrate runs for revision")
	assert.Contains(t, r.errOut, "ran to completion")
	services := p.services()
	all, err := d.ServiceList(t.Context(), swarm.ServiceListOptions{})
	require.NoError(t, err)
	assert.Len(t, all, 3, "the hook's job is still there")
	assert.True(t, services["seed"].CreatedAt.Before(services["web"].CreatedAt))

	t.Log("a hook that fails keeps its revision out")
	p.edit("compose.yaml", `VERSION: "1"`, `VERSION: "2"`)
	p.edit("specs/web.yaml", `"store:8080"], timeoutSeconds: 30`, `"nobody:8080"], timeoutSeconds: 3`)
	r = p.tend("apply")
	assert.Equal(t, 1, r.code, r)
	assert.Contains(t, r.errOut, "hook migrate has not ended within 3s")
	assert.Contains(t, p.services()["web"].Spec.TaskTemplate.ContainerSpec.Env, "VERSION=1")

	t.Log("a Job that fails is said to have failed")
	p.edit("specs/web.yaml", `"nobody:8080"`, `"store:8080"`)
	p.edit("compose.yaml", `command: [wait, "store:8080"]`, `environment: {EXIT: "3"}`)
	r = p.tend("apply", "--timeout", "20s") // web waits for it
	assert.Equal(t, 1, r.code, r)
	assert.Contains(t, r.errOut, "non-zero exit (3)")
	p.mustTend("logs", "web")
	p.mustTend("down")
}

// All tasks of a revision are made from one image, whatever its name stands for meanwhile.
func TestARevisionIsOfOneImage(t *testing.T) {
	d := newSwarm(t)
	p := newProjectOn(t, d.engine, nil)
	r := newRegistry(p)
	address := r.front(func(h http.Handler) *httptest.Server {
		s := httptest.NewUnstartedServer(h)
		require.NoError(t, s.Listener.Close())
		require.NoError(t, d.Within(func() (err error) { // where the engine is
			s.Listener, err = net.Listen("tcp", "127.0.0.1:0")
			return err
		}))
		s.Start()
		return s
	}, nil)
	r.publish("shop/web:1", version("VERSION=1"))
	r.publish("shop/web:2", version("VERSION=2"))
	pinned := func(tag string) string {
		_, digest := r.manifest(http.MethodGet, "shop/web", tag, imageManifest, nil)
		return address + "/shop/web:" + tag + "@" + digest
	}
	first, second := pinned("1"), pinned("2")
	runs := func(image string) {
		t.Helper()
		p.await(func() error {
			if is := p.services()["web"].Spec.TaskTemplate.ContainerSpec; is == nil || is.Image != image {
				return fmt.Errorf("the image is %v", is)
			}
			if r := p.tend("get", "workloads"); !strings.Contains(r.out, " 2/2 ") {
				return fmt.Errorf("%s", r)
			}
			return nil
		})
	}
	p.write("compose.yaml", "services:\n  web:\n    image: "+address+"/shop/web:1\n    stop_grace_period: 1s\n    deploy: {replicas: 2, endpoint_mode: dnsrr}\n")
	p.flags = []string{"--engine", "swarm"}
	tend := p.run()
	p.await(func() error {
		if len(p.services()) == 0 {
			return errors.New("there is no service")
		}
		return nil
	})
	runs(first)

	t.Log("another image is pushed under the name, and something else is edited")
	r.publish("shop/web:1", version("VERSION=other"))
	require.NotEqual(t, first, pinned("1"))
	p.edit("compose.yaml", "    stop_grace_period", "    environment: {A: b}\n    stop_grace_period")
	p.await(func() error {
		if c := p.services()["web"].Spec.TaskTemplate.ContainerSpec; !slices.Contains(c.Env, "A=b") {
			return fmt.Errorf("the edit is not there: %v", c.Env)
		}
		return nil
	})
	runs(first)

	t.Log("another name is written, and gone back from")
	p.edit("compose.yaml", "/web:1", "/web:2")
	runs(second)
	require.Zero(t, p.tend("rollout", "undo", "web").code)
	runs(first)

	t.Log("the registry is away")
	r.stop()
	p.edit("compose.yaml", "/web:2", "/web:3")
	p.awaitTold("ImageNotPinned", "events", "web")
	tend.stop()
	p.mustTend("down")
}
