package swarm_test

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	swarmapi "github.com/docker/docker/api/types/swarm"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/core"
	"github.com/tendhq/tend/controller/spec"
	"github.com/tendhq/tend/controller/swarm"
	"github.com/tendhq/tend/controller/swarm/manager/model"
)

func byHand(image string) swarmapi.ServiceSpec {
	one := uint64(1)
	return swarmapi.ServiceSpec{
		Annotations: swarmapi.Annotations{Name: "by-hand", Labels: map[string]string{spec.LabelProject: "by-hand"}},
		TaskTemplate: swarmapi.TaskSpec{
			ContainerSpec: &swarmapi.ContainerSpec{Image: image, Labels: map[string]string{spec.LabelProject: "by-hand"}},
			RestartPolicy: &swarmapi.RestartPolicy{Condition: swarmapi.RestartPolicyConditionNone},
		},
		Mode: swarmapi.ServiceMode{ReplicatedJob: &swarmapi.ReplicatedJob{MaxConcurrent: &one, TotalCompletions: &one}},
	}
}

func TestAJobByHandIsRunAndRemoved(t *testing.T) {
	inTime(t, func(w *world) {
		w.AddImage("dump:1", model.Behavior{Exits: true, After: time.Minute, Output: []string{"20260102.dump"}})
		there := func() int {
			all, err := w.Services(w.Context(), "by-hand")
			require.NoError(w, err)
			return len(all)
		}
		var out strings.Builder
		require.NoError(w, swarm.RunJob(w.Context(), w.Swarm, byHand("dump:1"), &out, &out))
		assert.Contains(w, out.String(), "20260102.dump")
		assert.Zero(w, there())

		assert.ErrorContains(w, swarm.RunJob(w.Context(), w.Swarm, byHand("bad:1"), &out, &out), "non-zero exit (3)")
		assert.Zero(w, there())

		_, err := w.CreateService(w.Context(), byHand("dump:1"))
		require.NoError(w, err)
		assert.ErrorContains(w, swarm.RunJob(w.Context(), w.Swarm, byHand("dump:1"), &out, &out), "the Swarm has a service by-hand already")
		assert.Equal(w, 1, there(), "it is somebody else's")
	})
}

func TestAJobByHandThatNobodyWaitsForIsEnded(t *testing.T) {
	inTime(t, func(w *world) {
		ctx, cancel := context.WithTimeout(w.Context(), 10*time.Second)
		defer cancel()
		assert.ErrorIs(w, swarm.RunJob(ctx, w.Swarm, byHand("web:1"), io.Discard, io.Discard), context.DeadlineExceeded)
		time.Sleep(time.Minute)
		tasks, err := w.Tasks(w.Context(), "by-hand")
		require.NoError(w, err)
		for _, task := range tasks {
			assert.NotEqual(w, swarmapi.TaskStateRunning, task.State)
		}
		all, err := w.Services(w.Context(), "by-hand")
		require.NoError(w, err)
		assert.Empty(w, all)
	})
}

// What is kept elsewhere is taken away here though others depend on it, and they do not wait
// for it. What has run elsewhere is not run again.
func TestWhatIsKeptElsewhere(t *testing.T) {
	const all = `
services:
  web: {image: "web:1", depends_on: {db: {condition: service_healthy}, seed: {condition: service_completed_successfully}}}
  db: {image: "db:1"}
  seed: {image: "job:1", restart: "no"}
`
	inTime(t, func(w *world) {
		w.start(all)
		p := w.load(all)
		part := *p
		part.Workloads, part.Elsewhere = map[string]*spec.Workload{"web": p.Workloads["web"]}, []string{"db", "seed"}
		w.converges()
		w.ctl.SetProject(&part)
		w.converges()
		names := func() (names []string) {
			services, err := w.Services(w.Context(), "shop")
			require.NoError(w, err)
			for _, s := range services {
				names = append(names, s.Spec.Name)
			}
			return names
		}
		assert.Equal(w, []string{"shop_web"}, names())

		seed := p.Workloads["seed"]
		require.NoError(w, w.ctl.Note(w.Context(), core.Rollout{Workload: "seed", Revision: seed.Revision, Complete: true, Succeeded: map[int]bool{1: true}}))
		w.ctl.SetProject(p)
		w.converges()
		assert.Equal(w, []string{"shop_db", "shop_web"}, names(), "the Job has run again")
	})
}
