package convert

import (
	"slices"

	"github.com/compose-spec/compose-go/v2/types"
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
// node is where the server runs; empty where it does not.
func Prepare(p *spec.Project, w *spec.Workload, running swarm.ServiceSpec, node string, serving, backup bool) swarm.ServiceSpec {
	s := running
	script := postgres.PrepareJob(w, taskHost(p, w), serving, backup)
	s.TaskTemplate.ContainerSpec = inPreparation(p, w, *running.TaskTemplate.ContainerSpec, script)
	return pinTo(node, once(p, w, PrepareJob, s))
}

// Check is the job that looks whether the image of w may take over the data of the server
// that Prepare has described. It runs on the server's node and reaches nothing.
// node is where Prepare has run.
func Check(p *spec.Project, w *spec.Workload, o Objects, node string) swarm.ServiceSpec {
	s := Service(p, w, o)
	c := inPreparation(p, w, *s.TaskTemplate.ContainerSpec, postgres.CheckJob(w.Name))
	c.Secrets, c.Configs = nil, nil
	s.TaskTemplate.ContainerSpec = c
	return pinTo(node, once(p, w, CheckJob, s))
}

// Backup is the job by which a person backs up a Database, as it runs, into the volume of
// backups. It belongs to no project that tend keeps.
func Backup(p *spec.Project, w *spec.Workload, running swarm.ServiceSpec, node string) swarm.ServiceSpec {
	return byHand(p, w, "backup", running, node, postgres.PrepareJob(w, taskHost(p, w), true, true))
}

// Restore is the job by which a person brings a Database back to a file of that volume.
func Restore(p *spec.Project, w *spec.Workload, running swarm.ServiceSpec, node, file string) swarm.ServiceSpec {
	return byHand(p, w, "restore", running, node, postgres.RestoreJob(w, taskHost(p, w), file))
}

// Move is the job that prepares a Database, as it runs, for its move to the engine of its node:
// it has the server write out what it holds in memory, and with backup backs it up before.
func Move(p *spec.Project, w *spec.Workload, running swarm.ServiceSpec, node string, backup bool) swarm.ServiceSpec {
	return byHand(p, w, "move", running, node, postgres.PrepareJob(w, taskHost(p, w), true, backup))
}

// byHand is a job that a person runs on the node of a Database, in its image. The job's project
// label is its own name, so that no controller takes it for a service of its project.
func byHand(p *spec.Project, w *spec.Workload, what string, running swarm.ServiceSpec, node, script string) swarm.ServiceSpec {
	s := running
	s.TaskTemplate.ContainerSpec = inPreparation(p, w, *running.TaskTemplate.ContainerSpec, script)
	s = once(p, w, what, s)
	s.Name = ServiceName(p.Name, w.Name) + "_" + what
	s.Labels = map[string]string{spec.LabelProject: s.Name}
	s.TaskTemplate.ContainerSpec.Labels = s.Labels
	return pinTo(node, s)
}

// pinTo has a job run on a node, where the volume of backups is. Not every Database is kept on
// one: a bind is on each node.
func pinTo(node string, job swarm.ServiceSpec) swarm.ServiceSpec {
	if node == "" || PinnedTo(job) != "" {
		return job
	}
	placement := swarm.Placement{}
	if job.TaskTemplate.Placement != nil {
		placement = *job.TaskTemplate.Placement
	}
	placement.Constraints = append(slices.Clone(placement.Constraints), pinned+node)
	job.TaskTemplate.Placement = &placement
	return job
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
	data := spec.DataMounts(w.Template)
	c.Mounts = slices.DeleteFunc(slices.Clone(c.Mounts), func(m mount.Mount) bool {
		return m.Type == mount.TypeVolume || slices.ContainsFunc(data, func(d types.ServiceVolumeConfig) bool { return d.Target == m.Target })
	})
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
