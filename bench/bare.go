package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"
	"golang.org/x/sync/errgroup"

	"github.com/tendhq/tend/e2e/kit"
)

const bareProject = prefix + "bare"

// bare does the work with the engine calls that it takes, and nothing else: the limit
// for any program on top of the engine.
type bare struct {
	cli *client.Client
	// made counts the containers, so that no name is used twice.
	made int
}

func (b *bare) project() string { return bareProject }

func (b *bare) begin(ctx context.Context) error {
	_, err := b.cli.NetworkCreate(ctx, bareProject+"_default", network.CreateOptions{
		Driver: "bridge", Labels: map[string]string{kit.ProjectLabel: bareProject},
	})
	if err != nil && !errdefs.IsConflict(err) { // left by a run before
		return err
	}
	return b.scale(ctx, 0, few)
}

// scale makes as many containers as are missing, or removes as many as are
// too many.
func (b *bare) scale(ctx context.Context, from, to int) error {
	if to < from {
		return removeTo(ctx, b.cli, bareProject, to)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for range to - from {
		b.made++
		number := b.made
		group.Go(func() error {
			_, err := b.run(ctx, number)
			return err
		})
	}
	return group.Wait()
}

// removeTo removes containers of a project until as many are left as told.
func removeTo(ctx context.Context, cli *client.Client, project string, left int) error {
	containers, err := containersOf(ctx, cli, project)
	if err != nil || len(containers) <= left {
		return err
	}
	return remove(ctx, cli, containers[:len(containers)-left]) // the newest come first
}

// run creates a container and starts it, with the settings of Compose and tend that
// cost the engine work: labels, a network, its aliases.
func (b *bare) run(ctx context.Context, number int) (id string, err error) {
	name := fmt.Sprintf("%s-%s-%d", bareProject, serviceName, number)
	created, err := b.cli.ContainerCreate(ctx,
		&container.Config{
			Image: imageName,
			Labels: map[string]string{
				kit.ProjectLabel: bareProject, kit.ServiceLabel: serviceName,
				kit.NumberLabel: strconv.Itoa(number),
				kit.OneoffLabel: "False",
			},
		},
		&container.HostConfig{
			NetworkMode:   bareProject + "_default",
			RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyDisabled},
		},
		&network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{
			bareProject + "_default": {Aliases: []string{name, serviceName}},
		}}, nil, name)
	if err != nil {
		return "", err
	}
	return created.ID, b.start(ctx, created.ID)
}

// start starts a container that there is.
func (b *bare) start(ctx context.Context, id string) error {
	return b.cli.ContainerStart(ctx, id, container.StartOptions{})
}

// runOne creates and starts one more container.
func (b *bare) runOne(ctx context.Context) (id string, err error) {
	b.made++
	return b.run(ctx, b.made)
}

// clear removes the containers that have exited.
func (b *bare) clear(ctx context.Context) error {
	exited, err := b.cli.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(
		filters.Arg("label", kit.ProjectLabel+"="+bareProject), filters.Arg("status", "exited"))})
	if err != nil {
		return err
	}
	return remove(ctx, b.cli, exited)
}
