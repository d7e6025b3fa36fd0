package main

import (
	"context"
	"fmt"
	"time"

	"github.com/docker/docker/api/types/events"
	networktypes "github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"
	"github.com/docker/docker/client"

	"github.com/tendhq/tend/e2e/kit"
)

const swarmProject = prefix + "swarm"

// swarmMode does the work with Docker's own orchestrator: one service without
// published ports, on a network of its own as docker stack deploy would make it.
type swarmMode struct {
	cli     *client.Client
	watch   *watch
	service string // its ID
	spec    swarm.ServiceSpec
}

func (s *swarmMode) begin(ctx context.Context) error {
	if _, err := s.cli.SwarmInit(ctx, swarm.InitRequest{ListenAddr: "127.0.0.1", AdvertiseAddr: "127.0.0.1"}); err != nil {
		return fmt.Errorf("swarm init: %w", err)
	}
	network, err := s.cli.NetworkCreate(ctx, swarmProject, networktypes.CreateOptions{Driver: "overlay", Scope: "swarm"})
	if err != nil {
		return err
	}
	replicas, grace := uint64(many), 10*time.Second
	s.spec = swarm.ServiceSpec{
		Annotations: swarm.Annotations{Name: serviceName},
		TaskTemplate: swarm.TaskSpec{ContainerSpec: &swarm.ContainerSpec{
			Image:           imageName,
			Labels:          map[string]string{kit.ProjectLabel: swarmProject}, // as the others have, for the events
			StopGracePeriod: &grace,
		}, Networks: []swarm.NetworkAttachmentConfig{{Target: network.ID}}},
		Mode: swarm.ServiceMode{Replicated: &swarm.ReplicatedService{Replicas: &replicas}},
		// Without a virtual address, for which the kernel would need IPVS.
		EndpointSpec: &swarm.EndpointSpec{Mode: swarm.ResolutionModeDNSRR},
	}
	mark := s.watch.mark()
	created, err := s.cli.ServiceCreate(ctx, s.spec, swarm.ServiceCreateOptions{})
	if err != nil {
		return err
	}
	s.service = created.ID
	_, err = s.watch.await(ctx, mark, swarmProject, events.ActionStart, many)
	return err
}

// swarmRollout replaces as many tasks at a time as it is told to. All else is
// Swarm's default: no delay between them, a failure is looked for for 5 s.
type swarmRollout struct {
	*swarmMode
	parallelism uint64
}

func (s swarmRollout) project() string { return swarmProject }

func (s swarmRollout) roll(ctx context.Context) error {
	s.spec.TaskTemplate.ForceUpdate++
	s.spec.UpdateConfig = &swarm.UpdateConfig{
		Parallelism: s.parallelism, Order: swarm.UpdateOrderStartFirst, FailureAction: swarm.UpdateFailureActionPause,
		Monitor: 5 * time.Second,
	}
	current, _, err := s.cli.ServiceInspectWithRaw(ctx, s.service, swarm.ServiceInspectOptions{})
	if err != nil {
		return err
	}
	_, err = s.cli.ServiceUpdate(ctx, s.service, current.Version, s.spec, swarm.ServiceUpdateOptions{})
	return err
}

// settled waits until Swarm calls its update complete, which is some time after
// the last container was replaced.
func (s swarmRollout) settled(ctx context.Context) error {
	for {
		service, _, err := s.cli.ServiceInspectWithRaw(ctx, s.service, swarm.ServiceInspectOptions{})
		if err != nil {
			return err
		}
		switch state := service.UpdateStatus; {
		case state == nil || state.State == swarm.UpdateStateCompleted:
			return nil
		case state.State == swarm.UpdateStatePaused:
			return fmt.Errorf("swarm paused its update: %s", state.Message)
		}
		if err := kit.Pause(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
}
