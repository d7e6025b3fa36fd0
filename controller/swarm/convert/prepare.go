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
	script := postgres.PrepareJob(w, taskHost(p, w), serving, backup)
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

// Backup is the job by which a person backs up a Database, as it runs, into the volume of
// backups. It belongs to no project that tend keeps.
func Backup(p *spec.Project, w *spec.Workload, running swarm.ServiceSpec) swarm.ServiceSpec {
	return byHand(p, w, "backup", running, postgres.PrepareJob(w, taskHost(p, w), true, true))
}

// Restore is the job by which a person brings a Database back to a file of that volume.
func Restore(p *spec.Project, w *spec.Workload, running swarm.ServiceSpec, file string) swarm.ServiceSpec {
	return byHand(p, w, "restore", running, postgres.RestoreJob(w, taskHost(p, w), file))
}

// byHand is a job of a person's, in what a Database runs in. Its project is its own name, so
// that nobody who keeps the Database's takes it for one of theirs.
func byHand(p *spec.Project, w *spec.Workload, what string, running swarm.ServiceSpec, script string) swarm.ServiceSpec {
	s := running
	s.TaskTemplate.ContainerSpec = inPreparation(p, w, *running.TaskTemplate.ContainerSpec, script)
	s = once(p, w, what, s)
	s.Name = ServiceName(p.Name, w.Name) + "_" + what
	s.Labels = map[string]string{spec.LabelProject: s.Name}
	s.TaskTemplate.ContainerSpec.Labels = s.Labels
	return s
}

// taskHost is a name that leads to the task of a Database, also where its service has a
// virtual address.
func taskHost(p *spec.Project, w *spec.Workload) string {
	return "tasks." + ServiceName(p.Name, w.Name)
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
