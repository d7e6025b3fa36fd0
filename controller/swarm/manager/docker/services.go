package docker

import (
	"cmp"
	"context"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/swarm"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/docker"
	"github.com/tendhq/tend/controller/swarm/manager"
)

// Nodes lists the Swarm's nodes.
func (m *Manager) Nodes(ctx context.Context) ([]manager.Node, error) {
	var nodes []manager.Node
	err := m.do(ctx, "list nodes", "", func(ctx context.Context, api *client.Client) error {
		all, err := api.NodeList(ctx, swarm.NodeListOptions{})
		nodes = nil
		for _, n := range all {
			nodes = append(nodes, observedNode(n))
		}
		return err
	})
	slices.SortFunc(nodes, func(a, b manager.Node) int {
		return cmp.Or(cmp.Compare(a.Hostname, b.Hostname), cmp.Compare(a.ID, b.ID))
	})
	return nodes, err
}

func observedNode(n swarm.Node) manager.Node {
	of := manager.Node{
		ID:            n.ID,
		Hostname:      n.Description.Hostname,
		Addr:          n.Status.Addr,
		Role:          n.Spec.Role,
		State:         n.Status.State,
		StateMessage:  n.Status.Message,
		Availability:  n.Spec.Availability,
		Labels:        n.Spec.Labels,
		EngineLabels:  n.Description.Engine.Labels,
		OS:            n.Description.Platform.OS,
		Architecture:  n.Description.Platform.Architecture,
		EngineVersion: n.Description.Engine.EngineVersion,
		NanoCPUs:      n.Description.Resources.NanoCPUs,
		Memory:        n.Description.Resources.MemoryBytes,
	}
	if s := n.ManagerStatus; s != nil {
		of.Leader, of.Reachability = s.Leader, s.Reachability
	}
	return of
}

// Services lists a project's services in two requests: the labels of one are all to match.
func (m *Manager) Services(ctx context.Context, project string) ([]manager.Service, error) {
	var services []manager.Service
	err := m.do(ctx, "list services of project", project, func(ctx context.Context, api *client.Client) error {
		found := map[string]bool{}
		services = nil
		for _, label := range []string{engine.ProjectLabel, manager.StackLabel} {
			all, err := api.ServiceList(ctx, swarm.ServiceListOptions{Filters: filters.NewArgs(filters.Arg("label", label+"="+project)), Status: true})
			if err != nil {
				return err
			}
			for _, s := range all {
				if !found[s.ID] {
					found[s.ID] = true
					services = append(services, observedService(s))
				}
			}
		}
		return nil
	})
	slices.SortFunc(services, func(a, b manager.Service) int { return cmp.Compare(a.Spec.Name, b.Spec.Name) })
	return services, err
}

func observedService(s swarm.Service) manager.Service {
	of := manager.Service{
		ID:        s.ID,
		Version:   s.Version.Index,
		Spec:      s.Spec,
		CreatedAt: s.CreatedAt,
		UpdatedAt: s.UpdatedAt,
	}
	if u := s.UpdateStatus; u != nil {
		of.Update = manager.Update{State: u.State, StartedAt: instant(u.StartedAt), CompletedAt: instant(u.CompletedAt), Message: u.Message}
	}
	if n := s.ServiceStatus; n != nil {
		of.Running, of.Desired, of.Completed = n.RunningTasks, n.DesiredTasks, n.CompletedTasks
	}
	if j := s.JobStatus; j != nil {
		of.JobIteration = j.JobIteration.Index
	}
	return of
}

// instant is a time that may not be there; zero where it is not.
func instant(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// Tasks lists the tasks of a project's services.
func (m *Manager) Tasks(ctx context.Context, project string) ([]manager.Task, error) {
	var tasks []manager.Task
	err := m.do(ctx, "list tasks of project", project, func(ctx context.Context, api *client.Client) error {
		all, err := api.TaskList(ctx, swarm.TaskListOptions{Filters: filters.NewArgs(filters.Arg("label", engine.ProjectLabel+"="+project))})
		tasks = nil
		for _, t := range all {
			tasks = append(tasks, observedTask(t))
		}
		return err
	})
	slices.SortFunc(tasks, func(a, b manager.Task) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.Slot, b.Slot), cmp.Compare(a.ID, b.ID))
	})
	return tasks, err
}

func observedTask(t swarm.Task) manager.Task {
	of := manager.Task{
		ID:           t.ID,
		ServiceID:    t.ServiceID,
		NodeID:       t.NodeID,
		Slot:         t.Slot,
		Spec:         t.Spec,
		State:        t.Status.State,
		Since:        t.Status.Timestamp,
		Message:      t.Status.Message,
		Err:          t.Status.Err,
		DesiredState: t.DesiredState,
		CreatedAt:    t.CreatedAt,
		Networks:     map[string]string{},
	}
	if t.JobIteration != nil {
		of.JobIteration = t.JobIteration.Index
	}
	if c := t.Status.ContainerStatus; c != nil {
		of.ContainerID, of.ExitCode = c.ContainerID, c.ExitCode
	}
	for _, n := range t.NetworksAttachments {
		for _, address := range n.Addresses {
			of.Networks[n.Network.Spec.Name], _, _ = strings.Cut(address, "/")
		}
	}
	return of
}

// Digest asks a registry by way of this engine, as docker stack deploy does. Where the engine
// has its answer, or none after all, that is NotFound.
func (m *Manager) Digest(ctx context.Context, image string) (digest string, err error) {
	err = m.do(ctx, "ask registry for image", image, func(ctx context.Context, api *client.Client) error {
		auth, err := docker.RegistryAuth(image)
		if err != nil {
			return err
		}
		is, err := api.DistributionInspect(ctx, image, auth)
		digest = is.Descriptor.Digest.String()
		if err != nil && ctx.Err() == nil && !client.IsErrConnectionFailed(err) {
			return errdefs.ErrNotFound.WithMessage(err.Error())
		}
		return err
	})
	return digest, err
}

// CreateService makes a service. Its nodes pull its image with the login that this user has.
func (m *Manager) CreateService(ctx context.Context, s swarm.ServiceSpec) (id string, err error) {
	err = m.do(ctx, "create service", s.Name, func(ctx context.Context, api *client.Client) error {
		auth, err := registryAuth(s)
		if err != nil {
			return err
		}
		made, err := api.ServiceCreate(ctx, s, swarm.ServiceCreateOptions{EncodedRegistryAuth: auth})
		id = made.ID
		return err
	})
	return id, err
}

// UpdateService gives a service another spec. Where this user has no login for its image,
// the one that it has stays.
func (m *Manager) UpdateService(ctx context.Context, id string, version uint64, s swarm.ServiceSpec) error {
	return m.do(ctx, "update service", s.Name, func(ctx context.Context, api *client.Client) error {
		auth, err := registryAuth(s)
		if err != nil {
			return err
		}
		_, err = api.ServiceUpdate(ctx, id, swarm.Version{Index: version}, s, swarm.ServiceUpdateOptions{EncodedRegistryAuth: auth})
		return err
	})
}

func registryAuth(s swarm.ServiceSpec) (string, error) {
	if s.TaskTemplate.ContainerSpec == nil {
		return "", nil
	}
	return docker.RegistryAuth(s.TaskTemplate.ContainerSpec.Image)
}

// RemoveService removes a service.
func (m *Manager) RemoveService(ctx context.Context, id string) error {
	return unlessNotFound(m.do(ctx, "remove service", id, func(ctx context.Context, api *client.Client) error {
		return api.ServiceRemove(ctx, id)
	}))
}

// Logs writes the output of a service's tasks.
func (m *Manager) Logs(ctx context.Context, service string, o engine.LogOptions, stdout, stderr io.Writer) error {
	return m.logs(ctx, "read logs of service", service, o, stdout, stderr, func(ctx context.Context, api *client.Client) (io.ReadCloser, swarm.TaskSpec, error) {
		s, _, err := api.ServiceInspectWithRaw(ctx, service, swarm.ServiceInspectOptions{})
		if err != nil {
			return nil, swarm.TaskSpec{}, err
		}
		out, err := api.ServiceLogs(ctx, service, docker.LogsOptions(o))
		return out, s.Spec.TaskTemplate, err
	})
}

// TaskLogs writes the output of a task.
func (m *Manager) TaskLogs(ctx context.Context, task string, o engine.LogOptions, stdout, stderr io.Writer) error {
	return m.logs(ctx, "read logs of task", task, o, stdout, stderr, func(ctx context.Context, api *client.Client) (io.ReadCloser, swarm.TaskSpec, error) {
		t, _, err := api.TaskInspectWithRaw(ctx, task)
		if err != nil {
			return nil, swarm.TaskSpec{}, err
		}
		out, err := api.TaskLogs(ctx, task, docker.LogsOptions(o))
		return out, t.Spec, err
	})
}

func (m *Manager) logs(ctx context.Context, op, id string, o engine.LogOptions, stdout, stderr io.Writer,
	open func(context.Context, *client.Client) (io.ReadCloser, swarm.TaskSpec, error)) error {
	err := m.do(ctx, op, id, func(ctx context.Context, api *client.Client) error {
		out, of, err := open(ctx, api)
		if err != nil {
			return err
		}
		defer out.Close()
		// With a terminal there is one stream; without one, two are multiplexed.
		if of.ContainerSpec != nil && of.ContainerSpec.TTY {
			_, err = io.Copy(stdout, out)
		} else {
			_, err = stdcopy.StdCopy(stdout, stderr, out)
		}
		return err
	})
	if o.Follow && ctx.Err() != nil {
		return nil
	}
	return err
}
