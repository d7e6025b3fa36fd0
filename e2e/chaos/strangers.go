package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"

	"github.com/tendhq/tend/e2e/kit"
)

// hookLabel is on the containers of tend's hooks.
const hookLabel = "tend.hook"

// strangers are containers that are not tend's to touch, though some look like
// it: by name, with labels of their own.
var strangers = map[string]map[string]string{
	"stranger":             nil,
	"chaos-user-service-9": nil,
	"neighbour":            {kit.ProjectLabel: project + "-2", kit.ServiceLabel: "user-service", kit.NumberLabel: "1", kit.OneoffLabel: "False", "tend.revision": "1", "tend.kind": "Deployment"},
	"upper-case":           {kit.ProjectLabel: "CHAOS", kit.ServiceLabel: "user-service", kit.NumberLabel: "1", kit.OneoffLabel: "False"},
	"other-key":            {"com.docker.compose.projects": project, kit.ServiceLabel: "user-service", kit.NumberLabel: "1"},
	"no-project":           {kit.ServiceLabel: "user-db", kit.NumberLabel: "1", kit.OneoffLabel: "False", "tend.kind": "Database"},
	"one-off":              {kit.ProjectLabel: project, kit.ServiceLabel: "user-service", kit.NumberLabel: "1", kit.OneoffLabel: "True"},
	"odd-number":           {kit.ProjectLabel: project, kit.ServiceLabel: "user-service", kit.NumberLabel: "01", kit.OneoffLabel: "False"},
	"no-number":            {kit.ProjectLabel: project, kit.ServiceLabel: "product-service", kit.NumberLabel: "x1", kit.OneoffLabel: "False"},
}

// strangeNetworks and strangeVolumes are such networks and volumes.
var (
	strangeNetworks = map[string]map[string]string{
		"chaos_back":   nil,
		"chaos-2_back": {kit.ProjectLabel: project + "-2", "com.docker.compose.network": "backend"},
	}
	strangeVolumes = map[string]map[string]string{
		"chaos_user-db-data-2": nil,
		"chaos-2_user-db-data": {kit.ProjectLabel: project + "-2", "com.docker.compose.volume": "user-db-data"},
	}
)

// plant makes the strangers.
func plant(ctx context.Context, d *daemon) error {
	for name, labels := range strangeNetworks {
		made, err := d.NetworkCreate(ctx, name, network.CreateOptions{Labels: labels})
		if err != nil {
			return err
		}
		d.judge.plant(name)
		d.judge.plant(made.ID)
	}
	for name, labels := range strangeVolumes {
		if _, err := d.VolumeCreate(ctx, volume.CreateOptions{Name: name, Labels: labels}); err != nil {
			return err
		}
		d.judge.plant(name)
	}
	for name, labels := range strangers {
		made, err := d.ContainerCreate(ctx, &container.Config{Image: "redis:7-bookworm", Labels: labels, Entrypoint: []string{"sleep", "infinity"}},
			&container.HostConfig{NetworkMode: "chaos_back", RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyAlways}},
			nil, nil, name)
		if err != nil {
			return err
		}
		if err := d.ContainerStart(ctx, made.ID, container.StartOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// remains is what must be the same at the end: the strangers, and the volumes.
func remains(ctx context.Context, d *daemon) (map[string]string, error) {
	all := map[string]string{}
	for name := range strangers {
		c, err := d.ContainerInspect(ctx, name)
		if err != nil {
			return nil, err
		}
		all["container "+name] = fmt.Sprintf("%s, running: %t", c.ID, c.State.Running)
	}
	for name := range strangeNetworks {
		n, err := d.NetworkInspect(ctx, name, network.InspectOptions{})
		if err != nil {
			return nil, err
		}
		all["network "+name] = n.ID
	}
	list, err := d.VolumeList(ctx, volume.ListOptions{})
	if err != nil {
		return nil, err
	}
	for _, v := range list.Volumes {
		if all["volume "+v.Name], err = identify(filepath.Dir(v.Mountpoint)); err != nil {
			return nil, err
		}
	}
	return all, nil
}
