package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"

	"github.com/tendhq/tend/e2e/kit"
)

const (
	// prefix begins the name of everything that the benchmark makes.
	prefix = "tend-bench-"
	// serviceName is the one service of each project of the benchmark's own.
	serviceName = "web"
	// parallel is how many calls are made at a time: as many as tend makes for
	// one workload.
	parallel = 8
)

// containersOf lists the containers of a project, stopped ones included.
func containersOf(ctx context.Context, cli *client.Client, project string) ([]container.Summary, error) {
	return cli.ContainerList(ctx, container.ListOptions{
		All: true, Filters: filters.NewArgs(filters.Arg("label", kit.ProjectLabel+"="+project)),
	})
}

// running lists a project's running containers by name.
func running(ctx context.Context, cli *client.Client, project string) ([]container.Summary, error) {
	all, err := containersOf(ctx, cli, project)
	all = slices.DeleteFunc(all, func(c container.Summary) bool { return c.State != container.StateRunning })
	slices.SortFunc(all, func(a, b container.Summary) int { return strings.Compare(a.Names[0], b.Names[0]) })
	return all, err
}

// remove removes containers, one after the other: Engine 20.10 was seen to lock
// up for good when many left one network at the same time.
func remove(ctx context.Context, cli *client.Client, containers []container.Summary) error {
	for _, c := range containers {
		if err := cli.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: true, RemoveVolumes: true}); err != nil {
			return err
		}
	}
	return nil
}

// ours reports whether labels are those of an object that the benchmark made.
func ours(labels map[string]string) bool { return strings.HasPrefix(labels[kit.ProjectLabel], prefix) }

// removeContainers removes all containers that the benchmark made. A controller
// goes first: it would repair what is taken away.
func removeContainers(ctx context.Context, cli *client.Client) error {
	all, err := cli.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", kit.ProjectLabel))})
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(c container.Summary) bool { return !ours(c.Labels) })
	slices.SortStableFunc(all, func(a, b container.Summary) int { return controllersFirst(a) - controllersFirst(b) })
	return remove(ctx, cli, all)
}

func controllersFirst(c container.Summary) int {
	if c.Labels[kit.ServiceLabel] == controllerService {
		return 0
	}
	return 1
}

// removeRest removes what else the benchmark made on the engine, but for images.
func removeRest(ctx context.Context, cli *client.Client) error {
	var errs []error
	labelled := filters.NewArgs(filters.Arg("label", kit.ProjectLabel))
	networks, err := cli.NetworkList(ctx, network.ListOptions{Filters: labelled})
	if err != nil {
		return err
	}
	for _, n := range networks {
		if ours(n.Labels) {
			errs = append(errs, cli.NetworkRemove(ctx, n.ID))
		}
	}
	volumes, err := cli.VolumeList(ctx, volume.ListOptions{Filters: labelled})
	if err != nil {
		return err
	}
	for _, v := range volumes.Volumes {
		if ours(v.Labels) {
			errs = append(errs, cli.VolumeRemove(ctx, v.Name, true))
		}
	}
	return errors.Join(errs...)
}

// removeImages removes the images that the benchmark made.
func removeImages(ctx context.Context, cli *client.Client) error {
	var errs []error
	for _, name := range []string{imageName, tendImage, nginxImage} {
		if _, err := cli.ImageInspect(ctx, name); err == nil {
			_, err := cli.ImageRemove(ctx, name, image.RemoveOptions{PruneChildren: true})
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
