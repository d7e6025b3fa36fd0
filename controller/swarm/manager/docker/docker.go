// Package docker adapts the part of the Docker Engine API that speaks of a Swarm to
// manager.Manager. It knows nothing of before but which manager answered last.
package docker

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/swarm"
	"github.com/docker/docker/client"

	"github.com/tendhq/tend/controller/engine"
	"github.com/tendhq/tend/controller/engine/docker"
	"github.com/tendhq/tend/controller/swarm/manager"
)

// Manager is a Swarm, by way of those of its managers whose addresses are known.
type Manager struct {
	clients []*docker.Client
	// next is the index of the client that is asked first.
	next atomic.Int64
}

var _ manager.Manager = (*Manager)(nil)

// New makes clients of a Swarm's managers, whose addresses are as docker.Connect takes them.
// Any of them will do: each passes on to the leader what it is asked, and the next one is
// asked where one is Unavailable.
func New(hosts ...string) (*Manager, error) {
	if len(hosts) == 0 {
		hosts = []string{""}
	}
	m := &Manager{}
	for _, host := range hosts {
		c, err := docker.Connect(host)
		if err != nil {
			return nil, errors.Join(err, m.Close())
		}
		m.clients = append(m.clients, c)
	}
	return m, nil
}

// Close releases the connections.
func (m *Manager) Close() error {
	var all error
	for _, c := range m.clients {
		all = errors.Join(all, c.Close())
	}
	return all
}

// ask asks one manager after the other, until one is not Unavailable. One whose answer was
// lost is asked last from then on: it may be the one that nobody reaches any more.
func (m *Manager) ask(request func(*docker.Client) error) error {
	first := m.next.Load()
	var refusals []error
	for i := range int64(len(m.clients)) {
		at := (first + i) % int64(len(m.clients))
		c := m.clients[at]
		err := explain(request(c))
		if err == nil || engine.ClassOf(err) != engine.Unavailable {
			if err != nil && engine.ClassOf(err) == engine.Unknown {
				at++
			}
			m.next.Store(at % int64(len(m.clients)))
			return err
		}
		refusals = append(refusals, err)
	}
	return allOf(refusals)
}

// allOf is one error for those of all managers.
func allOf(refusals []error) error {
	var first *engine.Error
	if len(refusals) == 1 || !errors.As(refusals[0], &first) {
		return refusals[0]
	}
	causes := []error{fmt.Errorf("none of %d managers can be asked", len(refusals))}
	said := map[string]bool{}
	for _, r := range refusals {
		cause := errors.Unwrap(r)
		if !said[cause.Error()] {
			said[cause.Error()] = true
			causes = append(causes, cause)
		}
	}
	return &engine.Error{Op: first.Op, Object: first.Object, Class: engine.Unavailable, Err: errors.Join(causes...)}
}

// do makes one request, or several where only the last one changes anything.
func (m *Manager) do(ctx context.Context, op, object string, request func(context.Context, *client.Client) error) error {
	return m.ask(func(c *docker.Client) error {
		return c.Do(ctx, op, object, func(ctx context.Context) error { return request(ctx, c.API()) })
	})
}

// leads fails where a manager cannot be asked, or the Swarm has no leader. Some requests
// do not: they leave out what the leader alone knows.
func leads(ctx context.Context, api *client.Client) error {
	_, err := api.SwarmInspect(ctx)
	return err
}

// Info asks for the Swarm, and counts its managers.
func (m *Manager) Info(ctx context.Context) (info manager.Info, err error) {
	err = m.ask(func(c *docker.Client) error {
		return c.Do(ctx, "ask manager", c.Host(), func(ctx context.Context) error {
			is, err := c.API().SwarmInspect(ctx)
			if err != nil {
				return err
			}
			nodes, err := c.API().NodeList(ctx, swarm.NodeListOptions{Filters: filters.NewArgs(filters.Arg("role", string(swarm.NodeRoleManager)))})
			info = manager.Info{Host: c.Host(), SwarmID: is.ID, Managers: len(nodes)}
			for _, n := range nodes {
				if n.ManagerStatus != nil && n.ManagerStatus.Reachability == swarm.ReachabilityReachable {
					info.Reachable++
				}
			}
			return err
		})
	})
	return info, err
}

// selections are the filters of the requests that find what carries a project's label, and
// what has one of some names. The last one takes names for the beginnings of names.
func selections(project string, names []string) []filters.Args {
	all := []filters.Args{filters.NewArgs(filters.Arg("label", engine.ProjectLabel+"="+project))}
	if len(names) > 0 {
		byName := filters.NewArgs()
		for _, n := range names {
			byName.Add("name", n)
		}
		all = append(all, byName)
	}
	return all
}
