package convert

import (
	"slices"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/swarm"

	"github.com/tendhq/tend/controller/postgres"
	"github.com/tendhq/tend/controller/spec"
)

// The names of the jobs that prepare the update of a Database, which has no hooks of its own.
const (
	PrepareJob = "prepare"
	CheckJob   = "check"
)

// BackupsVolume is the name of the volume in which the backups of a project's Databases are,
// on the node of each.
func BackupsVolume(project string) string { return project + "_backups" }

// Prepare is the job that describes the running server of a Database, backs it up where it
// serves, and has it write out what it holds in memory. It runs on the server's node with
// all that the server has but its data.
func Prepare(p *spec.Project, w *spec.Workload, running swarm.ServiceSpec, serving, backup bool) swarm.ServiceSpec {
	s := running
	// A name with tasks. leads to the task, also where the service has a virtual address.
	script := postgres.PrepareJob(w, "tasks."+ServiceName(p.Name, w.Name), serving, backup)
	s.TaskTemplate.ContainerSpec = inPreparation(p, w, *running.TaskTemplate.ContainerSpec, script)
	return once(p, w, PrepareJob, s)
}

// Check is the job that looks whether the image of w may take over the data of the server
// that Prepare has described. It runs on the server's node and reaches nothing.
func Check(p *spec.Project, w *spec.Workload, o Objects) swarm.ServiceSpec {
	s := Service(p, w, o)
	c := inPreparation(p, w, *s.TaskTemplate.ContainerSpec, postgres.CheckJob(w.Name))
	c.Secrets, c.Configs = nil, nil
	s.TaskTemplate.ContainerSpec = c
	return once(p, w, CheckJob, s)
}

// inPreparation is a container that runs a script as root, as the volume of backups is
// root's, and has that volume and none of the data.
func inPreparation(p *spec.Project, w *spec.Workload, c swarm.ContainerSpec, script string) *swarm.ContainerSpec {
	c.Command, c.Args, c.User, c.Dir, c.ReadOnly = []string{"sh", "-c", script}, nil, "0:0", "/", false
	c.Mounts = slices.DeleteFunc(slices.Clone(c.Mounts), func(m mount.Mount) bool { return m.Type == mount.TypeVolume })
	c.Mounts = append(c.Mounts, mount.Mount{
		Type: mount.TypeVolume, Source: BackupsVolume(p.Name), Target: postgres.JobFolder,
		VolumeOptions: &mount.VolumeOptions{Labels: map[string]string{spec.LabelProject: p.Name}},
	})
	return &c
}

// once makes a service one that runs once before a rollout of w, and that nobody reaches.
func once(p *spec.Project, w *spec.Workload, name string, s swarm.ServiceSpec) swarm.ServiceSpec {
	one := *w
	one.Kind, one.Replicas, one.BackoffLimit, one.Restart = spec.Job, 1, 0, spec.Restart{Condition: spec.RestartNone}
	s.Name = HookName(p.Name, w, name)
	s.Labels = serviceLabels(p, &one)
	s.Labels[spec.LabelHook], s.Labels[LabelHookRevision] = name, w.Revision
	s.Mode, s.UpdateConfig, s.RollbackConfig, s.EndpointSpec = mode(&one), nil, nil, nil
	task := s.TaskTemplate
	task.RestartPolicy, task.ForceUpdate = restartPolicy(&one), 0
	task.Networks = slices.Clone(task.Networks)
	for i := range task.Networks {
		task.Networks[i].Aliases = nil
	}
	c := *task.ContainerSpec
	c.Healthcheck = &container.HealthConfig{Test: []string{"NONE"}} // nothing serves there
	task.ContainerSpec = &c
	s.TaskTemplate = task
	return s
}
