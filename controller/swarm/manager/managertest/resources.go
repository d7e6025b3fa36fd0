package managertest

import (
	"net"
	"time"

	"github.com/docker/docker/api/types/swarm"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/swarm/manager"
)

var resourceCases = []testCase{
	{"a secret is listed by its project and by its name", func(f *fixture) {
		id := f.secret("key")
		for _, project := range []string{f.Project, f.named("other")} {
			secrets, err := f.Manager.Secrets(f.Context(), project, f.named("key"))
			require.NoError(f, err)
			require.Len(f, secrets, 1)
			require.Equal(f, id, secrets[0].ID)
			require.Equal(f, f.named("key"), secrets[0].Name)
			require.Equal(f, f.labels(), secrets[0].Labels)
			require.False(f, secrets[0].CreatedAt.IsZero())
		}
		secrets, err := f.Manager.Secrets(f.Context(), f.named("other"), f.named("ke"))
		require.NoError(f, err)
		require.Empty(f, secrets, "a name is no beginning of a name")
	}},
	{"a secret's name that is taken is a Conflict", func(f *fixture) {
		f.secret("key")
		_, err := f.Manager.CreateSecret(f.Context(), swarm.SecretSpec{Annotations: swarm.Annotations{Name: f.named("key")}, Data: []byte("b")})
		f.fails(engine.Conflict, err)
	}},
	{"a secret that is empty or too large is Invalid", func(f *fixture) {
		for _, size := range []int{0, 500<<10 + 1} {
			_, err := f.Manager.CreateSecret(f.Context(), swarm.SecretSpec{Annotations: swarm.Annotations{Name: f.named("key")}, Data: make([]byte, size)})
			f.fails(engine.Invalid, err)
		}
	}},
	{"a secret in use is a Conflict, and one that is gone no error", func(f *fixture) {
		id := f.secret("key")
		s := f.spec("web", Runs, 1)
		s.TaskTemplate.ContainerSpec.Secrets = []*swarm.SecretReference{{
			SecretID: id, SecretName: f.named("key"), File: &swarm.SecretReferenceFileTarget{Name: "key", UID: "0", GID: "0", Mode: 0o400},
		}}
		service := f.create(s)
		f.awaitRunning(service, 1)
		err := f.Manager.RemoveSecret(f.Context(), id)
		f.fails(engine.Conflict, err)
		require.ErrorContains(f, err, f.named("web"))
		require.NoError(f, f.Manager.RemoveService(f.Context(), service))
		require.NoError(f, f.Manager.RemoveSecret(f.Context(), id))
		require.NoError(f, f.Manager.RemoveSecret(f.Context(), id))
	}},
	{"a secret that is missing is Invalid", func(f *fixture) {
		s := f.spec("web", Runs, 1)
		s.TaskTemplate.ContainerSpec.Secrets = []*swarm.SecretReference{{
			SecretID: "absent", SecretName: "absent", File: &swarm.SecretReferenceFileTarget{Name: "key", UID: "0", GID: "0", Mode: 0o400},
		}}
		_, err := f.Manager.CreateService(f.Context(), s)
		f.fails(engine.Invalid, err)
	}},
	{"a config is listed by its project and by its name", func(f *fixture) {
		id := f.config("site")
		for _, project := range []string{f.Project, f.named("other")} {
			configs, err := f.Manager.Configs(f.Context(), project, f.named("site"))
			require.NoError(f, err)
			require.Len(f, configs, 1)
			require.Equal(f, id, configs[0].ID)
			require.Equal(f, f.named("site"), configs[0].Name)
			require.Equal(f, f.labels(), configs[0].Labels)
		}
	}},
	{"a config in use is a Conflict, and one that is gone no error", func(f *fixture) {
		id := f.config("site")
		_, err := f.Manager.CreateConfig(f.Context(), swarm.ConfigSpec{Annotations: swarm.Annotations{Name: f.named("site")}, Data: []byte("b")})
		f.fails(engine.Conflict, err)
		s := f.spec("web", Runs, 1)
		s.TaskTemplate.ContainerSpec.Configs = []*swarm.ConfigReference{{
			ConfigID: id, ConfigName: f.named("site"), File: &swarm.ConfigReferenceFileTarget{Name: "/site", UID: "0", GID: "0", Mode: 0o444},
		}}
		service := f.create(s)
		f.awaitRunning(service, 1)
		f.fails(engine.Conflict, f.Manager.RemoveConfig(f.Context(), id))
		require.NoError(f, f.Manager.RemoveService(f.Context(), service))
		require.NoError(f, f.Manager.RemoveConfig(f.Context(), id))
		require.NoError(f, f.Manager.RemoveConfig(f.Context(), id))
	}},
	{"a network is listed by its project and by its name", func(f *fixture) {
		id := f.network("net")
		for _, project := range []string{f.Project, f.named("other")} {
			wanted := []manager.Network{{ID: id, Name: f.named("net"), Driver: "overlay", Labels: f.labels()}}
			require.EventuallyWithT(f, func(c *assert.CollectT) {
				networks, err := f.Manager.Networks(f.Context(), project, f.named("net"))
				assert.NoError(c, err)
				assert.Equal(c, wanted, networks)
			}, patience, 20*time.Millisecond)
		}
	}},
	{"a network's name that is taken is a Conflict", func(f *fixture) {
		f.network("net")
		_, err := f.Manager.CreateNetwork(f.Context(), engine.NetworkSpec{Name: f.named("net")})
		f.fails(engine.Conflict, err)
	}},
	{"a network in use is a Conflict until the tasks have stopped, and one that is gone no error", func(f *fixture) {
		id := f.network("net")
		s := f.spec("web", Runs, 1)
		s.TaskTemplate.Networks = []swarm.NetworkAttachmentConfig{{Target: f.named("net"), Aliases: []string{"web"}}}
		service := f.create(s)
		task := f.awaitRunning(service, 1)[0]
		require.NotNil(f, net.ParseIP(task.Networks[f.named("net")]), "%v", task.Networks)
		f.fails(engine.Conflict, f.Manager.RemoveNetwork(f.Context(), id))
		require.NoError(f, f.Manager.RemoveService(f.Context(), service))
		f.awaitTasks(service, "gone", func(tasks []manager.Task) bool { return len(tasks) == 0 })
		require.NoError(f, f.Manager.RemoveNetwork(f.Context(), id))
		require.NoError(f, f.Manager.RemoveNetwork(f.Context(), id))
	}},
	{"a service's network that is missing is NotFound", func(f *fixture) {
		s := f.spec("web", Runs, 1)
		s.TaskTemplate.Networks = []swarm.NetworkAttachmentConfig{{Target: f.named("absent")}}
		_, err := f.Manager.CreateService(f.Context(), s)
		f.fails(engine.NotFound, err)
		require.Empty(f, f.services())
	}},
}

func (f *fixture) secret(name string) (id string) {
	f.Helper()
	id, err := f.Manager.CreateSecret(f.Context(), swarm.SecretSpec{Annotations: swarm.Annotations{Name: f.named(name), Labels: f.labels()}, Data: []byte("a")})
	require.NoError(f, err)
	return id
}

func (f *fixture) config(name string) (id string) {
	f.Helper()
	id, err := f.Manager.CreateConfig(f.Context(), swarm.ConfigSpec{Annotations: swarm.Annotations{Name: f.named(name), Labels: f.labels()}, Data: []byte("a")})
	require.NoError(f, err)
	return id
}

func (f *fixture) network(name string) (id string) {
	f.Helper()
	id, err := f.Manager.CreateNetwork(f.Context(), engine.NetworkSpec{Name: f.named(name), Labels: f.labels()})
	require.NoError(f, err)
	return id
}
