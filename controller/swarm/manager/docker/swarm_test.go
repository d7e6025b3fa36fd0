//go:build all

package docker_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/docker/docker/api/types/swarm"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/enginetest"
	"github.com/tendhq/tend/controller/swarm/manager"
	"github.com/tendhq/tend/controller/swarm/manager/docker"
	"github.com/tendhq/tend/controller/swarm/manager/managertest"
	"github.com/tendhq/tend/e2e/kit"
	"github.com/tendhq/tend/e2e/kit/kittest"
)

// five is a Swarm of three managers and two workers.
type five struct {
	*testing.T
	machines *kit.Swarm
	*docker.Manager
}

// patience bounds each wait: the five machines of a test share one.
const patience = 3 * time.Minute

const project = "five"

// A Swarm of five machines is harmed in one way after the other. Its kernel needs no IPVS, as
// its services have no virtual address.
func TestASwarmOfFive(t *testing.T) {
	f := newFive(t)
	network, err := f.CreateNetwork(t.Context(), engine.NetworkSpec{Name: "net", Labels: labels()})
	require.NoError(t, err)
	replicas, delay := uint64(5), time.Second
	web := swarm.ServiceSpec{
		Annotations: swarm.Annotations{Name: "web", Labels: labels()},
		TaskTemplate: swarm.TaskSpec{
			ContainerSpec: &swarm.ContainerSpec{Image: imageOf(managertest.Runs)},
			RestartPolicy: &swarm.RestartPolicy{Condition: swarm.RestartPolicyConditionAny, Delay: &delay},
			Networks:      []swarm.NetworkAttachmentConfig{{Target: network}},
		},
		Mode:         swarm.ServiceMode{Replicated: &swarm.ReplicatedService{Replicas: &replicas}},
		EndpointSpec: &swarm.EndpointSpec{Mode: swarm.ResolutionModeDNSRR},
	}
	id, err := f.CreateService(t.Context(), web)
	require.NoError(t, err)
	backup, err := f.CreateService(t.Context(), job(managertest.Runs, 2, 0))
	require.NoError(t, err)
	failing, err := f.CreateService(t.Context(), job(managertest.Exits, 1, 1))
	require.NoError(t, err)

	t.Run("tasks are spread", func(t *testing.T) {
		f := f.in(t)
		require.Equal(t, map[string]int{"node1": 1, "node2": 1, "node3": 1, "node4": 1, "node5": 1}, f.awaitRunning(5))
		info, err := f.Info(t.Context())
		require.NoError(t, err)
		require.Equal(t, 3, info.Managers)
		require.Equal(t, 3, info.Reachable)
	})

	t.Run("a worker says that it is one", func(t *testing.T) {
		worker := connect(t, f.machines.Nodes[4].Engine)
		managertest.Refuses(t, worker, imageOf(managertest.Runs), manager.ErrWorker)
		_, err := worker.Info(t.Context())
		require.ErrorContains(t, err, "docker node promote")
	})

	t.Run("the tasks of a worker that is lost run elsewhere", func(t *testing.T) {
		f := f.in(t)
		lost := f.machines.Nodes[4]
		require.NoError(t, lost.Kill())
		f.awaitNode("node5", func(n manager.Node) bool { return n.State == swarm.NodeStateDown })
		require.NotContains(t, f.awaitRunning(5), "node5")
		require.Len(t, f.tasksOf(backup), 2, "those of a job do not")
		require.NoError(t, lost.Start(t.Context()))
		f.awaitNode("node5", func(n manager.Node) bool { return n.State == swarm.NodeStateReady })
		f.await("the job's task has ended with its node, and is made anew", func() bool { return len(f.tasksOf(backup)) == 3 })
	})

	t.Run("a leader that is lost is followed by another", func(t *testing.T) {
		f := f.in(t)
		require.Len(t, f.tasksOf(failing), 2, "it was given up")
		lost, err := f.machines.Leader(t.Context())
		require.NoError(t, err)
		require.NoError(t, lost.Kill())
		began := time.Now()
		f.await("another leads", func() bool {
			info, err := f.Info(t.Context())
			return err == nil && info.Reachable == 2
		})
		t.Logf("another leader after %s", time.Since(began))
		s := f.service()
		s.Spec.Labels["changed"] = "without its first leader"
		require.NoError(t, f.UpdateService(t.Context(), id, s.Version, s.Spec))
		require.NotContains(t, f.awaitRunning(5), lost.Hostname)
		require.Len(t, f.tasksOf(failing), 3, "the new leader tries once more what was given up")
		require.NoError(t, lost.Start(t.Context()))
		f.awaitNode(lost.Hostname, func(n manager.Node) bool { return n.Reachability == swarm.ReachabilityReachable })
	})

	t.Run("a leader that is cut off is followed by another", func(t *testing.T) {
		f := f.in(t)
		alone, err := f.machines.Leader(t.Context())
		require.NoError(t, err)
		others := slices.DeleteFunc(slices.Clone(f.machines.Nodes), func(n *kit.Node) bool { return n == alone })
		for _, n := range others {
			require.NoError(t, alone.Cut(n))
		}
		own := connect(t, alone.Engine)
		f.await("it has stepped down", func() bool {
			_, err := own.Info(t.Context())
			return engine.ClassOf(err) == engine.Unavailable
		})
		f.await("another leads", func() bool {
			info, err := f.Info(t.Context())
			return err == nil && info.Reachable == 2
		})
		for _, n := range others {
			require.NoError(t, alone.Heal(n))
		}
		f.awaitNode(alone.Hostname, func(n manager.Node) bool {
			return n.Reachability == swarm.ReachabilityReachable && n.State == swarm.NodeStateReady
		})
		f.awaitRunning(5)
	})

	t.Run("without a quorum everything is refused and nothing is changed, until it is back", func(t *testing.T) {
		f := f.in(t)
		before := f.service()
		left := f.machines.Nodes[2]
		for _, n := range f.machines.Nodes[:2] {
			require.NoError(t, n.Kill())
		}
		f.await("it is known that there is no quorum", func() bool {
			_, err := f.Services(t.Context(), project)
			return engine.ClassOf(err) == engine.Unavailable
		})
		managertest.Refuses(t, connect(t, left.Engine), imageOf(managertest.Runs), manager.ErrNoQuorum)
		managertest.Refuses(t, f.Manager, imageOf(managertest.Runs), manager.ErrNoQuorum)
		require.ErrorIs(t, f.UpdateService(t.Context(), id, before.Version, before.Spec), manager.ErrNoQuorum)
		require.ErrorIs(t, f.RemoveService(t.Context(), id), manager.ErrNoQuorum)
		require.ErrorIs(t, f.RemoveNetwork(t.Context(), network), manager.ErrNoQuorum)
		for _, n := range f.machines.Nodes[:2] {
			require.NoError(t, n.Start(t.Context()))
		}
		f.await("the Swarm is back", func() bool {
			info, err := f.Info(t.Context())
			return err == nil && info.Reachable == 3
		})
		require.Equal(t, before.Spec, f.service().Spec)
		f.awaitRunning(5)
	})
}

func newFive(t *testing.T) five {
	t.Helper()
	s := kittest.NewSwarm(t, 3, 2)
	root := enginetest.Root(t)
	var hosts []string
	for i, n := range s.Nodes {
		importImages(t, n.Engine, root)
		if i < 3 {
			hosts = append(hosts, n.DaemonHost())
		}
	}
	m, err := docker.New(hosts...)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, m.Close()) })
	return five{t, s, m}
}

func (f five) in(t *testing.T) five { return five{t, f.machines, f.Manager} }

// job is a service whose tasks run to completion, on the workers.
func job(image string, completions, attempts uint64) swarm.ServiceSpec {
	delay := time.Second
	return swarm.ServiceSpec{
		Annotations: swarm.Annotations{Name: "job-" + image, Labels: labels()},
		TaskTemplate: swarm.TaskSpec{
			ContainerSpec: &swarm.ContainerSpec{Image: imageOf(image)},
			RestartPolicy: &swarm.RestartPolicy{Condition: swarm.RestartPolicyConditionOnFailure, Delay: &delay, MaxAttempts: &attempts},
			Placement:     &swarm.Placement{Constraints: []string{"node.role==worker"}},
		},
		Mode: swarm.ServiceMode{ReplicatedJob: &swarm.ReplicatedJob{MaxConcurrent: &completions, TotalCompletions: &completions}},
	}
}

func labels() map[string]string { return map[string]string{engine.ProjectLabel: project} }

func (f five) await(what string, met func() bool) {
	f.Helper()
	ctx, cancel := context.WithTimeout(f.T.Context(), patience)
	defer cancel()
	for !met() {
		require.NoError(f, kit.Pause(ctx, 200*time.Millisecond), what)
	}
}

func (f five) awaitNode(hostname string, is func(manager.Node) bool) {
	f.Helper()
	f.await(hostname, func() bool {
		nodes, err := f.Nodes(f.T.Context())
		return err == nil && slices.ContainsFunc(nodes, func(n manager.Node) bool { return n.Hostname == hostname && is(n) })
	})
}

// awaitRunning waits until so many tasks run on nodes that are ready, and counts them by
// host name.
func (f five) awaitRunning(count int) (by map[string]int) {
	f.Helper()
	f.await("the tasks run", func() bool {
		nodes, err := f.Nodes(f.T.Context())
		if err != nil {
			return false
		}
		names := map[string]string{}
		for _, n := range nodes {
			if n.State == swarm.NodeStateReady {
				names[n.ID] = n.Hostname
			}
		}
		tasks, err := f.Tasks(f.T.Context(), project)
		if err != nil {
			return false
		}
		running := 0
		by = map[string]int{}
		for _, task := range tasks {
			if name := names[task.NodeID]; name != "" && task.State == swarm.TaskStateRunning && task.DesiredState == swarm.TaskStateRunning {
				running++
				by[name]++
			}
		}
		return running == count
	})
	return by
}

func (f five) tasksOf(service string) []manager.Task {
	f.Helper()
	tasks, err := f.Tasks(f.T.Context(), project)
	require.NoError(f, err)
	return slices.DeleteFunc(tasks, func(t manager.Task) bool { return t.ServiceID != service })
}

// service is the one by the name of web, the last of all.
func (f five) service() manager.Service {
	f.Helper()
	services, err := f.Services(f.T.Context(), project)
	require.NoError(f, err)
	return services[len(services)-1]
}
