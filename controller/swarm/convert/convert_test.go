package convert

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/swarm"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/spec/load"
)

// project loads the project of a compose.yaml, and of a spec file where there is one.
func project(t *testing.T, compose, specs string) (*spec.Project, string, error) {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(compose), 0o600))
	if specs != "" {
		require.NoError(t, os.Mkdir(filepath.Join(dir, "specs"), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "specs", "all.yaml"), []byte(specs), 0o600))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "token"), []byte("s3cret"), 0o600))
	p, err := load.Project(t.Context(), load.Options{ProjectDirectory: dir, Name: "shop", IngressImage: "tend/ingress", Adapt: Adapt})
	return p, dir, err
}

func TestAWorkloadBecomesAService(t *testing.T) {
	p, _, err := project(t, `
services:
  web:
    image: web:1
    command: [serve]
    entrypoint: [/bin/web]
    environment: {B: "2", A: "1"}
    labels: {team: a}
    cpus: 0.5
    mem_limit: 64m
    pids_limit: 7
    cap_drop: [all, net_raw]
    extra_hosts: ["db:10.0.0.9"]
    stop_grace_period: 7s
    ports: ["8080:80", {target: 53, protocol: udp}]
    secrets: [{source: token, target: api, mode: 0400}]
    configs: [motd]
    tmpfs: ["/tmp:size=1m,mode=1777"]
    volumes: [data:/data, /etc/ssl:/etc/ssl:ro]
    healthcheck: {test: ["CMD", "true"], interval: 2s}
    networks: {front: {aliases: [www]}}
    deploy:
      replicas: 3
      labels: {owner: b}
      placement: {constraints: ["node.role == worker"], max_replicas_per_node: 2}
      resources: {reservations: {memory: 32m}}
      update_config: {parallelism: 2, order: start-first, delay: 9s, failure_action: rollback}
      endpoint_mode: dnsrr
networks: {front: {}}
volumes: {data: {}}
secrets: {token: {file: ./token}}
configs: {motd: {content: hello}}
`, "")
	require.NoError(t, err)
	s := Service(p, p.Workloads["web"], Objects{
		Networks: map[string]string{"shop_front": "n1"}, Node: "node1",
		Secrets: map[string]string{"token": "shop_token_1"}, Configs: map[string]string{"motd": "shop_motd_1"},
		IDs: map[string]string{"shop_token_1": "s1", "shop_motd_1": "c1"},
	})
	assert.Equal(t, "shop_web", s.Name)
	assert.Equal(t, "b", s.Labels["owner"])
	assert.Equal(t, p.Workloads["web"].Revision, s.Labels[spec.LabelRevision])
	assert.EqualValues(t, 3, *s.Mode.Replicated.Replicas)
	assert.Equal(t, &swarm.UpdateConfig{Parallelism: 2, Order: "start-first", Delay: 9 * time.Second, Monitor: 9 * time.Second, FailureAction: "pause"}, s.UpdateConfig)
	assert.Equal(t, swarm.ResolutionModeDNSRR, s.EndpointSpec.Mode)
	assert.Equal(t, []swarm.PortConfig{
		{Protocol: "tcp", TargetPort: 80, PublishedPort: 8080, PublishMode: "ingress"},
		{Protocol: "udp", TargetPort: 53, PublishMode: "ingress"},
	}, s.EndpointSpec.Ports)

	task := s.TaskTemplate
	assert.Equal(t, []string{"node.role == worker", "node.id==node1"}, task.Placement.Constraints)
	assert.Equal(t, "node1", PinnedTo(s))
	assert.EqualValues(t, 2, task.Placement.MaxReplicas)
	assert.Equal(t, &swarm.Limit{NanoCPUs: 5e8, MemoryBytes: 64 << 20, Pids: 7}, task.Resources.Limits)
	assert.Equal(t, &swarm.Resources{MemoryBytes: 32 << 20}, task.Resources.Reservations)
	assert.Equal(t, []swarm.NetworkAttachmentConfig{{Target: "n1", Aliases: []string{"web", "www"}}}, task.Networks)

	c := task.ContainerSpec
	assert.Equal(t, "web:1", c.Image)
	assert.Equal(t, []string{"/bin/web"}, c.Command)
	assert.Equal(t, []string{"serve"}, c.Args)
	assert.Equal(t, []string{"A=1", "B=2"}, c.Env)
	assert.Equal(t, []string{"ALL", "CAP_NET_RAW"}, c.CapabilityDrop)
	assert.Equal(t, []string{"10.0.0.9 db"}, c.Hosts)
	assert.Equal(t, 7*time.Second, *c.StopGracePeriod)
	assert.Equal(t, "a", c.Labels["team"])
	assert.Equal(t, &swarm.SecretReference{SecretID: "s1", SecretName: "shop_token_1", File: &swarm.SecretReferenceFileTarget{Name: "api", UID: "0", GID: "0", Mode: 0o400}}, c.Secrets[0])
	assert.Equal(t, &swarm.ConfigReference{ConfigID: "c1", ConfigName: "shop_motd_1", File: &swarm.ConfigReferenceFileTarget{Name: "/motd", UID: "0", GID: "0", Mode: 0o444}}, c.Configs[0])
	require.Len(t, c.Mounts, 3)
	assert.Equal(t, "shop_data", c.Mounts[0].Source)
	assert.True(t, c.Mounts[1].ReadOnly)
	assert.Equal(t, mount.Mount{Type: "tmpfs", Target: "/tmp", TmpfsOptions: &mount.TmpfsOptions{SizeBytes: 1 << 20, Mode: 0o1777}}, c.Mounts[2])
}

func TestAJobRunsToCompletion(t *testing.T) {
	p, _, err := project(t, `services: {seed: {image: "seed:1", restart: "no"}}`, "")
	require.NoError(t, err)
	s := Service(p, p.Workloads["seed"], Objects{})
	assert.EqualValues(t, 1, *s.Mode.ReplicatedJob.TotalCompletions)
	assert.Equal(t, swarm.RestartPolicyConditionNone, s.TaskTemplate.RestartPolicy.Condition)
	assert.Nil(t, s.UpdateConfig)
}

func TestAHookIsAJobOfItsRevision(t *testing.T) {
	p, _, err := project(t, `services: {web: {image: "web:1", healthcheck: {test: ["CMD", "true"]}}}`, `
apiVersion: tend/v1
kind: Deployment
metadata: {name: web}
spec: {preRollout: [{name: migrate, command: [migrate, up]}]}
`)
	require.NoError(t, err)
	w := p.Workloads["web"]
	s := Hook(p, w, w.PreRollout[0], Objects{})
	assert.Equal(t, "shop_web_migrate_"+w.Revision[:8], s.Name)
	assert.Equal(t, []string{"migrate", "up"}, s.TaskTemplate.ContainerSpec.Args)
	assert.Equal(t, "migrate", s.Labels[spec.LabelHook])
	assert.NotNil(t, s.Mode.ReplicatedJob)
	for _, n := range s.TaskTemplate.Networks {
		assert.Empty(t, n.Aliases, "a hook answers to the name of its service")
	}
}

// All that cannot be honoured is said at once, with its place.
func TestWhatASwarmCannotDoIsRefusedAllAtOnce(t *testing.T) {
	_, dir, err := project(t, `services:
  web:
    image: web:1
    privileged: true
    ports:
      - "127.0.0.1:8080:80"
    deploy:
      mode: global-job
  db:
    image: postgres:16
    volumes: [data:/var/lib/postgresql/data]
    x-tend: {keepImages: 2}
    networks:
      back: {ipv4_address: 10.9.0.2}
networks:
  back:
    driver: bridge
    ipam: {config: [{subnet: 10.9.0.0/24}]}
volumes: {data: {}}
`, `apiVersion: tend/v1
kind: Database
metadata: {name: db}
spec:
  engine: postgres
---
apiVersion: tend/v1
kind: Deployment
metadata: {name: web}
spec:
  drainSeconds: 2
  readinessProbe:
    httpGet: {port: 80}
  autoscaling:
    maxReplicas: 4
    metrics: [{type: Ingress, ingress: {name: requestsPerSecond, target: {type: AverageValue, averageValue: 9}}}]
`)
	require.Error(t, err)
	got := strings.ReplaceAll(err.Error(), dir+"/", "")
	for _, want := range []string{
		"compose.yaml:4:5: privileged is not supported on a Swarm; Swarm runs no privileged containers",
		"compose.yaml:6:9: ports.0.host_ip: 127.0.0.1 is not supported on a Swarm; Swarm publishes a port on all addresses of a node",
		"compose.yaml:8:7: deploy.mode: global-job is not supported on a Swarm; tend counts the completions that are written",
		"compose.yaml:12:14: keepImages is not supported on a Swarm",
		"compose.yaml:14:14: networks.back.ipv4_address: 10.9.0.2 is not supported on a Swarm",
		"compose.yaml:17:5: driver: bridge is not supported on a Swarm",
		"specs/all.yaml:11:3: drainSeconds is not supported on a Swarm",
		"specs/all.yaml:16:5: autoscaling by Resource or Ingress is not supported on a Swarm; tend reaches no container on another node: write metrics of Cron or Prometheus",
		"specs/all.yaml:12:3: readinessProbe is not supported on a Swarm",
	} {
		assert.Contains(t, got, want)
	}
	assert.Len(t, strings.Split(got, "\n"), 9)
}

// The Swarm publishes ports itself, and so any number of replicas can have one.
func TestNoIngressStandsBeforeAPort(t *testing.T) {
	p, _, err := project(t, `services: {web: {image: "web:1", ports: ["8080:80"], scale: 3}}`, "")
	require.NoError(t, err)
	assert.Len(t, p.Workloads, 1)
	assert.Positive(t, p.Workloads["web"].Strategy.MaxSurge)
}

func TestAnotherContentHasAnotherName(t *testing.T) {
	key := strings.Repeat("k", 80)
	a, b := ObjectName("secret", "shop", key, []byte("1")), ObjectName("secret", "shop", key, []byte("2"))
	assert.NotEqual(t, a, b)
	assert.NotEqual(t, a, ObjectName("config", "shop", key, []byte("1")), "a config has the name of a secret")
	assert.Len(t, a, 64)
}

func TestAnOverlayLeavesRoomForTheBridge(t *testing.T) {
	p, _, err := project(t, `
services: {web: {image: "web:1", networks: [default, own, other]}}
networks: {own: {name: mine}, other: {external: true}}
`, "")
	require.NoError(t, err)
	names := map[string]string{}
	for name, n := range p.Networks {
		names[name] = NetworkName(p, n)
	}
	assert.Equal(t, map[string]string{"shop_default": "shop-default", "mine": "mine", "other": "other"}, names)
	assert.Less(t, names["shop_default"], "shop_default", "names are looked up in the bridge first")
}
