package kit

import (
	"context"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/client"
)

// Labels of Compose.
const (
	ProjectLabel = "com.docker.compose.project"
	ServiceLabel = "com.docker.compose.service"
	NumberLabel  = "com.docker.compose.container-number"
	OneoffLabel  = "com.docker.compose.oneoff"
	// IngressLabel is tend's, with the name of the workload that an ingress is of.
	IngressLabel = "tend.ingress"
	// HookLabel is tend's, with the name of a pre-rollout hook.
	HookLabel = "tend.hook"
)

// Containers inspects the containers that have all the labels, given as NAME=VALUE.
// One that goes meanwhile is left out.
func Containers(ctx context.Context, engine client.ContainerAPIClient, labels ...string) (all []container.InspectResponse, err error) {
	args := filters.NewArgs()
	for _, label := range labels {
		args.Add("label", label)
	}
	list, err := engine.ContainerList(ctx, container.ListOptions{All: true, Filters: args})
	if err != nil {
		return nil, err
	}
	for _, c := range list {
		inspected, err := engine.ContainerInspect(ctx, c.ID)
		if errdefs.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, inspected)
	}
	return all, nil
}
