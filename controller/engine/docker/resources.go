package docker

import (
	"context"
	"fmt"
	"slices"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/go-units"

	"github.com/tendhq/tend/controller/engine"
)

// Image inspects a local image.
func (e *Engine) Image(ctx context.Context, ref string) (engine.Image, error) {
	found := engine.Image{Ref: ref}
	err := e.Do(ctx, "inspect image", ref, func(ctx context.Context) error {
		inspect, err := e.cli.ImageInspect(ctx, ref)
		found.ID, found.Digest = inspect.ID, repositoryDigest(ref, inspect.RepoDigests)
		return err
	})
	return found, err
}

// pullMessage is one line of the engine's account of a pull.
type pullMessage struct {
	Status string `json:"status"`
	ID     string `json:"id"`
	Detail struct {
		Current int64 `json:"current"`
		Total   int64 `json:"total"`
	} `json:"progressDetail"`
}

// layers are how many bytes of each layer of an image are there, and how many it has.
type layers map[string]pullMessage

// add notes what a message tells of a layer, and says how much of all layers is there.
func (l layers) add(m pullMessage) string {
	l[m.ID] = m
	var current, total int64
	for _, layer := range l {
		if layer.Status == m.Status {
			current += layer.Detail.Current
			total += layer.Detail.Total
		}
	}
	return fmt.Sprintf("%s %s of %s", m.Status, units.HumanSize(float64(current)), units.HumanSize(float64(total)))
}

// Pull brings an image from its registry. progress receives what has happened
// to each layer, and how many bytes of all layers are there.
func (e *Engine) Pull(ctx context.Context, ref string, progress func(string)) error {
	return e.Do(ctx, "pull image", ref, func(ctx context.Context) error {
		auth, err := RegistryAuth(ref)
		if err != nil {
			return err
		}
		body, err := e.cli.ImagePull(ctx, ref, image.PullOptions{RegistryAuth: auth})
		if err != nil {
			return err
		}
		defer body.Close()
		layers := layers{}
		return readMessages(body, func(m pullMessage) {
			switch {
			case m.Detail.Total != 0:
				progress(layers.add(m))
			case m.ID != "":
				progress(m.ID + ": " + m.Status)
			default:
				progress(m.Status)
			}
		})
	})
}

// Networks lists networks in one request: the engine cannot filter by label
// or name.
func (e *Engine) Networks(ctx context.Context, project string, names ...string) ([]engine.Network, error) {
	var found []engine.Network
	err := e.Do(ctx, "list networks of project", project, func(ctx context.Context) error {
		all, err := e.cli.NetworkList(ctx, network.ListOptions{})
		for _, n := range all {
			if n.Labels[engine.ProjectLabel] == project || slices.Contains(names, n.Name) {
				found = append(found, engine.Network{ID: n.ID, Name: n.Name, Driver: n.Driver, Labels: n.Labels})
			}
		}
		return err
	})
	return found, err
}

// NetworkOptions are the API's options for a new network.
func NetworkOptions(n engine.NetworkSpec) network.CreateOptions {
	options := network.CreateOptions{
		Driver:     n.Config.Driver,
		Options:    n.Config.DriverOpts,
		Internal:   n.Config.Internal,
		Attachable: n.Config.Attachable,
		EnableIPv4: n.Config.EnableIPv4,
		EnableIPv6: n.Config.EnableIPv6,
		Labels:     n.Labels,
	}
	if ipam := n.Config.Ipam; ipam.Driver != "" || len(ipam.Config) > 0 {
		options.IPAM = &network.IPAM{Driver: ipam.Driver}
		for _, pool := range ipam.Config {
			options.IPAM.Config = append(options.IPAM.Config, network.IPAMConfig{
				Subnet:     pool.Subnet,
				IPRange:    pool.IPRange,
				Gateway:    pool.Gateway,
				AuxAddress: pool.AuxiliaryAddresses,
			})
		}
	}
	return options
}

// CreateNetwork makes a network. A name that is taken is a Conflict.
func (e *Engine) CreateNetwork(ctx context.Context, n engine.NetworkSpec) error {
	return e.Do(ctx, "create network", n.Name, func(ctx context.Context) error {
		_, err := e.cli.NetworkCreate(ctx, n.Name, NetworkOptions(n))
		return err
	})
}

// RemoveNetwork removes a network. One that containers still use is a Conflict.
func (e *Engine) RemoveNetwork(ctx context.Context, id string) error {
	return unlessNotFound(e.Do(ctx, "remove network", id, func(ctx context.Context) error {
		return e.cli.NetworkRemove(ctx, id)
	}))
}

// Volumes lists volumes in one request: the engine cannot filter by label or
// name.
func (e *Engine) Volumes(ctx context.Context, project string, names ...string) ([]engine.Volume, error) {
	var found []engine.Volume
	err := e.Do(ctx, "list volumes of project", project, func(ctx context.Context) error {
		all, err := e.cli.VolumeList(ctx, volume.ListOptions{})
		for _, v := range all.Volumes {
			if v.Labels[engine.ProjectLabel] == project || slices.Contains(names, v.Name) {
				found = append(found, engine.Volume{Name: v.Name, Driver: v.Driver, Labels: v.Labels})
			}
		}
		return err
	})
	return found, err
}

// CreateVolume makes a volume. Where one of the name and driver exists, it is
// left as it is.
func (e *Engine) CreateVolume(ctx context.Context, v engine.VolumeSpec) error {
	return e.Do(ctx, "create volume", v.Name, func(ctx context.Context) error {
		_, err := e.cli.VolumeCreate(ctx, volume.CreateOptions{
			Name:       v.Name,
			Driver:     v.Config.Driver,
			DriverOpts: v.Config.DriverOpts,
			Labels:     v.Labels,
		})
		return err
	})
}

// RemoveVolume removes a volume. One that a container still mounts is a Conflict.
func (e *Engine) RemoveVolume(ctx context.Context, name string) error {
	return unlessNotFound(e.Do(ctx, "remove volume", name, func(ctx context.Context) error {
		return e.cli.VolumeRemove(ctx, name, false)
	}))
}
