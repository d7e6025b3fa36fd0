package docker

import (
	"cmp"
	"context"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"
	"github.com/docker/docker/client"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/docker"
	"github.com/tendhq/tend/controller/swarm/manager"
)

// Networks lists networks in one request. Without a leader, the engine would leave out all
// those that are not in use on its node.
func (m *Manager) Networks(ctx context.Context, project string, names ...string) ([]manager.Network, error) {
	var found []manager.Network
	err := m.do(ctx, "list networks of project", project, func(ctx context.Context, api *client.Client) error {
		all, err := api.NetworkList(ctx, network.ListOptions{Filters: filters.NewArgs(filters.Arg("scope", "swarm"))})
		if err != nil {
			return err
		}
		found = nil
		for _, n := range all {
			if n.Labels[engine.ProjectLabel] == project || slices.Contains(names, n.Name) {
				found = append(found, manager.Network{ID: n.ID, Name: n.Name, Driver: n.Driver, Attachable: n.Attachable, Labels: n.Labels})
			}
		}
		return leads(ctx, api)
	})
	slices.SortFunc(found, func(a, b manager.Network) int { return cmp.Compare(a.Name, b.Name) })
	return found, err
}

// CreateNetwork makes a network for the whole Swarm.
func (m *Manager) CreateNetwork(ctx context.Context, n engine.NetworkSpec) (id string, err error) {
	options := docker.NetworkOptions(n)
	options.Driver, options.Scope = cmp.Or(options.Driver, "overlay"), "swarm"
	err = m.do(ctx, "create network", n.Name, func(ctx context.Context, api *client.Client) error {
		made, err := api.NetworkCreate(ctx, n.Name, options)
		id = made.ID
		return err
	})
	return id, err
}

// RemoveNetwork removes a network. Without a leader, the engine would say of one that is
// not in use on its node that it is gone.
func (m *Manager) RemoveNetwork(ctx context.Context, id string) error {
	return unlessNotFound(m.do(ctx, "remove network", id, func(ctx context.Context, api *client.Client) error {
		err := api.NetworkRemove(ctx, id)
		if errdefs.IsNotFound(err) {
			err = cmp.Or(leads(ctx, api), err)
		}
		return err
	}))
}

// Secrets lists secrets.
func (m *Manager) Secrets(ctx context.Context, project string, names ...string) ([]manager.Secret, error) {
	var found []manager.Secret
	err := m.do(ctx, "list secrets of project", project, func(ctx context.Context, api *client.Client) error {
		found = nil
		for _, selection := range selections(project, names) {
			all, err := api.SecretList(ctx, swarm.SecretListOptions{Filters: selection})
			if err != nil {
				return err
			}
			for _, s := range all {
				if s.Spec.Labels[engine.ProjectLabel] == project || slices.Contains(names, s.Spec.Name) {
					found = append(found, manager.Secret{ID: s.ID, Name: s.Spec.Name, Labels: s.Spec.Labels, CreatedAt: s.CreatedAt})
				}
			}
		}
		return nil
	})
	slices.SortFunc(found, func(a, b manager.Secret) int { return cmp.Compare(a.Name, b.Name) })
	return slices.CompactFunc(found, func(a, b manager.Secret) bool { return a.ID == b.ID }), err
}

// CreateSecret makes a secret.
func (m *Manager) CreateSecret(ctx context.Context, s swarm.SecretSpec) (id string, err error) {
	err = m.do(ctx, "create secret", s.Name, func(ctx context.Context, api *client.Client) error {
		made, err := api.SecretCreate(ctx, s)
		id = made.ID
		return err
	})
	return id, err
}

// RemoveSecret removes a secret.
func (m *Manager) RemoveSecret(ctx context.Context, id string) error {
	return unlessNotFound(m.do(ctx, "remove secret", id, func(ctx context.Context, api *client.Client) error {
		return api.SecretRemove(ctx, id)
	}))
}

// Configs lists configs.
func (m *Manager) Configs(ctx context.Context, project string, names ...string) ([]manager.Config, error) {
	var found []manager.Config
	err := m.do(ctx, "list configs of project", project, func(ctx context.Context, api *client.Client) error {
		found = nil
		for _, selection := range selections(project, names) {
			all, err := api.ConfigList(ctx, swarm.ConfigListOptions{Filters: selection})
			if err != nil {
				return err
			}
			for _, c := range all {
				if c.Spec.Labels[engine.ProjectLabel] == project || slices.Contains(names, c.Spec.Name) {
					found = append(found, manager.Config{ID: c.ID, Name: c.Spec.Name, Labels: c.Spec.Labels, CreatedAt: c.CreatedAt})
				}
			}
		}
		return nil
	})
	slices.SortFunc(found, func(a, b manager.Config) int { return cmp.Compare(a.Name, b.Name) })
	return slices.CompactFunc(found, func(a, b manager.Config) bool { return a.ID == b.ID }), err
}

// CreateConfig makes a config.
func (m *Manager) CreateConfig(ctx context.Context, c swarm.ConfigSpec) (id string, err error) {
	err = m.do(ctx, "create config", c.Name, func(ctx context.Context, api *client.Client) error {
		made, err := api.ConfigCreate(ctx, c)
		id = made.ID
		return err
	})
	return id, err
}

// RemoveConfig removes a config.
func (m *Manager) RemoveConfig(ctx context.Context, id string) error {
	return unlessNotFound(m.do(ctx, "remove config", id, func(ctx context.Context, api *client.Client) error {
		return api.ConfigRemove(ctx, id)
	}))
}
