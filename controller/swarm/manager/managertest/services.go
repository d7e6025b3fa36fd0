package managertest

import (
	"github.com/docker/docker/api/types/swarm"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/swarm/manager"
)

var serviceCases = []testCase{
	{"a service is listed with what it was made from", func(f *fixture) {
		id := f.create(f.spec("web", Runs, 2))
		s := f.service(id)
		require.Equal(f, f.named("web"), s.Spec.Name)
		require.Equal(f, f.labels(), s.Spec.Labels)
		require.Equal(f, f.Image(Runs), s.Spec.TaskTemplate.ContainerSpec.Image)
		require.EqualValues(f, 2, *s.Spec.Mode.Replicated.Replicas)
		require.Equal(f, swarm.UpdateOrderStopFirst, s.Spec.UpdateConfig.Order)
		require.NotZero(f, s.Version)
		require.False(f, s.CreatedAt.IsZero())
		require.Empty(f, s.Update.State)
		f.awaitRunning(id, 2)
		s = f.service(id)
		require.EqualValues(f, 2, s.Running)
		require.EqualValues(f, 2, s.Desired)
	}},
	{"services are sorted by name", func(f *fixture) {
		f.create(f.spec("b", Runs, 0))
		f.create(f.spec("a", Runs, 0))
		services := f.services()
		require.Len(f, services, 2)
		require.Equal(f, f.named("a"), services[0].Spec.Name)
	}},
	{"a name that is taken is a Conflict", func(f *fixture) {
		f.create(f.spec("web", Runs, 0))
		_, err := f.Manager.CreateService(f.Context(), f.spec("web", Runs, 1))
		f.fails(engine.Conflict, err)
		require.Len(f, f.services(), 1)
	}},
	{"the digest of an image that no registry tells is NotFound", func(f *fixture) {
		_, err := f.Manager.Digest(f.Context(), "127.0.0.1:1/nothing:1") // nobody listens there
		f.fails(engine.NotFound, err)
	}},
	{"an update with an old version is a Conflict and changes nothing", func(f *fixture) {
		id := f.create(f.spec("web", Runs, 0))
		old := f.service(id)
		f.update(id, func(s *swarm.ServiceSpec) { s.Labels["a"] = "b" })
		f.fails(engine.Conflict, f.Manager.UpdateService(f.Context(), id, old.Version, old.Spec))
		now := f.service(id)
		require.Equal(f, "b", now.Spec.Labels["a"])
		require.Greater(f, now.Version, old.Version)
	}},
	{"an update of a service that is gone is NotFound", func(f *fixture) {
		id := f.create(f.spec("web", Runs, 0))
		s := f.service(id)
		require.NoError(f, f.Manager.RemoveService(f.Context(), id))
		f.fails(engine.NotFound, f.Manager.UpdateService(f.Context(), id, s.Version, s.Spec))
	}},
	{"another name and another mode are Invalid", func(f *fixture) {
		id := f.create(f.spec("web", Runs, 0))
		s := f.service(id)
		renamed := s.Spec
		renamed.Name = f.named("other")
		f.fails(engine.Invalid, f.Manager.UpdateService(f.Context(), id, s.Version, renamed))
		job := s.Spec
		job.Mode, job.UpdateConfig = swarm.ServiceMode{ReplicatedJob: &swarm.ReplicatedJob{}}, nil
		f.fails(engine.Invalid, f.Manager.UpdateService(f.Context(), id, s.Version, job))
	}},
	{"a service without an image, or with a name that is none, is Invalid", func(f *fixture) {
		s := f.spec("web", Runs, 1)
		s.TaskTemplate.ContainerSpec.Image = ""
		_, err := f.Manager.CreateService(f.Context(), s)
		f.fails(engine.Invalid, err)
		_, err = f.Manager.CreateService(f.Context(), f.spec("a.b", Runs, 1))
		f.fails(engine.Invalid, err)
	}},
	{"a service that is removed is gone at once, and its tasks in a while", func(f *fixture) {
		id := f.create(f.spec("web", Runs, 2))
		f.awaitRunning(id, 2)
		require.NoError(f, f.Manager.RemoveService(f.Context(), id))
		require.Empty(f, f.services())
		f.awaitTasks(id, "gone", func(tasks []manager.Task) bool { return len(tasks) == 0 })
		require.NoError(f, f.Manager.RemoveService(f.Context(), id))
	}},
	{"a stack's services of the name are listed, and their tasks are not", func(f *fixture) {
		s := f.spec("web", Runs, 1)
		s.Labels = map[string]string{manager.StackLabel: f.Project}
		id := f.create(s)
		require.Equal(f, s.Labels, f.service(id).Spec.Labels)
		require.Empty(f, f.tasks(id))
	}},
	{"another project's services are not listed", func(f *fixture) {
		id := f.create(f.spec("web", Runs, 0))
		services, err := f.Manager.Services(f.Context(), f.named("other"))
		require.NoError(f, err)
		require.Empty(f, services)
		require.Len(f, f.services(), 1)
		require.NoError(f, f.Manager.RemoveService(f.Context(), id))
	}},
}
