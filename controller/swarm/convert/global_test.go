package convert

import (
	"strings"
	"testing"

	"github.com/docker/docker/api/types/swarm"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAGlobalDeploymentIsAGlobalService(t *testing.T) {
	p, _, err := project(t, `services:
  agent:
    image: agent:1
    volumes: ["data:/data"]
    deploy: {mode: global, update_config: {parallelism: 5, order: start-first}}
  shipper:
    image: shipper:1
    volumes: ["data:/data", "logs:/logs"]
    deploy: {mode: global, update_config: {parallelism: 0}}
  probe: {image: "probe:1", deploy: {mode: global}}
volumes: {data: {}, logs: {}}
`, `apiVersion: tend/v1
kind: Deployment
metadata: {name: probe}
spec: {preRollout: [{name: migrate, command: [migrate]}]}
`)
	require.NoError(t, err)
	s := Service(p, p.Workloads["agent"], Objects{})
	assert.NotNil(t, s.Mode.Global)
	assert.Nil(t, s.Mode.Replicated)
	assert.EqualValues(t, 5, s.UpdateConfig.Parallelism, "it is bounded by the one replica of one machine")
	assert.Equal(t, swarm.UpdateOrderStartFirst, s.UpdateConfig.Order)
	s = Service(p, p.Workloads["shipper"], Objects{})
	assert.Equal(t, swarm.UpdateOrderStopFirst, s.UpdateConfig.Order)
	assert.GreaterOrEqual(t, s.UpdateConfig.Parallelism, uint64(1000), "all at once")
	probe := p.Workloads["probe"]
	s = Service(p, probe, Objects{})
	assert.EqualValues(t, 1, s.UpdateConfig.Parallelism)
	assert.Equal(t, swarm.UpdateOrderStartFirst, s.UpdateConfig.Order)
	hook := Hook(p, probe, probe.PreRollout[0], Objects{})
	assert.NotNil(t, hook.Mode.ReplicatedJob, "a hook runs once")
	assert.Nil(t, hook.Mode.Global)
}

func TestWhatGlobalDoesNotGoWithIsRefusedAllAtOnce(t *testing.T) {
	_, dir, err := project(t, `services:
  a: {image: "a:1", scale: 1, deploy: {mode: global}}
  b: {image: "b:1", deploy: {mode: global, replicas: 1, placement: {max_replicas_per_node: 1}}}
  c: {image: "c:1", deploy: {mode: global}}
  d: {image: "d:1", deploy: {mode: global}}
  e: {image: "e:1", volumes: ["data:/data"], deploy: {mode: global}}
  f: {image: "f:1", volumes: ["data:/data"]}
  g: {image: "g:1", restart: "no", deploy: {mode: global}}
  db: {image: "postgres:16", volumes: ["pg:/var/lib/postgresql/data"], deploy: {mode: global}}
volumes: {data: {}, pg: {}}
`, `apiVersion: tend/v1
kind: Deployment
metadata: {name: c}
spec: {replicas: 1, strategy: {rollingUpdate: {maxUnavailable: 50%}}}
---
apiVersion: tend/v1
kind: Deployment
metadata: {name: d}
spec: {strategy: {type: Recreate}}
---
apiVersion: tend/v1
kind: Database
metadata: {name: db}
spec: {engine: postgres}
`)
	require.Error(t, err)
	got := strings.ReplaceAll(err.Error(), dir+"/", "")
	for _, want := range []string{
		"compose.yaml:2:21: scale with mode: global is not supported on a Swarm; there is one replica on each node that may have it",
		"compose.yaml:3:44: deploy.replicas with mode: global is not supported on a Swarm",
		"compose.yaml:3:69: deploy.placement.max_replicas_per_node with mode: global is not supported on a Swarm",
		"compose.yaml:6:21: the volume shop_data, which f mounts, too, with mode: global is not supported on a Swarm; f runs on the one node that has it",
		"compose.yaml:8:45: a Job with mode: global is not supported on a Swarm; tend counts the completions that are written, and not the nodes: write replicated-job",
		"compose.yaml:9:81: a Database with mode: global is not supported on a Swarm; its data are on one node",
		"specs/all.yaml:4:8: replicas with mode: global is not supported on a Swarm",
		"specs/all.yaml:4:48: a percentage with mode: global is not supported on a Swarm; the number of nodes changes",
		"specs/all.yaml:9:19: Recreate with mode: global is not supported on a Swarm",
	} {
		assert.Contains(t, got, want)
	}
	assert.Len(t, strings.Split(got, "\n"), 9, got)
}
