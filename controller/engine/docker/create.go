package docker

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"

	"github.com/tendhq/tend/controller/engine"
)

// Create makes a container, with its calls in Compose's order: look up what the engine
// would make up or only miss at the start, create, join the further networks, copy the
// files in.
func (e *Engine) Create(ctx context.Context, spec engine.ContainerSpec) (id string, err error) {
	const op = "create container"
	links, err := e.resolveLinks(ctx, spec)
	if err != nil {
		return "", err
	}

	var r *createRequest
	err = e.Do(ctx, op, spec.Name, func(ctx context.Context) (err error) {
		r, err = convert(spec, links, func(version string) bool { return e.atLeast(ctx, version) })
		return err
	})
	if err != nil {
		return "", err
	}
	if err := e.requireNetworks(ctx, spec); err != nil {
		return "", err
	}
	if err := e.requireVolumes(ctx, spec); err != nil {
		return "", err
	}
	if err := e.carryOver(ctx, spec, r); err != nil {
		return "", err
	}
	if err := e.rotateLogs(ctx, spec.Name, r); err != nil {
		return "", err
	}

	err = e.Do(ctx, op, spec.Name, func(ctx context.Context) error {
		response, err := e.cli.ContainerCreate(ctx, r.config, r.host, r.networking, r.platform, spec.Name)
		id = response.ID
		return err
	})
	if err != nil {
		return id, err
	}
	for _, j := range r.joins {
		err := e.Do(ctx, "connect container to network "+j.network, spec.Name, func(ctx context.Context) error {
			return e.cli.NetworkConnect(ctx, j.network, id, j.endpoint)
		})
		if err != nil {
			return id, err
		}
	}
	for _, f := range r.files {
		// Where the file has an owner, Compose sets CopyUIDGID. That gives the file to
		// the container's user instead, and fails where the image has no such user.
		err := e.Do(ctx, "copy "+f.target+" into container", spec.Name, func(ctx context.Context) error {
			return e.cli.CopyToContainer(ctx, id, "/", bytes.NewReader(f.archive), container.CopyToContainerOptions{})
		})
		if err != nil {
			return id, err
		}
	}
	return id, nil
}

// requireNetworks fails where a network is missing. The engine notices that only at the
// start, and also for a network that a created container is connected to afterwards.
// requireNetworks lists and does not inspect, because an inspect takes the beginning of
// any network's ID for a name.
func (e *Engine) requireNetworks(ctx context.Context, spec engine.ContainerSpec) error {
	if spec.Service.NetworkMode != "" || len(spec.Service.Networks) == 0 {
		return nil
	}
	args := filters.NewArgs()
	for key := range spec.Service.Networks {
		args.Add("name", networkName(spec, key))
	}
	return e.Do(ctx, "find networks of container", spec.Name, func(ctx context.Context) error {
		found, err := e.cli.NetworkList(ctx, network.ListOptions{Filters: args})
		if err != nil {
			return err
		}
		for _, key := range spec.Service.NetworksByPriority() {
			name := networkName(spec, key)
			// The filter also matches parts of names.
			if !slices.ContainsFunc(found, func(n network.Summary) bool { return n.Name == name }) {
				return fmt.Errorf("%w: network %s", errdefs.ErrNotFound, name)
			}
		}
		return nil
	})
}

// requireVolumes fails where a named volume is missing: the engine would make
// an empty one.
func (e *Engine) requireVolumes(ctx context.Context, spec engine.ContainerSpec) error {
	for _, v := range spec.Service.Volumes {
		if v.Type != types.VolumeTypeVolume || v.Source == "" {
			continue
		}
		name := volumeName(spec, v.Source)
		err := e.Do(ctx, "find volume", name, func(ctx context.Context) error {
			_, err := e.cli.VolumeInspect(ctx, name)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// carryOver mounts the anonymous volumes of an earlier container where this one would
// get new ones, as Compose does.
func (e *Engine) carryOver(ctx context.Context, spec engine.ContainerSpec, r *createRequest) error {
	if len(spec.Anonymous) == 0 {
		return nil
	}
	return e.Do(ctx, "carry over anonymous volumes to container", spec.Name, func(ctx context.Context) error {
		image, err := e.cli.ImageInspect(ctx, r.config.Image)
		if err != nil {
			return err
		}
		taken := map[string]int{} // the index of the mount at a path
		for i, m := range r.host.Mounts {
			taken[m.Target] = i
		}
		const elsewhere = -1 // a bind or a tmpfs has the path
		for _, v := range spec.Service.Volumes {
			if _, ok := taken[v.Target]; !ok {
				taken[v.Target] = elsewhere
			}
		}
		for target := range r.host.Tmpfs {
			taken[target] = elsewhere
		}
		for _, target := range slices.Sorted(maps.Keys(spec.Anonymous)) {
			at, ok := taken[target]
			anonymous := ok && at != elsewhere && r.host.Mounts[at].Type == mount.TypeVolume && r.host.Mounts[at].Source == ""
			if !ok && image.Config != nil {
				_, anonymous = image.Config.Volumes[target]
			}
			if !anonymous {
				continue
			}
			name := spec.Anonymous[target]
			switch _, err := e.cli.VolumeInspect(ctx, name); {
			case errdefs.IsNotFound(err):
				continue
			case err != nil:
				return err
			}
			if ok {
				r.host.Mounts[at].Source = name
			} else {
				r.host.Mounts = append(r.host.Mounts, mount.Mount{Type: mount.TypeVolume, Source: name, Target: target})
			}
		}
		return nil
	})
}

// resolveLinks turns links into the engine's "container:alias" form. Compose
// gives each linked container three aliases, two of them with the number of
// the container that is being created.
func (e *Engine) resolveLinks(ctx context.Context, spec engine.ContainerSpec) ([]string, error) {
	var links []string
	for _, link := range spec.Service.Links {
		service, alias, ok := strings.Cut(link, ":")
		if !ok {
			alias = service
		}
		containers, err := e.serviceContainers(ctx, spec.Project, service)
		if err != nil {
			return nil, err
		}
		number := spec.Labels[numberLabel]
		for _, c := range containers {
			name := summaryName(c)
			links = append(links,
				name+":"+alias,
				name+":"+service+"-"+number,
				name+":"+spec.Project+"-"+service+"-"+number)
		}
	}
	for _, link := range spec.Service.ExternalLinks {
		name, alias, ok := strings.Cut(link, ":")
		if !ok {
			alias = name
		}
		links = append(links, name+":"+alias)
	}
	return links, nil
}

// serviceContainers lists the containers of a service, one-off ones left out,
// sorted by name.
func (e *Engine) serviceContainers(ctx context.Context, project, service string) (found []container.Summary, err error) {
	err = e.Do(ctx, "list containers of service", service, func(ctx context.Context) (err error) {
		found, err = e.cli.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(
			filters.Arg("label", engine.ProjectLabel+"="+project),
			filters.Arg("label", serviceLabel+"="+service),
			filters.Arg("label", oneOffLabel+"=False"),
		)})
		return err
	})
	slices.SortFunc(found, func(a, b container.Summary) int { return strings.Compare(summaryName(a), summaryName(b)) })
	return found, err
}

// summaryName is a container's own name, and not one of those that links give it.
func summaryName(c container.Summary) string {
	for _, name := range c.Names {
		if name = strings.TrimPrefix(name, "/"); !strings.Contains(name, "/") {
			return name
		}
	}
	return c.ID
}
